package assignment

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/nodehealth"
)

// table keeps assignments as the database does: a change is made if the revision is the
// one that it was decided on.
type table struct {
	mu      sync.Mutex
	streams map[string]controlapi.Assignment
	clock   func() time.Time
	changed chan struct{}
	numbers map[string]controlapi.Numbers
	// homes are the primaries that each stream has had, with when.
	homes map[string][]change
}

type change struct {
	primary string
	at      time.Time
}

func newTable(clock func() time.Time, streams ...controlapi.Assignment) *table {
	t := &table{streams: make(map[string]controlapi.Assignment), clock: clock, changed: make(chan struct{}), homes: make(map[string][]change), numbers: make(map[string]controlapi.Numbers)}
	for _, s := range streams {
		t.streams[s.StreamID] = s
	}
	return t
}

func (t *table) AllAssignments(context.Context) ([]controlapi.Assignment, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []controlapi.Assignment
	for _, a := range t.streams {
		all = append(all, a)
	}
	return all, nil
}

func (t *table) CommitAssignment(_ context.Context, stream string, fromRev int64, primary string, relays []string) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.streams[stream]
	if a.Rev != fromRev {
		return false, nil
	}
	if a.Primary != "" && a.Primary != primary {
		t.homes[stream] = append(t.homes[stream], change{primary, t.clock()})
	}
	a.Rev, a.Primary, a.Relays, a.MovedAt = a.Rev+1, primary, slices.Clone(relays), t.clock()
	t.streams[stream] = a
	return true, nil
}

func (t *table) RaiseNumbers(_ context.Context, numbers []controlapi.Numbers) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range numbers {
		t.numbers[n.StreamID] = n
	}
	return nil
}

func (t *table) Changed() <-chan struct{} { return t.changed }

func (t *table) all() []controlapi.Assignment {
	all, _ := t.AllAssignments(context.Background())
	slices.SortFunc(all, func(a, b controlapi.Assignment) int { return strings.Compare(a.StreamID, b.StreamID) })
	return all
}

// drawStates draws how an instance sees n edges.
func drawStates(t *rapid.T, n int, label string) []nodehealth.State {
	states := make([]nodehealth.State, n)
	for i := range states {
		states[i] = rapid.SampledFrom([]nodehealth.State{
			nodehealth.Healthy, nodehealth.Healthy, nodehealth.Healthy, nodehealth.Degraded, nodehealth.Down, nodehealth.Joining, nodehealth.Quarantined,
		}).Draw(t, fmt.Sprint(label, " edge ", i))
	}
	return states
}

// seen is the view of an instance, given what all instances see: an edge is confirmed to be
// gone if most say so.
func seen(t *rapid.T, instance int, states [][]nodehealth.State) *nodehealth.View {
	down := func(s nodehealth.State) bool { return s == nodehealth.Down || s == nodehealth.Quarantined }
	var nodes []nodehealth.Node
	for i, s := range states[instance] {
		votes := 0
		for _, other := range states {
			if down(other[i]) {
				votes++
			}
		}
		n := node(fmt.Sprint("edge-", i), state(s), capacity(rapid.IntRange(1, 40).Draw(t, "capacity")))
		n.Confirmed = 2*votes > len(states)
		nodes = append(nodes, n)
	}
	return view(nodes...)
}

func drawStreams(t *rapid.T, edges int) []controlapi.Assignment {
	var streams []controlapi.Assignment
	for i := range rapid.IntRange(1, 12).Draw(t, "streams") {
		a := controlapi.Assignment{StreamID: fmt.Sprintf("s%02d", i), GroupID: "g", Replicas: rapid.IntRange(1, 3).Draw(t, "replicas")}
		if rapid.IntRange(0, 4).Draw(t, "is assigned") > 0 {
			perm := rapid.Permutation(names(edges)).Draw(t, "edges of the stream")
			a.Rev, a.Primary, a.Relays, a.MovedAt = 5, perm[0], perm[1:min(len(perm), a.Replicas)], now.Add(-time.Hour)
		}
		if rapid.IntRange(0, 5).Draw(t, "is pinned") == 0 {
			a.Pin.Primary = rapid.SampledFrom(names(edges)).Draw(t, "pin")
		}
		streams = append(streams, a)
	}
	return streams
}

func names(n int) []string {
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprint("edge-", i))
	}
	return ids
}

