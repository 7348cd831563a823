package assignment

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/nodehealth"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// node is a healthy edge of the group g; with changes it is another.
func node(id string, change ...func(*nodehealth.Node)) nodehealth.Node {
	n := nodehealth.Node{ID: id, GroupID: "g", State: nodehealth.Healthy, Weight: 1, Capacity: controlapi.Capacity{Streams: 100}}
	for _, f := range change {
		f(&n)
	}
	return n
}

func state(s nodehealth.State) func(*nodehealth.Node) {
	return func(n *nodehealth.Node) {
		n.State = s
		if s != nodehealth.Degraded && s != nodehealth.Healthy {
			n.Weight = 0
		}
	}
}

func gone(n *nodehealth.Node) {
	state(nodehealth.Down)(n)
	n.Confirmed = true
}

func has(streams ...string) func(*nodehealth.Node) {
	return func(n *nodehealth.Node) {
		n.Streams = make(map[string]nodehealth.Stream)
		for _, s := range streams {
			n.Streams[s] = nodehealth.Stream{ID: s, State: "live"}
		}
	}
}

func capacity(streams int) func(*nodehealth.Node) {
	return func(n *nodehealth.Node) { n.Capacity.Streams = streams }
}

// view sorts nodes as a view does.
func view(nodes ...nodehealth.Node) *nodehealth.View {
	slices.SortFunc(nodes, func(a, b nodehealth.Node) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return &nodehealth.View{At: now, Nodes: nodes}
}

// assigned is a stream that has been where it is for an hour.
func assigned(id, primary string, relays ...string) controlapi.Assignment {
	return controlapi.Assignment{StreamID: id, GroupID: "g", Rev: 3, Primary: primary, Relays: relays, Replicas: 1 + len(relays), MovedAt: now.Add(-time.Hour)}
}

func aged(a controlapi.Assignment, age time.Duration) controlapi.Assignment {
	a.MovedAt = now.Add(-age)
	return a
}

func pinned(a controlapi.Assignment, primary string, relays ...string) controlapi.Assignment {
	a.Pin = controlapi.Pin{Primary: primary, Relays: relays}
	return a
}

func replicas(a controlapi.Assignment, n int) controlapi.Assignment {
	a.Replicas = n
	return a
}

func TestPlan(t *testing.T) {
	fresh := controlapi.Assignment{StreamID: "s", GroupID: "g", Replicas: 1}
	for _, tt := range []struct {
		name   string
		stream controlapi.Assignment
		nodes  []nodehealth.Node
		want   string // reason: primary and relays; "" is no change
		later  bool
	}{
		{"nothing to do", assigned("s", "a", "b"), []nodehealth.Node{node("a"), node("b")}, "", false},
		{"a new stream", fresh, []nodehealth.Node{node("a")}, "new: a []", false},
		{"a new stream with a relay", replicas(fresh, 2), []nodehealth.Node{node("a", capacity(10)), node("b")}, "new: b [a]", false},
		{"more replicas than edges", replicas(fresh, 5), []nodehealth.Node{node("a"), node("b", capacity(10))}, "new: a [b]", false},
		{"no edge takes it", fresh, []nodehealth.Node{node("a", gone), node("b", state(nodehealth.Draining)), node("c", state(nodehealth.Joining))}, "", false},
		{"no edge of its group", fresh, []nodehealth.Node{node("a", func(n *nodehealth.Node) { n.GroupID = "other" })}, "", false},
		{"a healthy edge before a degraded one", fresh, []nodehealth.Node{node("a", state(nodehealth.Degraded)), node("b", capacity(2))}, "new: b []", false},
		{"a degraded edge before one that comes back", fresh, []nodehealth.Node{node("a", state(nodehealth.Degraded)), node("b", func(n *nodehealth.Node) { n.State, n.Weight = nodehealth.Probation, 0.1 })}, "new: a []", false},
		{"none that panic holds", fresh, []nodehealth.Node{node("a", state(nodehealth.Degraded), func(n *nodehealth.Node) { n.Reason = nodehealth.ReasonPanic })}, "", false},
		{"none whose score bars it", fresh, []nodehealth.Node{node("a", func(n *nodehealth.Node) { n.Weight = 0 })}, "", false},
		{"the warm relay is promoted", assigned("s", "a", "b", "c"), []nodehealth.Node{node("a", gone), node("b"), node("c", has("s")), node("d")}, "gone: c [b d]", false},
		{"no relay has it", assigned("s", "a", "b"), []nodehealth.Node{node("a", gone), node("b"), node("c", capacity(1000))}, "gone: c [b]", false},
		{"down, but not confirmed", assigned("s", "a", "b"), []nodehealth.Node{node("a", state(nodehealth.Down)), node("b", has("s"))}, "", false},
		{"quarantined", assigned("s", "a"), []nodehealth.Node{node("a", gone, state(nodehealth.Quarantined)), node("b")}, "gone: b []", false},
		{"degraded: it stays", assigned("s", "a"), []nodehealth.Node{node("a", state(nodehealth.Degraded)), node("b")}, "", false},
		{"joining: it stays", assigned("s", "a"), []nodehealth.Node{node("a", state(nodehealth.Joining)), node("b")}, "", false},
		{"its edge was taken away", assigned("s", "x"), []nodehealth.Node{node("b")}, "gone: b []", false},
		{"its edge is not known yet", aged(assigned("s", "x"), time.Second), []nodehealth.Node{node("b")}, "", false},
		{"moved a moment ago, and its new edge is gone", aged(assigned("s", "a", "b"), time.Second), []nodehealth.Node{node("a", gone), node("b", has("s"))}, "gone: b []", false},
		{"a relay is gone", assigned("s", "a", "b"), []nodehealth.Node{node("a"), node("b", gone), node("c")}, "replicas: a [c]", false},
		{"a relay is gone, a moment after a move", aged(assigned("s", "a", "b"), time.Second), []nodehealth.Node{node("a"), node("b", gone), node("c")}, "", true},
		{"a relay too many", replicas(assigned("s", "a", "b", "c"), 2), []nodehealth.Node{node("a"), node("b"), node("c")}, "replicas: a [b]", false},
		{"draining: first a relay", assigned("s", "a"), []nodehealth.Node{node("a", state(nodehealth.Draining)), node("b")}, "draining: a [b]", true},
		{"draining: the relay is not warm yet", aged(assigned("s", "a", "b"), 10*time.Second), []nodehealth.Node{node("a", state(nodehealth.Draining)), node("b")}, "", true},
		{"draining: the relay is warm", aged(assigned("s", "a", "b"), 10*time.Second), []nodehealth.Node{node("a", state(nodehealth.Draining)), node("b", has("s"))}, "draining: b []", false},
		{"draining: the relay never gets warm", aged(assigned("s", "a", "b"), 30*time.Second), []nodehealth.Node{node("a", state(nodehealth.Draining)), node("b")}, "draining: b []", false},
		{"draining: nowhere to go", assigned("s", "a"), []nodehealth.Node{node("a", state(nodehealth.Draining)), node("b", gone)}, "", false},
		{"draining: moved a moment ago", aged(assigned("s", "a"), time.Second), []nodehealth.Node{node("a", state(nodehealth.Draining)), node("b")}, "", true},
		{"pinned, new", pinned(fresh, "b"), []nodehealth.Node{node("a"), node("b")}, "new: b []", false},
		{"pinned elsewhere: first a relay", pinned(assigned("s", "a"), "b"), []nodehealth.Node{node("a", has("s")), node("b")}, "pinned: a [b]", true},
		{"pinned elsewhere: then the primary", pinned(aged(assigned("s", "a", "b"), time.Second), "b"), []nodehealth.Node{node("a", has("s")), node("b", has("s"))}, "pinned: b [a]", false},
		{"pinned, and its edge is gone: it waits", pinned(assigned("s", "a"), "a"), []nodehealth.Node{node("a", gone), node("b")}, "", false},
		{"pinned, and its edge is gone: the pinned relay", pinned(assigned("s", "a", "b"), "a", "b"), []nodehealth.Node{node("a", gone), node("b"), node("c", has("s"))}, "gone: b [a]", false},
		{"pinned, and its edge is back", pinned(assigned("s", "b", "a"), "a", "b"), []nodehealth.Node{node("a"), node("b", has("s"))}, "pinned: a [b]", false},
		{"full", fresh, []nodehealth.Node{node("a", capacity(0))}, "new: a []", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			moves, later := Plan(now, []controlapi.Assignment{tt.stream}, view(tt.nodes...))
			got := ""
			for _, m := range moves {
				got += fmt.Sprintf("%s: %s %v", m.Reason, m.Primary, m.Relays)
				if m.FromRev != tt.stream.Rev || m.From != tt.stream.Primary || m.StreamID != "s" || m.GroupID != "g" {
					t.Errorf("got %+v", m)
				}
			}
			if got != tt.want || later != tt.later {
				t.Errorf("got %q, later %v, want %q, %v", got, later, tt.want, tt.later)
			}
		})
	}
}

