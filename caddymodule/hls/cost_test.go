package hls_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/headrace/headrace/caddymodule/hls"
	"github.com/headrace/headrace/caddymodule/streamtoken"
)

// sink is a ResponseWriter that costs nothing.
type sink struct {
	header http.Header
	status int
	size   int
}

func (s *sink) Header() http.Header    { return s.header }
func (s *sink) WriteHeader(status int) { s.status = status }
func (s *sink) Write(b []byte) (int, error) {
	s.size += len(b)
	return len(b), nil
}

// chain is the matcher and the handler as the configuration in force has them.
type chain struct {
	matcher *streamtoken.Matcher
	handler *hls.Handler
}

func newChain(tb testing.TB) *chain {
	tb.Helper()
	c := &chain{new(streamtoken.Matcher), new(hls.Handler)}
	ctx := caddy.ActiveContext()
	if err := c.matcher.Provision(ctx); err != nil {
		tb.Fatal(err)
	}
	if err := c.handler.Provision(ctx); err != nil {
		tb.Fatal(err)
	}
	return c
}

func newCaddyRequest(path string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header["Accept-Encoding"] = []string{"gzip, deflate"}
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, new(caddyhttp.Server))
}

// serve answers a request that the matcher has seen.
func (c *chain) serve(tb testing.TB, w *sink, r *http.Request) {
	if err := c.handler.ServeHTTP(w, r, nil); err != nil || w.status != http.StatusOK {
		tb.Fatalf("status %d, error %v", w.status, err)
	}
}

// costs are the requests that viewers make all the time, and what one may allocate
// in the handler: the answer and its header values, and for a segment the text of
// its length.
var costs = []struct {
	name string
	path func(testing.TB, *site) string
	most float64
}{
	{"multivariant", func(tb testing.TB, _ *site) string { return live(tb, "/news/index.m3u8") }, 2},
	{"playlist", func(tb testing.TB, _ *site) string { return live(tb, "/news/low/index.m3u8") }, 2},
	{"segment", func(tb testing.TB, s *site) string { return live(tb, "/news/low/%d.ts", s.last(tb)) }, 3},
}

func TestAllocations(t *testing.T) {
	s := open(t)
	if underRace {
		t.Skip("the race detector allocates")
	}
	c := newChain(t)
	for _, cost := range costs {
		t.Run(cost.name, func(t *testing.T) {
			r := newCaddyRequest(cost.path(t, s))
			if !c.matcher.Match(r) {
				t.Fatal("not matched")
			}
			w := &sink{header: make(http.Header, 16)}
			if got := testing.AllocsPerRun(200, func() { c.serve(t, w, r) }); got > cost.most {
				t.Errorf("%v allocations, want at most %v", got, cost.most)
			}
		})
	}
}

func BenchmarkPlaylist(b *testing.B) { benchmark(b, 1) }

func BenchmarkSegment(b *testing.B) { benchmark(b, 2) }

// benchmark measures matcher and handler together, without the network.
func benchmark(b *testing.B, cost int) {
	s := open(b)
	c := newChain(b)
	r := newCaddyRequest(costs[cost].path(b, s))
	vars := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	w := &sink{header: make(http.Header, 16)}
	b.ReportAllocs()
	for b.Loop() {
		clear(vars)
		if !c.matcher.Match(r) {
			b.Fatal("not matched")
		}
		clear(w.header)
		c.serve(b, w, r)
	}
	b.SetBytes(int64(w.size / b.N))
}
