package hls

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
)

// bareHost is an edge without an engine.
type bareHost struct{ verifier *token.Verifier }

func (h bareHost) Engine() *ingest.Engine    { return nil }
func (h bareHost) Verifier() *token.Verifier { return h.verifier }
func (h bareHost) Counters() *edge.Counters  { return new(edge.Counters) }
func (h bareHost) Draining() bool            { return false }

// A configuration that forgot the matcher serves nobody, whatever the token.
func TestWithoutMatcher(t *testing.T) {
	const secret = "test-secret-00000000000000000000000000000"
	key := token.KeyRef{Reseller: "r1", Kid: "k1"}
	verifier, err := token.NewVerifier(token.Config{
		Keys:       []token.Key{{KeyRef: key, Secret: secret}},
		DefaultKey: key,
		Grants:     map[string]token.Grant{"r1": {Show: []string{"news"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	good, err := token.Mint(token.Claims{Short: true, ID: "news", Expires: 9999999999}, secret)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		host bareHost
		path string
		want int
	}{
		{"a good token", bareHost{verifier}, "/live/" + good + "/news/index.m3u8", 403},
		{"a good token in another spelling", bareHost{verifier}, "//live/" + good + "/news/index.m3u8", 403},
		{"no token", bareHost{verifier}, "/live/", 403},
		{"an edge that starts", bareHost{}, "/live/" + good + "/news/index.m3u8", 503},
		{"elsewhere", bareHost{verifier}, "/index.html", 418},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := &Handler{host: c.host}
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, "http://edge"+c.path, nil)
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
			err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
				w.WriteHeader(http.StatusTeapot)
				return nil
			}))
			if err != nil || w.Code != c.want {
				t.Errorf("status %d, error %v; want %d", w.Code, err, c.want)
			}
			skip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.LogSkipVar).(bool)
			if skip != (c.want != http.StatusTeapot) {
				t.Errorf("left out of the access log: %v", skip)
			}
			if c.want == 403 && (w.Body.Len() > 0 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Access-Control-Allow-Origin") != "*") {
				t.Errorf("body %q, header %v", w.Body, w.Header())
			}
			if c.want == 503 && w.Header().Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
		})
	}
}
