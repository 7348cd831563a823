package pull

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	srt "github.com/datarhei/gosrt"
	"golang.org/x/net/ipv4"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/guard"
	"github.com/headrace/headrace/ingest/source"
	"github.com/headrace/headrace/test/encoder"
)

// here is a guard that allows this machine and a multicast group.
func here() *guard.Guard {
	return guard.New(guard.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("239.77.0.0/16")}})
}

// enough is a writer that ends the feed once it has what it wants.
type enough struct {
	bytes.Buffer
	want int
}

var errEnough = errors.New("enough")

func (e *enough) Write(b []byte) (int, error) {
	n, _ := e.Buffer.Write(b)
	if e.Len() >= e.want {
		return n, errEnough
	}
	return n, nil
}

// pull feeds a source until so many bytes have come.
func pull(t *testing.T, g *guard.Guard, text string, want int) ([]byte, error) {
	t.Helper()
	s, err := source.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	to := &enough{want: want}
	err = New(g, s).Feed(ctx, to)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return to.Bytes(), err
}

// media has FFmpeg make a few seconds of MPEG-TS.
func media(t *testing.T) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x90:rate=25", "-t", "3",
		"-c:v", "libx264", "-preset", "ultrafast", "-f", "mpegts", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// inTurns sends packets again and again until the test ends.
func inTurns(t *testing.T, send func([]byte) error) {
	t.Helper()
	ts := media(t)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			for rest := ts; len(rest) > 0; {
				n := min(len(rest), 7*188)
				if send(rest[:n]) != nil {
					return
				}
				rest = rest[n:]
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
	})
}

// wantTransport checks that bytes are whole packets of MPEG-TS.
func wantTransport(t *testing.T, got []byte, err error) {
	t.Helper()
	if err != nil || len(got) == 0 {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	for i := 0; i+188 <= len(got); i += 188 {
		if got[i] != 0x47 {
			t.Fatalf("byte %d of %d is no packet's begin", i, len(got))
		}
	}
}

func wantFailure(t *testing.T, err error, failure ffmpeg.Failure, text string) {
	t.Helper()
	var failed *source.Error
	if !errors.As(err, &failed) || failed.Failure != failure || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want %q with %q and no secret", err, failure, text)
	}
}