// TestInstancesAgree lets instances that see things differently plan on old copies of the
// table and commit in any order (scenario 19): no stream moves twice within a minute, and
// in the end none of them wants anything else.
func TestInstancesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		edges, instances := rapid.IntRange(1, 5).Draw(t, "edges"), rapid.IntRange(2, 3).Draw(t, "instances")
		var states [][]nodehealth.State
		for i := range instances {
			states = append(states, drawStates(t, edges, fmt.Sprint("instance ", i)))
		}
		// What the operator wants is in the database: all see the same.
		for edge := range edges {
			if rapid.IntRange(0, 4).Draw(t, "drains") == 0 {
				for i := range states {
					states[i][edge] = nodehealth.Draining
				}
			}
		}
		views := make([]*nodehealth.View, instances)
		for i := range views {
			views[i] = seen(t, i, states)
		}
		clock := now
		db := newTable(func() time.Time { return clock }, drawStreams(t, edges)...)
		plans := make([][]Move, instances)
		for range 60 {
			i := rapid.IntRange(0, instances-1).Draw(t, "instance")
			if len(plans[i]) > 0 && rapid.Bool().Draw(t, "commits") {
				m := plans[i][0]
				plans[i] = plans[i][1:]
				_, _ = db.CommitAssignment(t.Context(), m.StreamID, m.FromRev, m.Primary, m.Relays)
			} else {
				plans[i], _ = Plan(clock, db.all(), views[i])
			}
			clock = clock.Add(time.Duration(rapid.IntRange(0, 900).Draw(t, "ms")) * time.Millisecond)
		}
		for stream, homes := range db.homes {
			if len(homes) > 1 {
				t.Fatalf("within %v stream %s was moved %d times: %v", clock.Sub(now), stream, len(homes), homes)
			}
		}
		settled := false
		for range 400 {
			clock = clock.Add(5 * time.Second)
			settled = true
			for i := range views {
				moves, later := Plan(clock, db.all(), views[i])
				settled = settled && len(moves) == 0 && !later
				for _, m := range moves {
					_, _ = db.CommitAssignment(t.Context(), m.StreamID, m.FromRev, m.Primary, m.Relays)
				}
			}
			if settled {
				break
			}
		}
		if !settled {
			t.Fatal("the instances never have what they want")
		}
		for stream, homes := range db.homes {
			if len(homes) > 2 {
				t.Fatalf("stream %s went from edge to edge: %v", stream, homes)
			}
		}
	})
}

// TestPlanIsSound checks every plan against what must hold whatever it decides.
func TestPlanIsSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		edges := rapid.IntRange(1, 6).Draw(t, "edges")
		states := drawStates(t, edges, "")
		states[rapid.IntRange(0, edges-1).Draw(t, "drained")] = nodehealth.Draining
		v := seen(t, 0, [][]nodehealth.State{states})
		streams := drawStreams(t, edges)
		moves, _ := Plan(now, streams, v)
		mixed := rapid.Permutation(streams).Draw(t, "another order")
		if again, _ := Plan(now, mixed, v); fmt.Sprint(again) != fmt.Sprint(moves) {
			t.Fatalf("got %v, and %v in another order", moves, again)
		}
		carried := make(map[string]int)
		is := make(map[string]controlapi.Assignment)
		for _, a := range streams {
			is[a.StreamID] = a
		}
		for _, m := range moves {
			a := is[m.StreamID]
			home, before := v.Lookup(m.Primary), v.Lookup(m.From)
			if m.Primary == m.From && slices.Equal(m.Relays, a.Relays) {
				t.Fatalf("a change that changes nothing: %+v", m)
			}
			if m.Moved() && (home == nil || !(home.Weight > 0)) {
				t.Fatalf("moved to an edge that takes nothing: %+v", m)
			}
			if m.Moved() && a.Pin.Primary != "" && m.Primary != a.Pin.Primary {
				t.Fatalf("a pinned stream went elsewhere: %+v", m)
			}
			if m.Moved() && before != nil && !before.Confirmed && before.State != nodehealth.Draining && a.Pin.Primary == "" {
				t.Fatalf("moved off an edge that works: %+v, %+v", m, before)
			}
			if slices.Contains(m.Relays, m.Primary) || len(slices.Compact(slices.Sorted(slices.Values(m.Relays)))) != len(m.Relays) {
				t.Fatalf("an edge has the stream twice: %+v", m)
			}
			a.Primary, a.Relays = m.Primary, m.Relays
			is[m.StreamID] = a
		}
		before := make(map[string]int)
		for _, a := range streams {
			for _, id := range append([]string{a.Primary}, a.Relays...) {
				before[id]++
			}
		}
		for _, a := range is {
			for _, id := range append([]string{a.Primary}, a.Relays...) {
				carried[id]++
			}
		}
		for _, n := range v.Nodes {
			if carried[n.ID] > max(before[n.ID], n.Capacity.Streams) && !slices.ContainsFunc(streams, func(a controlapi.Assignment) bool { return a.Pin.Primary == n.ID }) {
				t.Fatalf("edge %s carries %d streams of %d", n.ID, carried[n.ID], n.Capacity.Streams)
			}
		}
	})
}

