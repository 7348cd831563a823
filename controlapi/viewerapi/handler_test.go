package viewerapi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/headrace/headrace/controlapi"
)

// door answers as it is told.
type door struct {
	byToken func(ctx context.Context, stream, token string, client netip.Addr) (string, error)
	byKey   func(ctx context.Context, stream string, key controlapi.Secret, client netip.Addr) (string, error)
}

func (d door) EnterByToken(ctx context.Context, stream, token string, client netip.Addr) (string, error) {
	return d.byToken(ctx, stream, token, client)
}

func (d door) EnterByKey(ctx context.Context, stream string, key controlapi.Secret, client netip.Addr) (string, error) {
	return d.byKey(ctx, stream, key, client)
}

const canary = "hpk_aaaaaaaa_canary"

// open lets everybody in who brings the canary, and says what it was asked.
func open() door {
	return door{
		byToken: func(_ context.Context, stream, token string, client netip.Addr) (string, error) {
			return "https://edge/live/" + token + "/" + stream + "/index.m3u8#" + client.String(), nil
		},
		byKey: func(_ context.Context, stream string, key controlapi.Secret, client netip.Addr) (string, error) {
			switch stream {
			case "ended":
				return "", controlapi.Errorf(controlapi.CodeForbidden, "The subscription has ended")
			case "unknown":
				return "", controlapi.NotFound("stream")
			case "down":
				return "", controlapi.Errorf(controlapi.CodeUnavailable, "the database does not answer")
			case "broken":
				return "", errors.New("a fault of ours")
			}
			if key.Reveal() != canary {
				return "", controlapi.Errorf(controlapi.CodeUnauthenticated, "the credential is not known")
			}
			return "https://edge/live/t/" + stream + "/index.m3u8#" + client.String(), nil
		},
	}
}

func TestEntry(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	mux := http.NewServeMux()
	mux.Handle("/play/{stream}", New(open(), Options{Log: zap.New(core)}))
	for name, tt := range map[string]struct {
		method, url string
		status      int
		location    string
		says        string
	}{
		"token":           {http.MethodGet, "/play/501?token=1.k2:9:ab", http.StatusFound, "https://edge/live/1.k2:9:ab/501/index.m3u8#192.0.2.1", ""},
		"key":             {http.MethodGet, "/play/501?key=" + canary, http.StatusFound, "https://edge/live/t/501/index.m3u8#192.0.2.1", ""},
		"other parameter": {http.MethodGet, "/play/501?utm=x&key=" + canary, http.StatusFound, "https://edge/live/t/501/index.m3u8#192.0.2.1", ""},
		"head":            {http.MethodHead, "/play/501?key=" + canary, http.StatusFound, "https://edge/live/t/501/index.m3u8#192.0.2.1", ""},
		"options":         {http.MethodOptions, "/play/501", http.StatusNoContent, "", ""},
		"post":            {http.MethodPost, "/play/501?key=" + canary, http.StatusMethodNotAllowed, "", "watching"},
		"nothing":         {http.MethodGet, "/play/501", http.StatusBadRequest, "", "exactly one"},
		"two tokens":      {http.MethodGet, "/play/501?token=a&token=b", http.StatusBadRequest, "", "exactly one"},
		"token and key":   {http.MethodGet, "/play/501?token=a&key=" + canary, http.StatusBadRequest, "", "exactly one"},
		"long":            {http.MethodGet, "/play/501?token=" + strings.Repeat("a", 321), http.StatusBadRequest, "", "exactly one"},
		"bad escape":      {http.MethodGet, "/play/501?token=%zz", http.StatusBadRequest, "", "exactly one"},
		"bad id":          {http.MethodGet, "/play/a.b?key=" + canary, http.StatusNotFound, "", "no such channel"},
		"unknown":         {http.MethodGet, "/play/unknown?key=" + canary, http.StatusNotFound, "", "no such channel"},
		"another key":     {http.MethodGet, "/play/501?key=hpk_other", http.StatusForbidden, "", "not valid"},
		"ended":           {http.MethodGet, "/play/ended?key=" + canary, http.StatusForbidden, "", "The subscription has ended."},
		"down":            {http.MethodGet, "/play/down?key=" + canary, http.StatusServiceUnavailable, "", "in a moment"},
		"broken":          {http.MethodGet, "/play/broken?key=" + canary, http.StatusServiceUnavailable, "", "in a moment"},
	} {
		t.Run(name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			mux.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), tt.method, tt.url, nil))
			h := rec.Header()
			if rec.Code != tt.status || h.Get("Location") != tt.location {
				t.Errorf("got %d to %q, want %d to %q", rec.Code, h.Get("Location"), tt.status, tt.location)
			}
			if h.Get("Cache-Control") != "no-store" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("got the headers %v, want no-store, CORS and no referrer", h)
			}
			body := rec.Body.String()
			if !strings.Contains(body, tt.says) || strings.Contains(body, canary) || tt.says == "" && body != "" {
				t.Errorf("got the body %q, want words about %q", body, tt.says)
			}
			if again := h.Get("Retry-After") != ""; again != (tt.status == http.StatusServiceUnavailable) {
				t.Errorf("got Retry-After %q with %d", h.Get("Retry-After"), tt.status)
			}
		})
	}
	for _, line := range logs.All() {
		for _, field := range line.Context {
			if strings.Contains(field.String, canary) {
				t.Errorf("the log holds the key: %s", field.String)
			}
		}
	}
	if logs.Len() != 2 {
		t.Errorf("got %d log lines, want one for what is down and one for what is broken", logs.Len())
	}
}

// TestSheds holds the one place, and wants the next viewer to be asked to come again.
func TestSheds(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	slow := open()
	slow.byToken = func(context.Context, string, string, netip.Addr) (string, error) {
		close(inside)
		<-leave
		return "https://edge/", nil
	}
	entry := New(slow, Options{MaxInFlight: 1})
	done := make(chan int)
	ask := func() int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/play/501?token=a", nil)
		r.SetPathValue("stream", "501")
		rec := httptest.NewRecorder()
		entry.ServeHTTP(rec, r)
		return rec.Code
	}
	go func() { done <- ask() }()
	<-inside
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("with the place taken: got %d, want 503", got)
	}
	close(leave)
	if got := <-done; got != http.StatusFound {
		t.Errorf("the one inside: got %d, want 302", got)
	}
}
