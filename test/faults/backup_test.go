package faults

import (
	"testing"
	"time"

	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// TestBackupSourceTakesOver checks the order of sources: the backup takes over when
// the preferred one stops, and the preferred one comes back, without a gap, when it
// plays again (issue: ordered backup sources with return to the preferred one).
func TestBackupSourceTakesOver(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	first := s.feed("s-first", origin.Recipe{}, origin.Options{})
	second := s.feed("s-second", origin.Recipe{Height: 240}, origin.Options{})
	streams := []edge.Stream{edge.Copy("backed", s.URL(first), s.URL(second))}
	n := edge.Start(t, edge.Config{Streams: streams})
	n.AwaitLive(30 * time.Second)
	watch := startAudit(t, n, "backed")
	sights := observe(t, n, streams)
	awaitDelivered(t, sights, 2)
	if got := n.Stream("backed").SourceIndex; got != 0 {
		t.Fatalf("got source %d at the start, want the preferred one", got)
	}

	watch.expect("backed", "preferred source stops", 15*time.Second)
	stopped := time.Now()
	before := sights[0].Last()
	first.Stop()
	seen, err := sights[0].Beyond(30*time.Second, before.Discontinuity)
	if err != nil {
		t.Fatal(err)
	}
	over := seen.At.Sub(stopped)
	if got := n.Stream("backed"); got.SourceIndex != 1 || got.State != ingest.StateLive {
		t.Errorf("got source %d in state %s, want the backup live", got.SourceIndex, got.State)
	}

	awaitDelivered(t, sights, 2)
	healed := time.Now()
	first.Heal()
	edge.Await(t, time.Minute, "the preferred source to be back", func() bool { return n.Stream("backed").SourceIndex == 0 })
	back := time.Since(healed)
	awaitDelivered(t, sights, 2)
	if got := n.Stream("backed").Restarts[ingest.ReasonPreferred]; got != 1 {
		t.Errorf("got %d changes to the preferred source, want 1", got)
	}
	t.Logf("figures: backup after %v, preferred one back after %v", over.Round(time.Millisecond), back.Round(time.Millisecond))
	if over > 10*time.Second {
		t.Errorf("the backup's first segment came after %v, want at most 10 s", over)
	}
	noServerErrors(t, sights)
	watch.finish() // the way back costs no hole: none was declared
}