// nodes are those of a Runner in a test.
type nodes struct {
	mu      sync.Mutex
	view    *nodehealth.View
	changed chan struct{}
}

func (n *nodes) View() *nodehealth.View {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.view
}

func (n *nodes) Changed() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}

func (n *nodes) set(v *nodehealth.View) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.view = v
	close(n.changed)
	n.changed = make(chan struct{})
}

// TestRunners has two instances on one table: an edge dies, and its streams are elsewhere
// at once, each moved once.
func TestRunners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var streams []controlapi.Assignment
		for i := range 30 {
			streams = append(streams, controlapi.Assignment{StreamID: fmt.Sprintf("s%02d", i), GroupID: "g", Replicas: 2})
		}
		db := newTable(time.Now, streams...)
		started := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var mu sync.Mutex
		told := 0
		all := []*nodes{{changed: make(chan struct{}), view: view()}, {changed: make(chan struct{}), view: view()}}
		for _, n := range all {
			r := &Runner{Store: db, Nodes: n, Logger: zap.NewNop(), Notify: func(context.Context, Move) {
				mu.Lock()
				defer mu.Unlock()
				told++
			}}
			running.Go(func() { r.Run(ctx) })
		}
		time.Sleep(time.Second)
		for _, a := range db.all() {
			if a.Primary != "" {
				t.Fatalf("%s was assigned before any edge was known", a.StreamID)
			}
		}
		for _, n := range all {
			n.set(view(node("a"), node("b"), node("c")))
		}
		time.Sleep(time.Second)
		for _, a := range db.all() {
			if a.Primary == "" || len(a.Relays) != 1 || a.Rev != 1 {
				t.Fatalf("got %+v", a)
			}
		}
		packaged := func(n *nodehealth.Node) {
			n.Streams = make(map[string]nodehealth.Stream)
			for _, a := range db.all() {
				if a.Primary == "a" {
					n.Streams[a.StreamID] = nodehealth.Stream{ID: a.StreamID, State: "live", MSN: 40, Discontinuity: 2}
				}
			}
		}
		all[0].set(view(node("a", packaged, gone), node("b"), node("c")))
		time.Sleep(300 * time.Millisecond) // the other instance sees it later
		all[1].set(view(node("a", packaged, gone), node("b"), node("c")))
		time.Sleep(2 * time.Second)
		for _, a := range db.all() {
			if a.Primary == "a" || len(db.homes[a.StreamID]) > 1 {
				t.Errorf("%s is on %s after %v: %v", a.StreamID, a.Primary, time.Since(started), db.homes[a.StreamID])
			}
			if n := db.numbers[a.StreamID]; (len(db.homes[a.StreamID]) > 0) != (n == controlapi.Numbers{StreamID: a.StreamID, MSN: 40, Discontinuity: 2}) {
				t.Errorf("%s was moved with the numbers %+v", a.StreamID, n)
			}
		}
		time.Sleep(2 * time.Minute)
		revs := int64(0)
		for _, a := range db.all() {
			revs += a.Rev
			if slices.Contains(a.Relays, "a") || len(a.Relays) != 1 {
				t.Errorf("%s has the relays %v", a.StreamID, a.Relays)
			}
		}
		cancel()
		running.Wait()
		if int64(told) != revs {
			t.Errorf("told of %d changes, and %d were committed", told, revs)
		}
	})
}

// BenchmarkPlan is a plan over 10,000 streams and 200 edges in which nothing is to be done.
func BenchmarkPlan(b *testing.B) {
	var nodes []nodehealth.Node
	for i := range 200 {
		nodes = append(nodes, node(fmt.Sprintf("edge-%03d", i)))
	}
	var streams []controlapi.Assignment
	for i := range 10_000 {
		streams = append(streams, assigned(fmt.Sprintf("s%05d", i), nodes[i%200].ID, nodes[(i+1)%200].ID))
	}
	v := view(nodes...)
	for b.Loop() {
		if moves, _ := Plan(now, streams, v); len(moves) != 0 {
			b.Fatalf("%+v", moves[0])
		}
	}
}
