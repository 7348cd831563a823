package hls

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

func TestAllowance(t *testing.T) {
	h := new(Handler)
	h.setDefaults()
	cases := []struct {
		size int
		want time.Duration
	}{
		{0, 10 * time.Second},
		{160 << 10, 20 * time.Second},
		{800 << 10, 60 * time.Second},
		{64 << 20, 60 * time.Second},
	}
	for _, c := range cases {
		if got := h.allowance(c.size); got != c.want {
			t.Errorf("%d bytes: got %v, want %v", c.size, got, c.want)
		}
	}
}

// A reader below the documented rate is cut off in time; one above it gets all.
func TestSlowReaders(t *testing.T) {
	const size = 16 << 20 // more than the buffers of a connection
	h := &Handler{WriteIdle: caddy.Duration(2 * time.Second)}
	h.setDefaults()
	cases := []struct {
		name string
		rate int // bytes per second
		cut  bool
	}{
		{"stands still", 0, true},
		{"1 KB/s", 1 << 10, true},
		{"a quarter of what it takes", size / 8, true},
		{"twice what it takes", size, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			wrote := make(chan error, 1)
			server := httptest.NewServer(asCaddy(func(w http.ResponseWriter, r *http.Request) {
				wrote <- h.send(newAnswer(w, r), make([]byte, size))
			}))
			defer server.Close()
			conn := ask(t, server.Listener.Addr())
			defer conn.Close()
			stop := make(chan struct{})
			defer close(stop)
			go read(conn, c.rate, stop)
			select {
			case err := <-wrote:
				if (err != nil) != c.cut {
					t.Errorf("written with error %v, want cut %v", err, c.cut)
				}
			case <-time.After(20 * time.Second):
				t.Error("still writing")
			}
		})
	}
}

// asCaddy guards writes as Caddy's server does by default.
func asCaddy(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		idle := &caddyhttp.IdleTimeoutWriter{
			ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w},
			Ctrl:                  http.NewResponseController(w),
			Deadline:              caddyhttp.IdleDeadline{Start: time.Now(), Timeout: time.Minute},
			Logger:                zap.NewNop(),
		}
		defer idle.HandlerDone()
		next(idle, r.WithContext(caddyhttp.ContextWithIdleTimeouts(r.Context(), nil, idle)))
	})
}

// ask sends a request over a connection that buffers little.
func ask(t *testing.T, addr net.Addr) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: edge\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// read takes so many bytes a second.
func read(conn net.Conn, rate int, stop <-chan struct{}) {
	const perSecond = 100
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	buf := make([]byte, rate/perSecond)
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		if len(buf) == 0 {
			continue
		}
		if _, err := io.ReadFull(conn, buf); err != nil {
			return
		}
	}
}
