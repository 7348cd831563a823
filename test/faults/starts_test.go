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
	// A busy edge answers late: what it says was so at some time between the question
	// and the answer.
	type look struct {
		asked, answered time.Time
		starts          float64
	}
	see := func() (l look) {
		l.asked = time.Now()
		l.starts = n.Metrics().Sum("headrace_stream_starts_total")
		l.answered = time.Now()
		return l
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	first := see()
	last := first
	for time.Since(first.asked) < length {
		<-tick.C
		now := see()
		s.most = max(s.most, (now.starts-last.starts)/max(1, now.answered.Sub(last.asked).Seconds()))
		last = now
	}
	s.all = last.starts - first.starts
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