func TestCapacity(t *testing.T) {
	var streams []controlapi.Assignment
	for i := range 10 {
		streams = append(streams, controlapi.Assignment{StreamID: fmt.Sprint("s", i), GroupID: "g", Replicas: 1})
	}
	moves, _ := Plan(now, streams, view(node("a", capacity(2)), node("b", capacity(4))))
	counts := map[string]int{}
	for _, m := range moves {
		counts[m.Primary]++
	}
	if len(moves) != 6 || counts["a"] != 2 || counts["b"] != 4 {
		t.Errorf("got %v, want both edges full and no more", counts)
	}
}

func TestLimits(t *testing.T) {
	var streams []controlapi.Assignment
	for i := range 100 {
		streams = append(streams, assigned(fmt.Sprintf("s%03d", i), "a"))
	}
	t.Run("per second and group", func(t *testing.T) {
		moves, later := Plan(now, streams, view(node("a", gone), node("b", capacity(10_000))))
		if len(moves) != movesPerSecond || !later {
			t.Errorf("got %d moves, later %v, want %d and more later", len(moves), later, movesPerSecond)
		}
		for i := range moves {
			streams[i] = aged(assigned(moves[i].StreamID, "b"), 100*time.Millisecond)
		}
		if moves, _ := Plan(now, streams, view(node("a", gone), node("b", capacity(10_000)))); len(moves) != 0 {
			t.Errorf("got %d moves more within the second", len(moves))
		}
		for i := range movesPerSecond {
			streams[i] = aged(streams[i], time.Second)
		}
		if moves, _ := Plan(now, streams, view(node("a", gone), node("b", capacity(10_000)))); len(moves) != movesPerSecond {
			t.Errorf("got %d moves in the next second, want %d", len(moves), movesPerSecond)
		}
	})
	t.Run("share of what is free", func(t *testing.T) {
		var streams []controlapi.Assignment
		for i := range 50 {
			streams = append(streams, assigned(fmt.Sprintf("s%03d", i), "a"))
		}
		moves, later := Plan(now, streams, view(node("a", gone), node("b", capacity(20))))
		if len(moves) != 6 || !later {
			t.Errorf("got %d moves, later %v, want 6 of the 20 that are free", len(moves), later)
		}
		for i := range moves {
			streams[i] = aged(assigned(moves[i].StreamID, "b"), 2*time.Second)
		}
		if moves, _ := Plan(now, streams, view(node("a", gone), node("b", capacity(20)))); len(moves) != 0 {
			t.Errorf("got %d moves more within five seconds", len(moves))
		}
	})
	t.Run("another group has its own", func(t *testing.T) {
		other := func(n *nodehealth.Node) { n.GroupID = "h" }
		mixed := slices.Clone(streams)
		s := assigned("t", "c")
		s.GroupID = "h"
		moves, _ := Plan(now, append(mixed, s), view(node("a", gone), node("b", capacity(10_000)), node("c", gone, other), node("d", other)))
		if !slices.ContainsFunc(moves, func(m Move) bool { return m.StreamID == "t" && m.Primary == "d" }) {
			t.Errorf("the other group's stream was not moved: %+v", moves)
		}
	})
}
