package cluster

import (
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
)

// TestScenario08KillJoinedEdge checks that an edge that was killed while its control
// plane is down comes back from its last good snapshot: it checks tokens within 1.5 s,
// with as many FFmpegs as before, and none is left of its last life.
func TestScenario08KillJoinedEdge(t *testing.T) {
	rounds := 5
	if edge.Thorough() {
		rounds = 20
	}
	s := newStage(t, "news", "sport")
	url := s.playback("news")
	s.control.Kill()
	var longest, first time.Duration
	for round := range rounds {
		children := s.edge.Children()
		if len(children) != 2 {
			t.Errorf("life %d: got %d child processes, want one for each of 2 streams", round, len(children))
		}
		s.edge.Signal(syscall.SIGKILL)
		_ = s.edge.AwaitExit(10 * time.Second)
		s.edge.Launch()
		longest = max(longest, s.edge.AwaitServing())
		edge.Await(t, 20*time.Second, "the first playlist", func() bool { return status(url) == 200 })
		first = max(first, time.Since(s.edge.Started()))
		for _, c := range children {
			if c.Alive() {
				t.Errorf("life %d: %v of the life before still runs", round, c)
			}
		}
		s.edge.AwaitStreams(30*time.Second, "news", "sport")
	}
	t.Logf("figures: %d lives without the control plane, tokens checked within %v after exec, first playlist within %v", rounds, longest.Round(time.Millisecond), first.Round(time.Millisecond))
	if longest > 1500*time.Millisecond {
		t.Errorf("tokens were checked %v after exec, want 1.5 s", longest)
	}
	if first > 6*time.Second { // the budget of 3.5 s is for sources that copy; these are encoded
		t.Errorf("the first playlist came %v after exec, want 6 s", first)
	}
}
