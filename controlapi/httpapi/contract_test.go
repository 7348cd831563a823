package httpapi

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
)

func TestIdempotency(t *testing.T) {
	w := newWorld(t, nil)
	create := request{method: http.MethodPost, path: "/v1/resellers", key: w.operator, body: `{"name":"North"}`, once: "one"}
	first := w.send(t, create)
	again := w.send(t, create)
	if first.status != http.StatusCreated || again.status != http.StatusCreated || again.body != first.body || again.header.Get("ETag") != first.header.Get("ETag") {
		t.Errorf("the same request again: got %d %s, want %d %s", again.status, again.body, first.status, first.body)
	}
	if first.header.Get("Idempotency-Replayed") != "" || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("got Idempotency-Replayed %q and %q, want none and true", first.header.Get("Idempotency-Replayed"), again.header.Get("Idempotency-Replayed"))
	}
	for name, tt := range map[string]struct {
		change func(*request)
		want   controlapi.Code
	}{
		"another body":     {func(q *request) { q.body = `{"name":"South"}` }, controlapi.CodeIdempotencyKeyReused},
		"another path":     {func(q *request) { q.path, q.body = "/v1/groups", `{"name":"North"}` }, controlapi.CodeIdempotencyKeyReused},
		"no key":           {func(q *request) { q.once = "" }, controlapi.CodeIdempotencyKeyMissing},
		"a key with space": {func(q *request) { q.once = "a b" }, controlapi.CodeIdempotencyKeyMissing},
		"a long key":       {func(q *request) { q.once = strings.Repeat("k", 129) }, controlapi.CodeIdempotencyKeyMissing},
	} {
		t.Run(name, func(t *testing.T) {
			q := create
			tt.change(&q)
			if got := w.send(t, q); got.code(t) != string(tt.want) || got.status != meanings[tt.want].status {
				t.Errorf("got %d %s, want %s", got.status, got.body, tt.want)
			}
		})
	}
	// A refused request leaves nothing behind: its key is free.
	bad := create
	bad.once, bad.body = "two", `{"name":"x","parent_id":"nobody"}`
	w.want(t, http.StatusNotFound, bad)
	bad.body = `{"name":"x"}`
	w.want(t, http.StatusCreated, bad)
}

func TestPreconditions(t *testing.T) {
	w := newWorld(t, nil)
	w.make(t, w.operator, "/v1/groups", members{"id": "eu", "name": "Europe"})
	got := w.send(t, request{method: http.MethodGet, path: "/v1/groups/eu", key: w.operator})
	tag := got.header.Get("ETag")
	patch := func(ifMatch string) request {
		return request{method: http.MethodPatch, path: "/v1/groups/eu", key: w.operator, ifMatch: ifMatch, body: `{"name":"EU"}`}
	}
	w.want(t, http.StatusPreconditionRequired, patch(""))
	for _, other := range []string{`"0"`, `"-1"`, `"99"`, `1`, `W/"1"`, `"01"`, `*`, `"1", "2"`, `""`, `"`} {
		if got := w.send(t, patch(other)); got.status != http.StatusPreconditionFailed {
			t.Errorf("If-Match %s: got %d, want 412", other, got.status)
		}
	}
	w.want(t, http.StatusOK, patch(tag))
	w.want(t, http.StatusPreconditionFailed, patch(tag))
	two := patch(tag)
	two.header = http.Header{"If-Match": {tag, tag}}
	w.want(t, http.StatusPreconditionRequired, two)
}

