package streamtoken

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/caddymodule/session"
	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
)

const (
	secret      = "a-secret-for-tests-of-32-characters"
	otherSecret = "another-secret-for-tests-of-32-chars"
	clientIP    = "203.0.113.9"
)

// fakeHost is an edge with keys and without streams.
type fakeHost struct {
	verifier *token.Verifier
	sessions *session.Table
	counters *edge.Counters
}

func (h *fakeHost) Engine() *ingest.Engine               { return nil }
func (h *fakeHost) Verifier() *token.Verifier            { return h.verifier }
func (h *fakeHost) Await(context.Context, time.Duration) {}

func (h *fakeHost) Sessions() *session.Table { return h.sessions }
func (h *fakeHost) Counters() *edge.Counters { return h.counters }

// newMatcher returns a matcher of an edge where r1 may show news and sport, and
// other edges may relay news; ann's friend eve is denied.
func newMatcher(tb testing.TB) (*Matcher, *fakeHost) {
	tb.Helper()
	verifier, err := token.NewVerifier(token.Config{
		Keys: []token.Key{
			{KeyRef: token.KeyRef{Reseller: "r1", Kid: "k1"}, Secret: secret},
			{KeyRef: token.KeyRef{Reseller: token.EdgeReseller, Kid: "k1"}, Secret: otherSecret},
		},
		DefaultKey: token.KeyRef{Reseller: "r1", Kid: "k1"},
		Grants: map[string]token.Grant{
			"r1":               {Show: []string{"news", "sport"}},
			token.EdgeReseller: {Relay: []string{"news"}},
		},
		Denied: []token.Denial{{Reseller: "r1", User: "eve", Until: 9999999999}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	h := &fakeHost{verifier: verifier, sessions: session.NewTable(0), counters: new(edge.Counters)}
	return &Matcher{host: h, logger: zap.NewNop()}, h
}

// signed returns a token of ann's for news, changed as asked.
func signed(tb testing.TB, change func(*token.Claims)) string {
	tb.Helper()
	c := token.Claims{
		Kid: "k1", Reseller: "r1", User: "ann", Scope: token.OneStream, ID: "news",
		Expires: time.Now().Add(time.Hour).Unix(),
	}
	key := secret
	if change != nil {
		change(&c)
	}
	if c.Reseller == token.EdgeReseller {
		key = otherSecret
	}
	text, err := token.Mint(c, key)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// newRequest returns a request as Caddy hands it to matchers.
func newRequest(method, uri string) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		panic(err)
	}
	r.URL = u
	r.RequestURI = uri
	r.RemoteAddr = clientIP + ":4711"
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, new(caddyhttp.Server))
}

// varsOf returns the request's variables.
func varsOf(ctx context.Context) map[string]any {
	return ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
}
