package faults

import (
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// TestScenario02StopFFmpeg checks the promise that an FFmpeg that hangs is found by
// its output and replaced (design.md, Failover; Budgets: hung → next new segment
// p95 7 s, max 9 s). SIGSTOP makes it hang as no error would.
func TestScenario02StopFFmpeg(t *testing.T) {
	s := newStudio(t)
	streams := []edge.Stream{
		s.stream("s02-gop2", origin.Recipe{}, origin.Options{}),
		s.stream("s02-gop1-live", origin.Recipe{GOP: time.Second}, origin.Options{Live: true}),
		edge.Copy("s02-test", "test:"),
	}
	n := edge.Start(t, edge.Config{Streams: streams})
	n.AwaitLive(30 * time.Second)
	watch := startAudit(t, n, ids(streams)...)
	sights := observe(t, n, streams)
	detected := figures{name: "SIGSTOP → replaced"}
	segment := figures{name: "SIGSTOP → new segment"}

	for _, stopped := range [][]int{{0, 1, 2}, {0, 1}} { // five in all
		awaitDelivered(t, sights, 2)
		before := make(map[int]edge.Sight)
		child := make(map[int]edge.Child)
		at := make(map[int]time.Time)
		for _, i := range stopped {
			before[i] = sights[i].Last()
			watch.expect(streams[i].ID, "SIGSTOP", 9*time.Second)
			at[i] = time.Now()
			child[i] = kill(t, n.Stream(streams[i].ID).PID, syscall.SIGSTOP)
		}
		found := make(map[int]bool)
		edge.Await(t, 20*time.Second, "the stopped FFmpegs to be replaced", func() bool {
			now := n.Streams()
			for _, i := range stopped {
				if !found[i] && now[streams[i].ID].PID != child[i].PID {
					found[i] = true
					detected.add(time.Since(at[i]))
				}
			}
			return len(found) == len(stopped)
		})
		for _, i := range stopped {
			seen, err := sights[i].Beyond(20*time.Second, before[i].Discontinuity)
			if err != nil {
				t.Fatalf("stream %s: %v", streams[i].ID, err)
			}
			segment.add(seen.At.Sub(at[i]))
			edge.Await(t, 10*time.Second, "the stopped FFmpeg to be gone", func() bool { return !child[i].Alive() })
		}
	}

	for i, want := range []int64{2, 2, 1} {
		status := n.Streams()[streams[i].ID]
		if got := status.Restarts[ingest.ReasonStalled]; got != want {
			t.Errorf("stream %s: got restarts %v, want %d for %q", streams[i].ID, status.Restarts, want, ingest.ReasonStalled)
		}
	}
	noServerErrors(t, sights)
	t.Logf("figures: %v; %v", &detected, &segment)
	detected.judge(t, 0.95, 3500*time.Millisecond)
	segment.judge(t, 0.95, 7*time.Second)
	segment.judge(t, 1, 9*time.Second)
}
