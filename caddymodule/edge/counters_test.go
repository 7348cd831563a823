package edge

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
)

func TestCounters(t *testing.T) {
	c := newCounters()
	c.Token(token.Accepted)
	c.Token(token.Expired)
	c.Token(token.Reason(200)) // of a newer token package: not counted
	c.Request(KindSegment, 200, 1000)
	c.Request(KindSegment, 206, 10)
	c.Request(KindPlaylist, 418, 5)
	c.Request(RequestKind(99), 403, 0)
	c.Sent(KindLive, 7)
	c.Started("news")
	c.Restarted("news", ingest.ReasonStalled)
	c.Published("news", 300)
	c.State("news", ingest.StateLive)
	c.Started("gone")
	c.Removed("gone")
	got := gather(t, c)
	for name, want := range map[string]int{
		"headrace_token_checks_total":    len(token.Reasons()),
		"headrace_requests_total":        int(kinds) * (len(statuses) + 1),
		"headrace_stream_restarts_total": len(ingest.Reasons()),
		"headrace_stream_state":          len(ingest.States()),
	} {
		n := 0
		for series := range got {
			if strings.HasPrefix(series, name+"{") {
				n++
			}
		}
		if n != want {
			t.Errorf("%s: got %d series, want %d: the whole closed set", name, n, want)
		}
	}
	want := map[string]float64{
		`headrace_token_checks_total{reason="accepted"}`:                 1,
		`headrace_token_checks_total{reason="expired"}`:                  1,
		`headrace_requests_total{code="200",kind="segment"}`:             1,
		`headrace_requests_total{code="206",kind="segment"}`:             1,
		`headrace_requests_total{code="other",kind="playlist"}`:          1,
		`headrace_requests_total{code="403",kind="other"}`:               1,
		`headrace_response_bytes_total{kind="segment"}`:                  1010,
		`headrace_response_bytes_total{kind="playlist"}`:                 5,
		`headrace_response_bytes_total{kind="live"}`:                     7,
		`headrace_stream_starts_total{stream="news"}`:                    1,
		`headrace_stream_restarts_total{reason="stalled",stream="news"}`: 1,
		`headrace_segments_total{stream="news"}`:                         1,
		`headrace_segment_bytes_total{stream="news"}`:                    300,
		`headrace_stream_state{state="live",stream="news"}`:              1,
	}
	for series, value := range got {
		if value == 0 {
			delete(got, series)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is not zero (-want +got):\n%s", diff)
	}
}

// gather collects every series into a map, by name and labels.
func gather(t *testing.T, collectors ...prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		if err := registry.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	return Series(t, registry)
}

// A pedantic registry, which is what Caddy has, refuses a collector that does
// not hold to its own description.
func TestCollectorsArePedantic(t *testing.T) {
	h := newHost()
	h.Counters().State("news", ingest.StateLive)
	got := gather(t, h.collectors...)
	if got[`headrace_stream_state{state="live",stream="news"}`] != 1 || got["headrace_sessions{}"] != 0 {
		t.Errorf("got %v, want counters and gauges", got)
	}
}

func TestMetricNames(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	h := newHost()
	h.Counters().Published("news", 1)
	registry.MustRegister(h.collectors...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("got %v, %v, want no problems with names and help texts", problems, err)
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	c := newCounters()
	c.Published("news", 1)
	got := testing.AllocsPerRun(100, func() {
		c.Token(token.Accepted)
		c.Request(KindSegment, 200, 1000)
		c.Published("news", 1)
	})
	if got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

func TestCountersFromManyGoroutines(t *testing.T) {
	c := newCounters()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				c.Request(KindPlaylist, 200, 1)
				c.Restarted("news", ingest.ReasonKilled)
				c.State("news", ingest.StateWaiting)
				c.anyIn(ingest.StateLive)
			}
		})
	}
	for range 5 {
		gather(t, c)
	}
	wg.Wait()
	if got := c.SentBytes(); got != 1600 {
		t.Errorf("got %d bytes, want 1600", got)
	}
}

func BenchmarkRequest(b *testing.B) {
	c := newCounters()
	b.ReportAllocs()
	for b.Loop() {
		c.Request(KindSegment, 200, 1000)
	}
}
