package httpapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/keyring"
	"github.com/headrace/headrace/controlapi/sqlstore"
)

// world is an API on a database of its own, and the operator's key.
type world struct {
	api      *API
	store    *sqlstore.Store
	handler  http.Handler
	operator string
	logs     *observer.ObservedLogs
	keys     atomic.Int64 // of idempotency
}

// newWorld starts an API on SQLite. Limits are out of the way unless the test sets some.
func newWorld(t *testing.T, change func(*Options)) *world {
	t.Helper()
	dir := t.TempDir()
	keys, err := keyring.Open(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatalf("opening the key file: %v", err)
	}
	store, err := sqlstore.Open(t.Context(), filepath.Join(dir, "control.db"), keys, sqlstore.Options{})
	if err != nil {
		t.Fatalf("opening the database: %v", err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("closing the database: %v", err)
		}
	})
	core, logs := observer.New(zapcore.DebugLevel)
	options := Options{PerKey: Limit{Rate: 1e6, Burst: 1e6}, PerTenant: Limit{Rate: 1e6, Burst: 1e6}, Log: zap.New(core)}
	if change != nil {
		change(&options)
	}
	api := New(Services{Store: store, Playback: decided{store}, Health: seen{}}, options)
	return &world{api: api, store: store, handler: api.Handler(), operator: operatorKey(t, store), logs: logs}
}

// operatorKey makes a key of the operator that may do everything.
func operatorKey(t *testing.T, store *sqlstore.Store) string {
	t.Helper()
	_, secret, err := store.CreateAPIKey(t.Context(), store.LocalOperator(), controlapi.APIKeyCreate{Name: "test", Permissions: controlapi.Permissions()})
	if err != nil {
		t.Fatalf("making the operator's key: %v", err)
	}
	return secret.Reveal()
}

// answerOf is what came back.
type answerOf struct {
	status int
	header http.Header
	body   string
}

// request is one to the API; what is empty is left out.
type request struct {
	method, path, key, body string
	ifMatch                 string
	once                    string // Idempotency-Key; "new": one of its own
	header                  http.Header
}

func (w *world) send(t *testing.T, q request) answerOf {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), q.method, q.path, strings.NewReader(q.body))
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.key != "" {
		r.Header.Set("Authorization", "Bearer "+q.key)
	}
	if q.ifMatch != "" {
		r.Header.Set("If-Match", q.ifMatch)
	}
	switch q.once {
	case "":
	case "new":
		r.Header.Set("Idempotency-Key", "k"+strconv.FormatInt(w.keys.Add(1), 10))
	default:
		r.Header.Set("Idempotency-Key", q.once)
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	body, err := io.ReadAll(rec.Body)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return answerOf{rec.Code, rec.Header(), string(body)}
}

// want sends a request that must be answered with a status, and reads the answer.
func (w *world) want(t *testing.T, status int, q request) map[string]any {
	t.Helper()
	got := w.send(t, q)
	if got.status != status {
		t.Fatalf("%s %s %s: got %d, want %d: %s", q.method, q.path, q.body, got.status, status, got.body)
	}
	return got.json(t)
}

// make creates something and gives its id.
func (w *world) make(t *testing.T, key, path string, body any) string {
	t.Helper()
	made := w.want(t, http.StatusCreated, request{method: http.MethodPost, path: path, key: key, body: text(t, body), once: "new"})
	id, _ := made["id"].(string)
	return id
}

func (a answerOf) json(t *testing.T) map[string]any {
	t.Helper()
	if a.body == "" {
		return nil
	}
	var out map[string]any
	dec := json.NewDecoder(bytes.NewReader([]byte(a.body)))
	if err := dec.Decode(&out); err != nil {
		t.Fatalf("reading the answer %q: %v", a.body, err)
	}
	return out
}

// code is that of a problem; empty for anything else.
func (a answerOf) code(t *testing.T) string {
	t.Helper()
	if a.header.Get("Content-Type") != "application/problem+json" {
		return ""
	}
	code, _ := a.json(t)["code"].(string)
	return code
}

func text(t *testing.T, body any) string {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
