package guard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/headrace/headrace/ingest/ffmpeg"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopback is what tests of real connections allow.
var loopback = Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// child is a client that uses a proxy as a child does.
type child struct {
	t     *testing.T
	proxy *Proxy
	http  http.Client
}

func open(t *testing.T, policy Policy, from string) *child {
	t.Helper()
	u, err := url.Parse(from)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(policy).Open(u)
	if err != nil {
		t.Fatal(err)
	}
	through, err := url.Parse(strings.TrimPrefix(p.Environment(), "http_proxy="))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(through)}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		p.Close()
	})
	return &child{t, p, http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (c *child) get(address string) (status int, body string) {
	c.t.Helper()
	resp, err := c.http.Get(address)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, "broken off"
	}
	return resp.StatusCode, string(text)
}

// wantFailure checks what the proxy says of the source.
func (c *child) wantFailure(failure ffmpeg.Failure, text string) {
	c.t.Helper()
	got, _ := c.proxy.Failure()
	switch {
	case got == nil && failure == ffmpeg.FailureNone:
	case got == nil || got.Failure != failure || !strings.Contains(got.Error(), text):
		c.t.Errorf("got failure %v, want %q with %q", got, failure, text)
	case strings.Contains(got.Error(), "hunter2"):
		c.t.Errorf("the failure tells the secret: %v", got)
	}
}

// serve runs an origin.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

const tsPacket = "G\x1f\xff"

func TestProxyGivesTheSource(t *testing.T) {
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if r.URL.Path != "/live/hunter2.ts" || r.URL.RawQuery != "key=hunter2" || user != "u" || password != "hunter2" || r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("the origin got %s, user %q, headers %v", r.URL, user, r.Header)
		}
		w.Header().Set("Content-Type", "video/mp2t")
		_, _ = io.WriteString(w, tsPacket)
	})
	c := open(t, loopback, strings.Replace(origin.URL, "http://", "http://u:hunter2@", 1)+"/live/hunter2.ts?key=hunter2#x")
	if status, body := c.get("http://source/news/stream"); status != http.StatusOK || body != tsPacket {
		t.Errorf("got %d %q, want the source", status, body)
	}
	c.wantFailure(ffmpeg.FailureNone, "")
}

func TestProxyServesNobodyElse(t *testing.T) {
	origin := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("somebody else reached the source") })
	c := open(t, loopback, origin.URL)
	transport := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
		return url.Parse(fmt.Sprintf("http://child:guess@127.0.0.1:%d", c.proxy.Port()))
	}}
	defer transport.CloseIdleConnections()
	for _, address := range []string{"http://source/", origin.URL, strings.Replace(origin.URL, "http", "https", 1)} {
		resp, err := (&http.Client{Transport: transport}).Get(address)
		if err != nil {
			continue // CONNECT was refused
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusProxyAuthRequired {
			t.Errorf("%s: got %d, want 407", address, resp.StatusCode)
		}
	}
}

func TestProxyServesOnlySurrogates(t *testing.T) {
	origin := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the child reached an address of its own choice") })
	c := open(t, loopback, origin.URL)
	for _, address := range []string{origin.URL + "/x", "http://media/", "http://media/file/etc/passwd", "http://media/tcp/127.0.0.1:1/", "http://source.example/"} {
		if status, _ := c.get(address); status/100 == 2 {
			t.Errorf("%s: got %d, want it refused", address, status)
		}
	}
	resp, err := c.http.Post("http://source/", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: got %d, want 405", resp.StatusCode)
	}
	if _, err := c.http.Get("https://source/"); err == nil {
		t.Error("CONNECT was answered")
	}
}