func TestRTMP(t *testing.T) {
	loop, err := encoder.Make(t.Context(), encoder.Recipe{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan *url.URL, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		u, _ := loop.Serve(t.Context(), c) // the player leaves in the middle
		asked <- u
	}()
	defer func() { _ = l.Close() }()
	got, err := pull(t, here(), "rtmp://"+l.Addr().String()+"/live/hunter2?token=x", 50_000)
	wantTransport(t, got, err)
	if u := <-asked; u == nil || u.Path != "/live/hunter2" || u.RawQuery != "token=x" {
		t.Errorf("the server was asked for %v, want /live/hunter2?token=x", u)
	}
}

func TestApplication(t *testing.T) {
	for _, tt := range []struct{ from, app, key string }{
		{"rtmp://h/live/key", "/live", "key"},
		{"rtmp://h/live/key?a=b", "/live", "key?a=b"},
		{"rtmp://h/app/instance/key", "/app/instance", "key"},
		{"rtmp://h/live/key/", "/live", "key"},
		{"rtmp://h/live#key", "/live", "key"},
		{"rtmp://h/live", "/live", ""},
	} {
		u, err := url.Parse(tt.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := application(u); got.Path != tt.app || got.Fragment != tt.key {
			t.Errorf("%s: got application %q and key %q, want %q and %q", tt.from, got.Path, got.Fragment, tt.app, tt.key)
		}
	}
}

func TestSRT(t *testing.T) {
	l, err := srt.Listen("srt", "127.0.0.1:0", srt.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1)
	go func() {
		r, err := l.Accept2()
		if err != nil {
			return
		}
		asked <- r.StreamId()
		if err := r.SetPassphrase("hunter2-hunter2"); err != nil {
			r.Reject(srt.REJ_BADSECRET)
			return
		}
		c, err := r.Accept()
		if err != nil {
			return
		}
		inTurns(t, func(b []byte) error { _, err := c.Write(b); return err })
	}()
	defer l.Close()
	got, err := pull(t, here(), "srt://"+l.Addr().String()+"?passphrase=hunter2-hunter2&latency=50&streamid=#!::r=live/a,m=request", 100_000)
	wantTransport(t, got, err)
	if id := <-asked; id != "#!::r=live/a,m=request" {
		t.Errorf("the listener was asked for %q", id)
	}
}

func TestUDP(t *testing.T) {
	for _, tt := range []struct {
		name, url string
		header    []byte // before each datagram
	}{
		{"unicast", "udp://127.0.0.1:%s", nil},
		{"RTP", "udp://127.0.0.1:%s", []byte{0x80, 33, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}},
		{"RTP with an extension", "udp://127.0.0.1:%s", []byte{0x91, 33, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 0, 0, 0, 1, 8, 8, 8, 8}},
		{"multicast", "udp://239.77.1.1:%s?localaddr=127.0.0.1", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := freePort(t)
			send := sender(t, strings.Split(strings.TrimPrefix(tt.url, "udp://"), ":")[0], port)
			inTurns(t, func(b []byte) error {
				_ = send(append(bytes.Clone(tt.header), b...)) // nobody listens yet
				return nil
			})
			got, err := pull(t, here(), strings.Replace(tt.url, "%s", port, 1), 50_000)
			wantTransport(t, got, err)
		})
	}
}

// TestGroupsAreKeptApart checks that a source gets its own group only, though others
// of the same port are received on this machine.
func TestGroupsAreKeptApart(t *testing.T) {
	port := freePort(t)
	lo := loopbackInterface(t)
	other, err := net.ListenMulticastUDP("udp4", lo, &net.UDPAddr{IP: net.ParseIP("239.77.2.2"), Port: atoi(t, port)})
	if err != nil {
		t.Skipf("SKIP: the loopback interface takes no groups: %v", err)
	}
	defer func() { _ = other.Close() }()
	inTurns(t, sender(t, "239.77.2.2", port))
	s, err := source.Parse("udp://239.77.2.1:" + port + "?localaddr=127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	if n, err := other.Read(buf); err != nil || n == 0 {
		t.Fatalf("the other group is not received: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	to := &enough{want: 1}
	if err := New(here(), s).Feed(ctx, to); !errors.Is(err, context.DeadlineExceeded) || to.Len() > 0 {
		t.Errorf("got %d bytes of another group, %v", to.Len(), err)
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		url     string
		failure ffmpeg.Failure
		text    string
	}{
		{"rtmp://10.1.2.3/live/hunter2", ffmpeg.FailureForbidden, "private"},
		{"rtmps://[::1]/live/hunter2", ffmpeg.FailureForbidden, "loopback"},
		{"srt://10.1.2.3:9000?passphrase=hunter2-hunter2", ffmpeg.FailureForbidden, "private"},
		{"srt://[::1]:9000", ffmpeg.FailureForbidden, "loopback"},
		{"srt://127.0.0.1?streamid=hunter2", ffmpeg.FailureInvalid, "names no port"},
		{"srt://127.0.0.1:1?mode=listener", ffmpeg.FailureInvalid, "mode"},
		{"srt://127.0.0.1:1?latency=200000", ffmpeg.FailureInvalid, "milliseconds"},
		{"srt://127.0.0.1:1?passphrase=hunter2", ffmpeg.FailureInvalid, "Passphrase"},
		{"udp://8.8.8.8:5000", ffmpeg.FailureForbidden, "only where that is named"},
		{"udp://239.1.1.1:5000", ffmpeg.FailureForbidden, "only where that is named"},
		{"udp://group.example:5000", ffmpeg.FailureInvalid, "udp://address:port"},
		{"udp://239.77.1.1:5000?localaddr=192.0.2.7", ffmpeg.FailureInvalid, "no interface"},
		{"rtmp://127.0.0.1:1/live/hunter2", ffmpeg.FailureUnreachable, "connection refused"},
	} {
		t.Run(tt.url, func(t *testing.T) {
			_, err := pull(t, here(), tt.url, 1)
			wantFailure(t, err, tt.failure, tt.text)
		})
	}
}

// FuzzTransportPackets checks that what a datagram claims of itself leads nowhere.
func FuzzTransportPackets(f *testing.F) {
	f.Add([]byte{0x47, 0, 0})
	f.Add([]byte{0x80, 33, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0x47, 1, 2})
	f.Add([]byte{0xbf, 33, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0x47, 1, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := transportPackets(b); len(got) > len(b) || len(got) > 0 && got[0] != 0x47 {
			t.Errorf("got %x of %x", got, b)
		}
	})
}

// sender sends datagrams to an address, over the loopback interface.
func sender(t *testing.T, address, port string) func([]byte) error {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	to := &net.UDPAddr{IP: net.ParseIP(address), Port: atoi(t, port)}
	if to.IP.IsMulticast() {
		p := ipv4.NewPacketConn(c)
		if err := errors.Join(p.SetMulticastInterface(loopbackInterface(t)), p.SetMulticastLoopback(true)); err != nil {
			t.Fatal(err)
		}
	}
	return func(b []byte) error { _, err := c.WriteTo(b, to); return err }
}

func loopbackInterface(t *testing.T) *net.Interface {
	t.Helper()
	i, err := interfaceOf("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func freePort(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, port, _ := net.SplitHostPort(c.LocalAddr().String())
	return port
}

func atoi(t *testing.T, text string) int {
	t.Helper()
	n, err := net.LookupPort("udp", text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
