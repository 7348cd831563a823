package status_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/caddymodule/internal/caddyfiletest"
	"github.com/headrace/headrace/caddymodule/internal/edgetest"
	"github.com/headrace/headrace/caddymodule/status"
	"github.com/headrace/headrace/ingest"
)

func TestCaddyfile(t *testing.T) { caddyfiletest.Run(t, "testdata") }

// handler is one that was provisioned beside an edge with these streams, none of
// which ever delivers.
func handler(t *testing.T, streams ...edgetest.Object) (*status.Handler, *edge.Host) {
	t.Helper()
	edgetest.Load(t, edgetest.Config(edgetest.Object{"edge": edgetest.Object{
		"state": filepath.Join(t.TempDir(), "state"), "ffmpeg": edgetest.IdleFFmpeg(t),
		"capacity": edgetest.Object{"streams": 5, "egress": 1_000_000}, "streams": streams,
	}}))
	ctx, cancel := caddy.NewContext(caddy.ActiveContext())
	t.Cleanup(cancel)
	h := new(status.Handler)
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return h, edgetest.Host(t)
}

var stream = edgetest.Object{"id": "news", "sources": []string{"test:"}}

// ask serves a request; a handler error becomes its status, as Caddy does it.
func ask(h *status.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusTeapot)
		return nil
	})
	err := h.ServeHTTP(w, r, next)
	var httpError caddyhttp.HandlerError
	if errors.As(err, &httpError) {
		w.WriteHeader(httpError.StatusCode)
	}
	return w
}

func from(peer, method, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr = peer
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

const (
	local  = "127.0.0.1:40000"
	remote = "203.0.113.9:40000"
)

func TestServeHTTP(t *testing.T) {
	h, _ := handler(t)
	for _, tt := range []struct {
		name    string
		request *http.Request
		status  int
		body    string // compared if it is not empty
	}{
		{"live", from(remote, "GET", "/-/live"), 200, "ok\n"},
		{"live, method HEAD", from(remote, "HEAD", "/-/live"), 200, ""},
		{"ready without streams", from(remote, "GET", "/-/ready"), 200, "ready\n"},
		{"POST", from(remote, "POST", "/-/live"), 405, ""},
		{"OPTIONS", from(local, "OPTIONS", "/-/health"), 405, ""},
		{"unknown page", from(local, "GET", "/-/metrics"), 404, ""},
		{"no page", from(local, "GET", "/-/"), 404, ""},
		{"page below a page", from(local, "GET", "/-/live/x"), 404, ""},
		{"outside", from(remote, "GET", "/-"), 418, ""},
		{"outside, deeper", from(remote, "GET", "/x/-/live"), 418, ""},
		{"health for this machine", from(local, "GET", "/-/health"), 200, ""},
		{"health for IPv6 loopback", from("[::1]:40000", "GET", "/-/health"), 200, ""},
		{"health for mapped loopback", from("[::ffff:127.0.0.1]:40000", "GET", "/-/health"), 200, ""},
		{"health for others", from(remote, "GET", "/-/health"), 403, ""},
		{"health for who claims to be local", from(remote, "GET", "/-/health", "X-Forwarded-For", "127.0.0.1"), 403, ""},
		{"health through a local proxy", from(local, "GET", "/-/health", "X-Forwarded-For", "203.0.113.9"), 403, ""},
		{"health through a proxy that says Via", from(local, "GET", "/-/health", "Via", "1.1 proxy"), 403, ""},
		{"health for a peer without an address", from("@", "GET", "/-/health"), 403, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := ask(h, tt.request)
			if w.Code != tt.status {
				t.Errorf("got status %d, want %d", w.Code, tt.status)
			}
			if tt.body != "" && w.Body.String() != tt.body {
				t.Errorf("got body %q, want %q", w.Body, tt.body)
			}
			if got := w.Header().Get("Cache-Control"); tt.status != 418 && got != "no-store" {
				t.Errorf("got Cache-Control %q, want no-store", got)
			}
			if got := w.Header().Get("Allow"); (tt.status == 405) != (got == "GET, HEAD") {
				t.Errorf("got Allow %q", got)
			}
		})
	}
}

func TestReady(t *testing.T) {
	h, host := handler(t, stream)
	expect := func(status int, word string) {
		t.Helper()
		w := ask(h, from(remote, "GET", "/-/ready"))
		if w.Code != status || w.Body.String() != word+"\n" {
			t.Errorf("got %d %q, want %d %q", w.Code, w.Body, status, word)
		}
	}
	expect(503, "no_stream")
	edgetest.PID(t, host, "news") // its state does not change from here on
	host.Counters().State("news", ingest.StateLive)
	expect(200, "ready")
	host.SetDraining(true)
	expect(503, "draining")
	host.SetDraining(false)
	expect(200, "ready")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	expect(503, "starting")
}

func TestHealth(t *testing.T) {
	h, host := handler(t, stream)
	edgetest.PID(t, host, "news")
	w := ask(h, from(local, "GET", "/-/health"))
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("got Content-Type %q", got)
	}
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for member, want := range map[string]any{
		"edge_id": "edge-1", "state": "degraded", "score": 0.0, "sessions": 0.0, "clock_offset": nil,
	} {
		if value, there := got[member]; !there || value != want {
			t.Errorf("%s: got %v, want %v", member, value, want)
		}
	}
	if got := got["confinement"].(map[string]any); got["mode"] != "auto" || got["cgroup"] == "" || got["landlock"] == nil || got["own_user"] == nil {
		t.Errorf("got confinement %v", got)
	}
	if got := got["headroom"].(map[string]any); got["streams"] != 4.0 || got["egress"] != 1_000_000.0 || got["cpu"] != nil {
		t.Errorf("got headroom %v", got)
	}
	news := got["streams"].([]any)[0].(map[string]any)
	for member, want := range map[string]any{
		"id": "news", "state": "starting", "reason": "", "role": "primary", "assignment_rev": 0.0,
		"last_msn": 0.0, "segment_age": nil, "viewers": 0.0,
	} {
		if value, there := news[member]; !there || value != want {
			t.Errorf("stream's %s: got %v, want %v", member, value, want)
		}
	}
	if versions := got["versions"].(map[string]any); versions["ffmpeg"] != "7.1" || versions["go"] == "" || versions["edge"] == "" {
		t.Errorf("got versions %v", versions)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(ask(h, from(local, "GET", "/-/health")).Body.Bytes(), &got); err != nil || got["state"] != "starting" {
		t.Errorf("after the end: got state %v (%v), want starting", got["state"], err)
	}
}
