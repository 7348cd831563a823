package faults

import (
	"runtime"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
)

// starts is how many children an edge started.
type starts struct {
	all  float64
	most float64 // in any second that was looked at
}

// startRate counts an edge's starts for a while, second by second.
func startRate(n *edge.Node, length time.Duration) (s starts) {
	count := func() float64 { return n.Metrics().Sum("headrace_stream_starts_total") }
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	first := count()
	last, at := first, time.Now()
	for began := time.Now(); time.Since(began) < length; {
		<-tick.C
		now, seen := time.Now(), count()
		// A look that came late saw more than a second.
		s.most = max(s.most, (seen-last)/max(1, now.Sub(at).Seconds()))
		last, at = seen, now
	}
	s.all = last - first
	return s
}

// judge holds the node's limit: 2 starts a second and core. Two looks may lie
// around a boundary of the limiter's own second.
func (s starts) judge(t *testing.T) {
	t.Helper()
	if limit := float64(2*runtime.NumCPU()) + 1; s.most > limit {
		t.Errorf("got %.1f starts in a second, want at most %.0f", s.most, limit)
	}
}