func TestRefusesWhatItDoesNotKnow(t *testing.T) {
	w := newWorld(t, nil)
	const secret = "canary-passw0rd"
	for name, tt := range map[string]struct {
		request request
		status  int
		names   string // what the answer must name
	}{
		"member":          {request{method: http.MethodPost, path: "/v1/resellers", body: `{"name":"x","balance":"` + secret + `"}`}, 422, "body.balance"},
		"member's case":   {request{method: http.MethodPost, path: "/v1/resellers", body: `{"Name":"` + secret + `"}`}, 422, "body.Name"},
		"query":           {request{method: http.MethodGet, path: "/v1/users?limt=" + secret}, 422, "query.limt"},
		"type":            {request{method: http.MethodPost, path: "/v1/resellers", body: `{"name":["` + secret + `"]}`}, 422, "body.name"},
		"bound":           {request{method: http.MethodGet, path: "/v1/users?limit=201"}, 422, "query.limit"},
		"pattern":         {request{method: http.MethodPost, path: "/v1/streams", body: `{"name":"x","sources":["http://u:` + secret + `@h/ "]}`}, 422, "body.sources[0]"},
		"source":          {request{method: http.MethodPost, path: "/v1/streams", body: `{"name":"x","sources":["gopher://u:` + secret + `@h/"]}`}, 422, ""},
		"control":         {request{method: http.MethodPost, path: "/v1/resellers", body: `{"name":"a\u0000b"}`}, 422, "body.name"},
		"no body":         {request{method: http.MethodPost, path: "/v1/resellers"}, 400, ""},
		"no JSON":         {request{method: http.MethodPost, path: "/v1/resellers", body: `{"name":"` + secret}, 400, "body"},
		"too large":       {request{method: http.MethodPost, path: "/v1/resellers", body: `{"name":"` + strings.Repeat("x", bodyLimit) + `"}`}, 413, ""},
		"content type":    {request{method: http.MethodPost, path: "/v1/resellers", body: `x`, header: http.Header{"Content-Type": {"text/plain"}}}, 415, ""},
		"number too big":  {request{method: http.MethodPost, path: "/v1/resellers", body: `{"name":"x","credit_limit":1e300}`}, 422, "body.credit_limit"},
		"cursor":          {request{method: http.MethodGet, path: "/v1/users?after=bm9uZQ"}, 422, "after"},
		"path":            {request{method: http.MethodGet, path: "/v1/users/a.b"}, 422, "path.id"},
		"not UTF-8":       {request{method: http.MethodGet, path: "/v1/users?name=%ff"}, 400, ""},
		"NUL":             {request{method: http.MethodGet, path: "/v1/users?name=%00"}, 400, ""},
		"unknown path":    {request{method: http.MethodGet, path: "/v1/" + "nothing"}, 404, ""},
		"unknown method":  {request{method: http.MethodPut, path: "/v1/me"}, 405, "GET"},
		"a parent's part": {request{method: http.MethodPost, path: "/v1/resellers", body: `{"name":"x","path":"/operator/"}`}, 422, "body.path"},
	} {
		t.Run(name, func(t *testing.T) {
			q := tt.request
			q.key, q.once = w.operator, "new"
			got := w.send(t, q)
			if got.status != tt.status || got.code(t) == "" {
				t.Errorf("got %d %s, want a problem with status %d", got.status, got.body, tt.status)
			}
			if !strings.Contains(got.body, tt.names) {
				t.Errorf("got %s, want it to name %q", got.body, tt.names)
			}
			if strings.Contains(got.body, secret) {
				t.Errorf("the answer echoes what was sent: %s", got.body)
			}
		})
	}
	for _, entry := range w.logs.All() {
		for _, field := range entry.Context {
			if strings.Contains(field.String, secret) || strings.Contains(field.String, w.operator) {
				t.Errorf("the log holds a secret in %s: %s", field.Key, field.String)
			}
		}
	}
}

func TestAuthentication(t *testing.T) {
	w := newWorld(t, nil)
	for name, header := range map[string]string{
		"none": "", "no scheme": w.operator, "another scheme": "Basic " + w.operator, "cut": "Bearer " + w.operator[:len(w.operator)-1],
		"other secret": "Bearer " + w.operator[:len(w.operator)-1] + "_", "unknown": "Bearer hrk_aaaaaaaa_" + strings.Repeat("A", 43), "long": "Bearer " + strings.Repeat("A", 5000),
	} {
		t.Run(name, func(t *testing.T) {
			got := w.send(t, request{method: http.MethodGet, path: "/v1/me", header: http.Header{"Authorization": {header}}})
			if got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") == "" {
				t.Errorf("got %d %s, want 401", got.status, got.body)
			}
		})
	}
	reader := w.want(t, http.StatusCreated, request{method: http.MethodPost, path: "/v1/api-keys", key: w.operator, once: "new", body: `{"name":"r","permissions":["read"]}`})
	key, _ := reader["key"].(string)
	w.want(t, http.StatusOK, request{method: http.MethodGet, path: "/v1/users", key: key})
	got := w.send(t, request{method: http.MethodPost, path: "/v1/resellers", key: key, once: "new", body: `{"name":"x"}`})
	if got.status != http.StatusForbidden || !strings.Contains(got.body, "write") {
		t.Errorf("got %d %s, want 403 that names the permission", got.status, got.body)
	}
	w.want(t, http.StatusNoContent, request{method: http.MethodDelete, path: "/v1/api-keys/" + reader["id"].(string), key: w.operator, ifMatch: `"1"`})
	w.want(t, http.StatusUnauthorized, request{method: http.MethodGet, path: "/v1/users", key: key})
}

