package faults

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// namespaceVariable tells a test that it runs in a network namespace of its own.
const namespaceVariable = "HEADRACE_TEST_NAMESPACE"

// alone runs the calling test once more, in a network of its own in which nothing of
// this machine can be reached, and every address of the ranges is this machine. It
// returns true in there; outside, it reports how that run went.
func alone(t *testing.T, ranges ...string) bool {
	t.Helper()
	if os.Getenv(namespaceVariable) == t.Name() {
		for _, args := range [][]string{{"link", "set", "lo", "up"}, {"route", "add", "default", "dev", "lo"}} {
			command(t, "ip", args...)
		}
		for _, r := range ranges {
			command(t, "ip", "route", "add", "local", r, "dev", "lo")
		}
		return true
	}
	if out, err := exec.Command("unshare", "--net", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("SKIP %s: this user may not make network namespaces: %v: %s", t.Name(), err, out)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "--mount", os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), namespaceVariable+"="+t.Name())
	out, err := cmd.CombinedOutput()
	t.Logf("in a network of its own:\n%s", out)
	if err != nil {
		t.Errorf("in a network of its own: %v", err)
	}
	return false
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// world is what there is in such a network: an origin at one public address, and a
// canary at every other. Both listen on the same ports; the address that a
// connection was made to tells who is meant.
type world struct {
	origin string // address
	hits   sync.Map
	count  atomic.Int64
}

func newWorld(t *testing.T, origin string, serve http.Handler) *world {
	t.Helper()
	w := &world{origin: origin}
	l, err := net.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		ReadHeaderTimeout: patience,
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateNew && !w.isOrigin(c.LocalAddr()) {
				w.hit("tcp " + c.LocalAddr().String())
			}
		},
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && w.isOrigin(addr) {
				serve.ServeHTTP(rw, r)
				return
			}
			w.hit(r.Method + " " + r.Host + r.URL.Path)
			_, _ = rw.Write([]byte("secret of the network behind the edge"))
		}),
	}
	go func() { _ = server.Serve(l) }() // it ends with Close
	t.Cleanup(func() { _ = server.Close() })
	u, err := net.ListenPacket("udp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.Close() })
	go func() {
		for buf := make([]byte, 2048); ; {
			_, from, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			w.hit("udp from " + from.String())
		}
	}()
	return w
}

func (w *world) isOrigin(a net.Addr) bool {
	host, _, _ := net.SplitHostPort(a.String())
	return net.ParseIP(host).Equal(net.ParseIP(w.origin))
}

func (w *world) hit(what string) {
	w.count.Add(1)
	w.hits.Store(what, true)
}

// taken gives what the canary has seen since the last call.
func (w *world) taken() (n int64, what []string) {
	w.hits.Range(func(k, _ any) bool {
		what = append(what, k.(string))
		w.hits.Delete(k)
		return true
	})
	return w.count.Swap(0), what
}

// nameServer answers every question for an address by the zone's next one for the
// name, or for "*" of its domain, over and over: with two, a name is rebound at every
// question.
func nameServer(t *testing.T, zone map[string][]string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver 127.0.0.53\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(file, "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount("/etc/resolv.conf", 0) })
	c, err := net.ListenPacket("udp", "127.0.0.53:53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		asked := make(map[string]int)
		for buf := make([]byte, 2048); ; {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer, err := answer(buf[:n], zone, asked); err == nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	}()
}

func answer(question []byte, zone map[string][]string, asked map[string]int) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
		return nil, fmt.Errorf("no question: %w", err)
	}
	q := m.Questions[0]
	m.Response, m.Additionals = true, nil
	name := strings.TrimSuffix(q.Name.String(), ".")
	addrs, known := zone[name]
	if _, domain, ok := strings.Cut(name, "."); ok && !known {
		addrs, known = zone["*."+domain]
	}
	switch {
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		ip := net.ParseIP(addrs[asked[name]%len(addrs)]).To4()
		asked[name]++
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: [4]byte(ip)},
		}}
	}
	return m.Pack()
}
