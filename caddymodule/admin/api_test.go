package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/headrace/headrace/caddymodule/admin"
	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/caddymodule/internal/edgetest"
)

// endpoint is Caddy's admin endpoint on a socket.
type endpoint struct {
	t      *testing.T
	client *http.Client
	config edgetest.Object
}

const password = "hunter2-in-a-url"

// serve runs an edge, with a stream that never delivers, behind an admin endpoint.
func serve(t *testing.T) endpoint {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	config := edgetest.Config(edgetest.Object{"edge": edgetest.Object{
		"state": filepath.Join(t.TempDir(), "state"), "ffmpeg": edgetest.IdleFFmpeg(t),
		"keys":    []edgetest.Object{{"reseller": "r1", "kid": "k1", "secret": "{env.HEADRACE_TEST_KEY}"}},
		"streams": []edgetest.Object{{"id": "news", "sources": []string{"https://viewer:" + password + "@origin.invalid/x.m3u8?key=" + password}}},
	}})
	t.Setenv("HEADRACE_TEST_KEY", edgetest.Secret)
	config["admin"] = edgetest.Object{"listen": "unix/" + socket, "config": edgetest.Object{"persist": false}}
	edgetest.Load(t, config)
	t.Cleanup(func() { // Caddy keeps its admin endpoint when it stops
		edgetest.Load(t, edgetest.Config(edgetest.Object{}))
	})
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return endpoint{t: t, client: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}, config: config}
}

// do sends a request and decodes the answer; nothing may tell a secret.
func (e endpoint) do(method, path string, wantStatus int) (answer any) {
	e.t.Helper()
	r, err := http.NewRequestWithContext(e.t.Context(), method, "http://admin"+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	w, err := e.client.Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = w.Body.Close() }()
	var body bytes.Buffer
	if _, err := body.ReadFrom(w.Body); err != nil {
		e.t.Fatal(err)
	}
	if w.StatusCode != wantStatus {
		e.t.Fatalf("%s %s: got %s %s, want %d", method, path, w.Status, &body, wantStatus)
	}
	for _, secret := range []string{password, edgetest.Secret} {
		if strings.Contains(body.String(), secret) {
			e.t.Errorf("%s %s tells a secret: %s", method, path, &body)
		}
	}
	if strings.HasPrefix(w.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(body.Bytes(), &answer); err != nil {
			e.t.Fatal(err)
		}
	}
	return answer
}

func member(t *testing.T, answer any, name string) any {
	t.Helper()
	object, ok := answer.(map[string]any)
	if !ok {
		t.Fatalf("got %v, want an object", answer)
	}
	return object[name]
}

func TestLiveAndReady(t *testing.T) {
	e := serve(t)
	if got := member(t, e.do("GET", "/edge/live", 200), "edge_id"); got != "edge-1" {
		t.Errorf("got edge %v, want edge-1", got)
	}
	if got := member(t, e.do("GET", "/edge/ready", 503), "reason"); got != string(edge.NoStream) {
		t.Errorf("got reason %v, want %s", got, edge.NoStream)
	}
}

func TestStreams(t *testing.T) {
	e := serve(t)
	edgetest.PID(t, edgetest.Host(t), "news")
	list, ok := e.do("GET", "/edge/streams", 200).([]any)
	if !ok || len(list) != 1 || member(t, list[0], "id") != "news" {
		t.Fatalf("got %v, want a list with news", list)
	}
	one := e.do("GET", "/edge/streams/news", 200)
	if got := member(t, one, "source"); got != "https://origin.invalid/x.m3u8" {
		t.Errorf("got source %v, want it without user and query", got)
	}
	for _, name := range []string{"state", "restarts", "log", "pid", "last_msn"} {
		if _, there := one.(map[string]any)[name]; !there {
			t.Errorf("the stream's status has no %s", name)
		}
	}
	problem, _ := member(t, e.do("GET", "/edge/streams/none", 404), "error").(string)
	if !strings.Contains(problem, "GET /edge/streams lists them") {
		t.Errorf("got error %q, want one with a remedy", problem)
	}
}

func TestRestart(t *testing.T) {
	e := serve(t)
	host := edgetest.Host(t)
	before := edgetest.PID(t, host, "news")
	e.do("POST", "/edge/streams/news/restart", 202)
	edgetest.Until(t, "the stream has another child", func() bool {
		pid := host.Engine().Lookup("news").Status().PID
		return pid != 0 && pid != before
	})
	e.do("POST", "/edge/streams/none/restart", 404)
	e.do("GET", "/edge/streams/news/restart", 405)
}

func TestDrain(t *testing.T) {
	e := serve(t)
	if got := e.do("POST", "/edge/drain", 200); member(t, got, "draining") != true || member(t, got, "ready") != false {
		t.Errorf("got %v, want draining and not ready", got)
	}
	e.config["apps"].(edgetest.Object)["edge"].(edgetest.Object)["capacity"] = edgetest.Object{"streams": 7}
	edgetest.Load(t, e.config)
	if got := member(t, e.do("GET", "/edge/ready", 503), "reason"); got != string(edge.Draining) {
		t.Errorf("after a reload: got reason %v, want %s", got, edge.Draining)
	}
	if got := member(t, e.do("DELETE", "/edge/drain", 200), "draining"); got != false {
		t.Errorf("got draining %v, want false", got)
	}
	if edgetest.Host(t).Draining() {
		t.Error("the edge still drains")
	}
}

func TestNoEdge(t *testing.T) {
	e := serve(t)
	edgetest.Load(t, edgetest.Object{"admin": e.config["admin"], "logging": e.config["logging"]})
	for _, path := range []string{"/edge/live", "/edge/ready", "/edge/streams", "/edge/streams/news"} {
		problem, _ := member(t, e.do("GET", path, 503), "error").(string)
		if !strings.Contains(problem, "load a configuration that has the edge app") {
			t.Errorf("%s: got error %q, want one with a remedy", path, problem)
		}
	}
}

// The dump of the configuration has the placeholder, not what it stands for.
func TestConfigDumpHasNoSecret(t *testing.T) {
	e := serve(t)
	keys := e.do("GET", "/config/apps/edge/keys", 200).([]any)
	if got := member(t, keys[0], "secret"); got != "{env.HEADRACE_TEST_KEY}" {
		t.Errorf("got secret %v, want the placeholder", got)
	}
}