func TestLimits(t *testing.T) {
	t.Run("per key", func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.PerKey = Limit{Rate: 0.01, Burst: 3} })
		for range 3 {
			w.want(t, http.StatusOK, request{method: http.MethodGet, path: "/v1/me", key: w.operator})
		}
		got := w.send(t, request{method: http.MethodGet, path: "/v1/me", key: w.operator})
		after, err := strconv.Atoi(got.header.Get("Retry-After"))
		if got.status != http.StatusTooManyRequests || err != nil || after < 90 {
			t.Errorf("got %d, Retry-After %q, want 429 and about 100 s", got.status, got.header.Get("Retry-After"))
		}
	})
	t.Run("in flight", func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.MaxInFlight = 1 })
		w.api.inFlight.Add(1) // somebody is being answered
		got := w.send(t, request{method: http.MethodGet, path: "/v1/me", key: w.operator})
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("got %d, want 503 and Retry-After", got.status)
		}
		w.api.inFlight.Add(-1)
		w.want(t, http.StatusOK, request{method: http.MethodGet, path: "/v1/me", key: w.operator})
	})
}

func TestBuckets(t *testing.T) {
	b := newBuckets(Limit{Rate: 1, Burst: 2})
	now := time.Now()
	for i, tt := range []struct {
		after time.Duration
		wait  time.Duration
	}{{0, 0}, {0, 0}, {0, time.Second}, {500 * time.Millisecond, 500 * time.Millisecond}, {time.Second, 0}, {time.Second, time.Second}} {
		if got := b.take("a", now.Add(tt.after)); got != tt.wait {
			t.Errorf("request %d: got a wait of %v, want %v", i+1, got, tt.wait)
		}
	}
	if got := b.take("b", now); got != 0 {
		t.Errorf("another name: got a wait of %v, want none", got)
	}
	b.sweep(now.Add(time.Minute))
	if len(b.named) != 0 {
		t.Errorf("after a minute %d buckets are kept, want none", len(b.named))
	}
}

func TestOperation(t *testing.T) {
	w := newWorld(t, nil)
	w.want(t, http.StatusOK, request{method: http.MethodGet, path: "/healthz"})
	for _, path := range []string{"/openapi.json", "/openapi-3.0.json"} {
		w.want(t, http.StatusOK, request{method: http.MethodGet, path: path})
	}
	for _, path := range []string{"/docs", "/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"} {
		got := w.send(t, request{method: http.MethodGet, path: path})
		if got.status != http.StatusOK || !strings.Contains(got.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: got %d with the policy %q", path, got.status, got.header.Get("Content-Security-Policy"))
		}
	}
	// The recorder's requests come from 192.0.2.1.
	w.want(t, http.StatusUnauthorized, request{method: http.MethodGet, path: "/metrics"})
	got := w.send(t, request{method: http.MethodGet, path: "/metrics", key: w.operator})
	if got.status != http.StatusOK || !strings.Contains(got.body, `headrace_control_requests_total{route="GET /healthz",status="200"} 1`) {
		t.Errorf("metrics: got %d without the request for /healthz", got.status)
	}
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	if got := w.send(t, request{method: http.MethodGet, path: "/healthz"}); got.status != http.StatusServiceUnavailable {
		t.Errorf("without a database: got %d, want 503", got.status)
	}
}

func TestPanicIsAProblem(t *testing.T) {
	w := newWorld(t, nil)
	handler := w.api.front(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("broken") }))
	w.handler = handler
	got := w.send(t, request{method: http.MethodGet, path: "/v1/me"})
	if got.status != http.StatusInternalServerError || got.code(t) != string(controlapi.CodeInternal) || strings.Contains(got.body, "broken") {
		t.Errorf("got %d %s, want a problem that tells nothing", got.status, got.body)
	}
	if w.logs.FilterMessage("request panicked").Len() != 1 {
		t.Error("the panic is not in the log")
	}
	if w.api.inFlight.Load() != 0 {
		t.Error("the request counts as in flight for ever")
	}
}