func TestProxyRewritesPlaylists(t *testing.T) {
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.RequestURI() {
		case "/a/index.m3u8?key=hunter2":
			http.Redirect(w, r, "/b/index.m3u8", http.StatusFound)
		case "/b/index.m3u8":
			_, _ = io.WriteString(w, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8?t=1\n")
		case "/b/v.m3u8?t=1":
			_, _ = io.WriteString(w, "#EXTM3U\n#EXTINF:2,\n1.ts\n")
		case "/b/1.ts":
			_, _ = io.WriteString(w, tsPacket)
		default:
			t.Errorf("the origin was asked for %s", r.URL)
		}
	})
	host := strings.TrimPrefix(origin.URL, "http://")
	c := open(t, loopback, origin.URL+"/a/index.m3u8?key=hunter2")
	variant := "http://playlist/http/" + host + "/b/v.m3u8?t=1"
	if _, body := c.get("http://source/news/index.m3u8"); !strings.HasSuffix(body, "\n"+variant+"\n") {
		t.Fatalf("got %q, want it to list %s", body, variant)
	}
	segment := "http://media/http/" + host + "/b/1.ts"
	if _, body := c.get(variant); !strings.HasSuffix(body, "\n"+segment+"\n") {
		t.Fatalf("got %q, want it to list %s", body, segment)
	}
	if _, body := c.get(segment); body != tsPacket {
		t.Errorf("got %q, want the segment", body)
	}
	c.wantFailure(ffmpeg.FailureNone, "")
}

func TestProxyKeepsCookies(t *testing.T) {
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("session"); err == nil && c.Value == "hunter2" {
			_, _ = io.WriteString(w, tsPacket)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "hunter2", Path: "/"})
		http.Redirect(w, r, "/again", http.StatusFound)
	})
	c := open(t, loopback, origin.URL)
	if _, body := c.get("http://source/"); body != tsPacket {
		t.Errorf("got %q, want the source: its cookie was not kept", body)
	}
}

// TestProxyRefusesWhatIsOutOfPlace is how a playlist that lists itself ends.
func TestProxyRefusesWhatIsOutOfPlace(t *testing.T) {
	const multivariant = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n"
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/multivariant":
			_, _ = io.WriteString(w, multivariant)
		case "/media":
			_, _ = io.WriteString(w, "#EXTM3U\n#EXTINF:2,\nmedia\n")
		case "/large":
			_, _ = io.WriteString(w, "#EXTM3U\n"+strings.Repeat("#\n", maxPlaylist))
		case "/zipped":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "bomb")
		case "/header":
			w.Header().Set("X", strings.Repeat("x", 2*maxResponseHeader))
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/gopher":
			http.Redirect(w, r, "gopher://127.0.0.1/", http.StatusFound)
		case "/metadata":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		default:
			_, _ = io.WriteString(w, tsPacket)
		}
	})
	host := strings.TrimPrefix(origin.URL, "http://")
	for _, tt := range []struct {
		role, path string
		failure    ffmpeg.Failure
		text       string
	}{
		{"playlist", "/multivariant", ffmpeg.FailureInvalid, "lists playlists itself"},
		{"media", "/multivariant", ffmpeg.FailureInvalid, "is a playlist"},
		{"media", "/media", ffmpeg.FailureInvalid, "is a playlist"},
		{"playlist", "/segment.ts", ffmpeg.FailureInvalid, "is none"},
		{"playlist", "/large", ffmpeg.FailureInvalid, "more than"},
		{"playlist", "/zipped", ffmpeg.FailureInvalid, "encoding"},
		{"media", "/zipped", ffmpeg.FailureInvalid, "encoding"},
		{"media", "/header", ffmpeg.FailureUnreachable, "header"},
		{"media", "/loop", ffmpeg.FailureUnreachable, "redirected more than"},
		{"media", "/gopher", ffmpeg.FailureForbidden, `scheme "gopher"`},
		{"media", "/metadata", ffmpeg.FailureForbidden, "cloud metadata"},
	} {
		t.Run(tt.role+tt.path, func(t *testing.T) {
			c := open(t, loopback, origin.URL+"/")
			if status, body := c.get("http://" + tt.role + "/http/" + host + tt.path); status/100 == 2 {
				t.Errorf("got %d %.40q, want it refused", status, body)
			}
			c.wantFailure(tt.failure, tt.text)
		})
	}
}

