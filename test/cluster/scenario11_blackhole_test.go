package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/headrace/headrace/test/control"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/viewer"
)

// TestScenario11BlackHole checks that viewers do not notice when the control plane is
// behind a black hole, where connections stand and nothing comes through, and that what
// was changed meanwhile is in force within 3 s of its return.
func TestScenario11BlackHole(t *testing.T) {
	length := 15 * time.Second
	if edge.Thorough() {
		length = time.Minute
	}
	s := newStage(t, control.Config{}, "news", "sport")
	url := s.playback("news")
	watching, leave := context.WithCancel(t.Context())
	audience := make(chan *viewer.Stats, 1)
	go func() { audience <- viewer.Run(watching, viewer.Options{URL: url, Count: 20, Rampup: 2 * time.Second}) }()

	s.line.Cut()
	if err := s.control.Call("POST", "/v1/streams", control.TestStream("late"), nil); err != nil {
		t.Fatal(err)
	}
	<-time.After(length) // the length of the fault
	known := func() bool { _, known := s.edge.Streams()["late"]; return known }
	if known() {
		t.Error("the edge knows of the change: the line was not cut")
	}
	s.line.Mend()
	took := edge.Await(t, time.Minute, "the change to be in force", known)
	leave()
	stats := <-audience
	t.Logf("figures: converged after %v; audience: %v", took, stats)
	if took > 3*time.Second {
		t.Errorf("the change was in force %v after the return, want 3 s", took)
	}
	if stats.Errors > 0 || len(stats.Status) > 0 || stats.Missed > 0 || stats.Stalls > 0 {
		t.Errorf("viewers noticed: %v", stats)
	}
}
