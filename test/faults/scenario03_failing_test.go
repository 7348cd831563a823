package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// jitterBudget is how far healthy streams' segments may be off their time beside
// streams that fail (scenarios 3 and 4, p99).
const jitterBudget = 250 * time.Millisecond

// neighbours are healthy streams, whose cadence is measured.
type neighbours struct {
	streams  []edge.Stream
	cadences []*cadence
}

func newNeighbours(s studio, n int) *neighbours {
	var ns neighbours
	for i := range n {
		ns.streams = append(ns.streams, s.stream(fmt.Sprint("healthy-", i), origin.Recipe{}, origin.Options{}))
	}
	return &ns
}

// measure begins to measure; end gives what was off since.
func (ns *neighbours) measure(t *testing.T, n *edge.Node) {
	t.Helper()
	ns.cadences = nil
	for _, s := range ns.streams {
		ns.cadences = append(ns.cadences, startCadence(t, n, s.ID))
	}
}

func (ns *neighbours) end(name string) *figures {
	all := &figures{name: name}
	for _, c := range ns.cadences {
		off := c.end()
		all.times = append(all.times, off.times...)
	}
	return all
}

// TestScenario03FailingSource checks that a source that fails at once costs few
// starts, and its neighbours nothing: at most 8 starts in a minute, neighbours'
// segments p99 less than 250 ms off.
func TestScenario03FailingSource(t *testing.T) {
	s := newStudio(t)
	ns := newNeighbours(s, 3)
	dead := edge.Copy("dead", "http://"+closedPort(t)+"/live.ts")
	n := edge.Start(t, edge.Config{Streams: ns.streams})
	n.AwaitLive(30 * time.Second)
	ns.measure(t, n)
	<-time.After(20 * time.Second) // the length of the calm measurement
	calm := ns.end("jitter in calm")

	if err := n.Reload(edge.Config{Streams: append(ns.streams, dead)}); err != nil {
		t.Fatal(err)
	}
	ns.measure(t, n)
	<-time.After(time.Minute) // what the scenario measures
	beside := ns.end("jitter beside a failing source")
	starts := n.Metrics().Sum(`headrace_stream_starts_total{stream="dead"}`)
	t.Logf("figures: %.0f starts in a minute; %v; %v", starts, calm, beside)
	if starts < 3 || starts > 8 {
		t.Errorf("got %.0f starts in a minute, want 3 to 8", starts)
	}
	beside.judgeBeside(t, calm, 0.99, jitterBudget)
}

// TestScenario04CrashLoops checks that a hundred streams that crash together do
// not drown the node: at most 2 starts a second and core, neighbours as above, and
// the edge itself under a quarter of a core.
func TestScenario04CrashLoops(t *testing.T) {
	const crashing = 100
	s := newStudio(t)
	page := s.feed("page", origin.Recipe{}, origin.Options{})
	page.Answer(200, "text/html", "<!doctype html><title>no media</title>")
	ns := newNeighbours(s, 3)
	n := edge.Start(t, edge.Config{Streams: ns.streams})
	n.AwaitLive(30 * time.Second)
	ns.measure(t, n)
	<-time.After(20 * time.Second) // the length of the calm measurement
	calm := ns.end("jitter in calm")

	streams := ns.streams
	for i := range crashing {
		streams = append(streams, edge.Copy(fmt.Sprint("crashing-", i), s.URL(page)))
	}
	if err := n.Reload(edge.Config{Streams: streams}); err != nil {
		t.Fatal(err)
	}
	ns.measure(t, n)
	const measured = 40 * time.Second
	cpu := n.CPU()
	rate := startRate(n, measured)
	cores := float64(n.CPU()-cpu) / 100 / measured.Seconds()
	beside := ns.end("jitter beside 100 streams that crash")
	t.Logf("figures: at most %.0f starts in a second, %.0f in all; edge %.2f cores; %v; %v", rate.most, rate.all, cores, calm, beside)
	if rate.all < crashing {
		t.Errorf("got %.0f starts, want each of %d streams started at least once", rate.all, crashing)
	}
	rate.judge(t)
	if cores > 0.25 {
		t.Errorf("the edge took %.2f cores, want at most 0.25", cores)
	}
	beside.judgeBeside(t, calm, 0.99, jitterBudget)
}