func TestProxySaysWhy(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	_ = listener.Close()
	answer := func(status int) string {
		return serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }).URL
	}
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	secure.StartTLS()
	t.Cleanup(secure.Close)
	cut := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, tsPacket)
	})
	for _, tt := range []struct {
		name, url string
		policy    Policy
		status    int
		failure   ffmpeg.Failure
		text      string
	}{
		{"nobody listens", "http://" + closed + "/hunter2?hunter2", loopback, 502, ffmpeg.FailureUnreachable, "connection refused"},
		{"not found", answer(404) + "/hunter2", loopback, 404, ffmpeg.FailureStatus, "404 Not Found"},
		{"unwell", answer(500), loopback, 500, ffmpeg.FailureStatus, "500 Internal"},
		{"unauthorized", answer(401), loopback, 401, ffmpeg.FailureRefused, "401 Unauthorized"},
		{"forbidden by the origin", answer(403), loopback, 403, ffmpeg.FailureRefused, "403 Forbidden"},
		{"no such name", "http://nowhere.invalid/hunter2", loopback, 502, ffmpeg.FailureUnreachable, "nowhere.invalid"},
		{"a certificate that nobody signed", secure.URL, loopback, 502, ffmpeg.FailureUnreachable, "certificate"},
		{"loopback", answer(200), Policy{}, 403, ffmpeg.FailureForbidden, "loopback"},
		{"loopback by name", "http://localhost:1/", Policy{}, 403, ffmpeg.FailureForbidden, "loopback"},
		{"broken off", cut.URL, loopback, 200, ffmpeg.FailureUnreachable, "broke off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := open(t, tt.policy, tt.url)
			if status, _ := c.get("http://source/"); status != tt.status {
				t.Errorf("got %d, want %d", status, tt.status)
			}
			c.wantFailure(tt.failure, tt.text)
		})
	}
}

// TestDisguises is the corpus of scenario 26: what stands for an address that is
// refused, in any notation that a resolver or a parser may understand.
func TestDisguises(t *testing.T) {
	canary, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	hit := make(chan string, 100)
	go func() {
		for {
			c, err := canary.Accept()
			if err != nil {
				return
			}
			hit <- c.LocalAddr().String()
			_ = c.Close()
		}
	}()
	defer func() { _ = canary.Close() }()
	_, port, _ := net.SplitHostPort(canary.Addr().String())
	for _, host := range []string{
		"127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1", "127.0.0.1.",
		"0", "0.0.0.0", "localhost", "LOCALHOST", "localhost.", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
		"[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::1%25lo]", "①②⑦.0.0.1", "127。0。0。1", "127.0.0.1%00.example",
	} {
		t.Run(host, func(t *testing.T) {
			p, err := New(Policy{}).Open(&url.URL{Scheme: "http", Host: host + ":" + port, Path: "/"})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			resp, err := p.fetch(ctx, p.source, nil)
			if err == nil {
				_ = resp.Body.Close()
				t.Error("it was answered")
			}
			t.Logf("%v", err)
		})
	}
	// The machine's own addresses are refused as well, whatever they are.
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		ip, _, _ := strings.Cut(a.String(), "/")
		_, err := New(Policy{}).DialContext(t.Context(), "tcp", net.JoinHostPort(ip, port))
		var refused *ForbiddenError
		if !errors.As(err, &refused) {
			t.Errorf("%s, an address of this machine: got %v", ip, err)
		}
	}
	select {
	case at := <-hit:
		t.Errorf("the canary was hit at %s", at)
	default:
	}
}

// TestPolicyChanges checks that a reload counts for the next connection.
func TestPolicyChanges(t *testing.T) {
	origin := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tsPacket) })
	g := New(Policy{})
	dial := func() error {
		c, err := g.DialContext(t.Context(), "tcp", strings.TrimPrefix(origin.URL, "http://"))
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	if dial() == nil {
		t.Error("loopback is reachable by default")
	}
	g.SetPolicy(loopback)
	if err := dial(); err != nil {
		t.Errorf("loopback was allowed: %v", err)
	}
	g.SetPolicy(Policy{})
	if dial() == nil {
		t.Error("loopback is reachable though it was taken away")
	}
}

// TestProxyHandsOnAtOnce checks that nothing of a live stream waits for more.
func TestProxyHandsOnAtOnce(t *testing.T) {
	more := make(chan struct{})
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for {
			_, _ = io.WriteString(w, tsPacket)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-more:
			case <-r.Context().Done():
				return
			}
		}
	})
	c := open(t, loopback, origin.URL)
	resp, err := c.http.Get("http://source/")
	if err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(resp.Body)
	for range 3 {
		got := make([]byte, len(tsPacket))
		if _, err := io.ReadFull(body, got); err != nil || string(got) != tsPacket {
			t.Fatalf("got %q, %v", got, err)
		}
		more <- struct{}{}
	}
	_ = resp.Body.Close()
}
