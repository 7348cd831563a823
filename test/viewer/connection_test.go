package viewer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// counting starts a server that counts its connections.
func counting(t *testing.T, start func(*httptest.Server), h http.HandlerFunc) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	server := httptest.NewUnstartedServer(h)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			n.Add(1)
		}
	}
	start(server)
	t.Cleanup(server.Close)
	return server, &n
}

func TestConnection(t *testing.T) {
	long := strings.Repeat("x", 300_000)
	tests := []struct {
		name    string
		start   func(*httptest.Server)
		handler http.HandlerFunc
		want    string
		// connections is how many three requests in a row take.
		connections int64
	}{
		{"Content-Length", (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "300000")
			_, _ = io.WriteString(w, long)
		}, long, 1},
		{"chunked", (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, long[:1])
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, long[1:])
		}, long, 1},
		{"empty", (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {}, "", 1},
		{"no body", (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotModified) }, "", 1},
		{"TLS", (*httptest.Server).StartTLS, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "x") }, "x", 1},
		{"server closes each time", (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			_, _ = io.WriteString(w, "x")
		}, "x", 3},
		{"redirect", (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				http.Redirect(w, r, "/there", http.StatusFound)
				return
			}
			_, _ = io.WriteString(w, "x")
		}, "x", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server, connections := counting(t, tt.start, tt.handler)
			c := &connection{tls: &tls.Config{RootCAs: roots(server)}}
			defer c.close()
			for range 3 {
				if got := fetch(t, c, server.URL+"/"); got != tt.want {
					t.Errorf("got %d bytes, want %d", len(got), len(tt.want))
				}
			}
			if got := connections.Load(); got != tt.connections {
				t.Errorf("got %d connections, want %d", got, tt.connections)
			}
		})
	}
}

func TestConnectionIsReplacedWhenTheServerClosedIt(t *testing.T) {
	server, connections := counting(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "x")
	})
	c := &connection{}
	defer c.close()
	fetch(t, c, server.URL)
	server.CloseClientConnections()
	fetch(t, c, server.URL)
	if got := connections.Load(); got != 2 {
		t.Errorf("got %d connections, want 2", got)
	}
}

func TestConnectionFailsOnceOnly(t *testing.T) {
	var requests atomic.Int64
	server, _ := counting(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) > 1 {
			panic(http.ErrAbortHandler) // the connection breaks without an answer
		}
	})
	c := &connection{}
	defer c.close()
	fetch(t, c, server.URL)
	req := newRequest(t.Context(), t, server.URL)
	if resp, err := c.RoundTrip(req); err == nil {
		resp.Body.Close()
		t.Error("got an answer, want an error")
	}
	// One on the kept connection, one on a new one; no more.
	if got := requests.Load(); got != 3 {
		t.Errorf("got %d requests, want 3", got)
	}
}

func TestConnectionEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	server, _ := counting(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		<-release
	})
	defer close(release) // before the server waits for its handlers
	c := &connection{}
	defer c.close()
	ctx, cancel := context.WithCancel(t.Context())
	req := newRequest(ctx, t, server.URL)
	resp, err := c.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the body ended without an error")
	}
	resp.Body.Close()
	if c.conn != nil {
		t.Error("the broken connection is kept")
	}
}

// roots are the certificates that a server may be trusted by.
func roots(server *httptest.Server) (pool *x509.CertPool) {
	if server.Certificate() != nil {
		pool = x509.NewCertPool()
		pool.AddCert(server.Certificate())
	}
	return pool
}

// fetch makes one request and returns the body.
func fetch(t *testing.T, c *connection, address string) string {
	t.Helper()
	resp, err := (&http.Client{Transport: c}).Do(newRequest(t.Context(), t, address))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// newRequest makes a client's request.
func newRequest(ctx context.Context, t *testing.T, address string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}
