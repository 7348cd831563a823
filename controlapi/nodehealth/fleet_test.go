package nodehealth

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// world is a group of edges with faults, as one instance sees it.
type world struct {
	r     *rand.Rand
	fleet *fleet
	now   time.Time
	edges []*simulated
	// cut tells that this instance reaches nobody.
	cut bool
	// instances and others are how many there are, and what they say.
	instances int
	drains    bool
}

// simulated is one edge of the world, and what the test remembers of it.
type simulated struct {
	id     string
	dead   bool
	slow   bool
	sick   bool // its streams do not move
	drain  bool
	consul Opinion
	behind bool
	next   time.Time // probe
	bads   int       // failed probes in a row
	downs  []time.Time
}

func newWorld(seed uint64) *world {
	r := rand.New(rand.NewPCG(seed, 1))
	w := &world{r: r, fleet: newFleet(), now: start, instances: 1 + r.IntN(4), drains: r.IntN(2) == 0}
	for i := range 3 + r.IntN(6) {
		w.edges = append(w.edges, &simulated{id: fmt.Sprint("edge-", i), consul: Passing, next: start.Add(time.Duration(r.IntN(1000)) * time.Millisecond)})
	}
	w.inventory()
	return w
}

func (w *world) inventory() {
	var targets []controlapi.ProbeTarget
	for _, e := range w.edges {
		t := controlapi.ProbeTarget{ID: e.id, GroupID: "g", URL: "https://" + e.id, ProbeKey: make([]byte, 32), State: controlapi.EdgeActive}
		if e.drain {
			t.State = controlapi.EdgeDraining
		}
		targets = append(targets, t)
	}
	w.fleet.targets(w.now, targets)
	w.fleet.version(w.now, 1, 7)
}

// fate changes what is wrong in the world.
func (w *world) fate() {
	flip := func(b *bool, one, back int) {
		if *b {
			*b = w.r.IntN(back) != 0
		} else {
			*b = w.r.IntN(one) == 0
		}
	}
	flip(&w.cut, 120, 15)
	for _, e := range w.edges {
		flip(&e.dead, 60, 8)
		flip(&e.slow, 80, 12)
		flip(&e.sick, 80, 12)
		flip(&e.behind, 80, 6)
		if w.drains {
			flip(&e.drain, 150, 30)
		}
		if w.r.IntN(20) == 0 {
			e.consul = []Opinion{NoOpinion, Passing, Warning, Critical}[w.r.IntN(4)]
		}
	}
}

// heal ends every fault.
func (w *world) heal() {
	w.cut = false
	for _, e := range w.edges {
		*e = simulated{id: e.id, consul: Passing, next: e.next, bads: e.bads, downs: e.downs}
	}
}

// second lets a second pass, in which every edge is probed about once.
func (w *world) second(t *testing.T) {
	t.Helper()
	w.inventory()
	w.fleet.tally = tally{instances: w.instances, down: map[string]int{}}
	for _, e := range w.edges {
		if e.dead && w.instances > 1 {
			w.fleet.tally.down[e.id] = w.instances - 1 // the others are not cut off
		}
		w.fleet.nodes[e.id].opinion = e.consul
	}
	end := w.now.Add(time.Second)
	for {
		e := slices.MinFunc(w.edges, func(a, b *simulated) int { return a.next.Compare(b.next) })
		if e.next.After(end) {
			break
		}
		w.now = e.next
		e.next = e.next.Add(900*time.Millisecond + time.Duration(w.r.IntN(200))*time.Millisecond)
		if e.dead || w.cut {
			w.fleet.failed(e.id, "dead")
			e.bads++
		} else {
			w.fleet.answered(w.now, e.id, e.document(), e.latency(w.r), 0)
			e.bads = 0
		}
		w.check(t, w.fleet.step(w.now))
	}
	w.now = end
	w.check(t, w.fleet.step(w.now))
}

func (e *simulated) document() *Document {
	d := &Document{EdgeID: e.id, State: "healthy", FreshShare: 1, Load: 0.2}
	if e.sick {
		d.FreshShare = 0.5
	}
	d.Snapshot.Epoch, d.Snapshot.Version = 1, 7
	if e.behind {
		d.Snapshot.Version = 6
	}
	return d
}

func (e *simulated) latency(r *rand.Rand) time.Duration {
	if e.slow {
		return 400*time.Millisecond + time.Duration(r.IntN(100))*time.Millisecond
	}
	return time.Duration(1+r.IntN(30)) * time.Millisecond
}

// allowed are the ways of the table.
var allowed = map[State][]State{
	Joining:     {Healthy, Degraded, Down, Draining},
	Healthy:     {Degraded, Down, Quarantined, Draining},
	Degraded:    {Healthy, Down, Quarantined, Draining},
	Down:        {Probation, Draining},
	Probation:   {Healthy, Degraded, Down, Quarantined, Draining},
	Draining:    {Probation, Down, Quarantined},
	Quarantined: {Probation},
}

// check tells which promise a step has broken.
func (w *world) check(t *testing.T, changes []Change) {
	t.Helper()
	for _, c := range changes {
		e := w.lookup(c.EdgeID)
		legal := false
		for _, to := range allowed[c.From] {
			legal = legal || to == c.To
		}
		if !legal {
			t.Fatalf("at %v: %s went from %s to %s", w.now.Sub(start), c.EdgeID, c.From, c.To)
		}
		if c.To == Down || c.To == Quarantined {
			w.checkFall(t, e)
		}
		if c.From == Quarantined && w.now.Sub(w.fleet.nodes[c.EdgeID].machine.until) < 0 {
			t.Fatalf("%s left its quarantine early", c.EdgeID)
		}
		if (c.From == Down || c.From == Quarantined) && (e.bads > 0 || c.To == Probation && w.fleet.nodes[e.id].document.Snapshot.Version < 7) {
			t.Fatalf("%s came back, but it fails or is behind", c.EdgeID)
		}
	}
	for _, e := range w.edges {
		m := w.fleet.nodes[e.id].machine
		weight := m.weight(w.now)
		if weight < 0 || weight > 1 || weight > 0 && m.state != Healthy && m.state != Degraded && m.state != Probation {
			t.Fatalf("%s is %s and has a weight of %g", e.id, m.state, weight)
		}
		if m.state == Healthy && e.bads >= deadAfterPassing {
			t.Fatalf("%s does not answer and is healthy", e.id)
		}
	}
}

// checkFall checks that an edge went down by the rules, and not too many with it.
func (w *world) checkFall(t *testing.T, e *simulated) {
	t.Helper()
	if e.bads < deadAfter || e.consul == Passing && e.bads < deadAfterPassing {
		t.Fatalf("%s went down after %d failed probes", e.id, e.bads)
	}
	if w.instances >= 3 && w.fleet.tally.down[e.id] == 0 {
		t.Fatalf("%s went down, and no other instance says so", e.id)
	}
	e.downs = append(e.downs, w.now)
	if w.drains {
		return // what drains is not held
	}
	recent := 0
	for _, other := range w.edges {
		if n := len(other.downs); n > 0 && w.now.Sub(other.downs[n-1]) <= 10*time.Second {
			recent++
		}
	}
	if recent >= panicLeast && 2*recent > len(w.edges) {
		t.Fatalf("%d of %d edges went down within 10 s", recent, len(w.edges))
	}
}

func (w *world) lookup(id string) *simulated {
	for _, e := range w.edges {
		if e.id == id {
			return e
		}
	}
	return nil
}

// TestWorlds lets thousands of worlds go wrong in their own ways. A seed that fails is
// printed: give it to newWorld.
func TestWorlds(t *testing.T) {
	worlds := 2000
	if raceEnabled {
		worlds = 100
	}
	seen := make(map[State]int)
	for seed := range uint64(worlds) {
		t.Run(fmt.Sprint("seed-", seed), func(t *testing.T) {
			w := newWorld(seed)
			for range 120 { // seconds
				w.fate()
				w.second(t)
				for _, n := range w.fleet.nodes {
					seen[n.machine.state]++
				}
			}
			w.heal()
			// The longest quarantine, the way back, and the ramp.
			for range 15 {
				w.second(t)
			}
			w.now = w.now.Add(longestPenalty)
			for _, e := range w.edges {
				e.next = e.next.Add(longestPenalty)
			}
			for range 60 {
				w.second(t)
			}
			for id, n := range w.fleet.nodes {
				if n.machine.state != Healthy || n.machine.weight(w.now) != 1 {
					t.Errorf("all is well, and %s is %s (%s), weight %g", id, n.machine.state, n.machine.reason, n.machine.weight(w.now))
				}
			}
		})
	}
	for _, s := range States() {
		if seen[s] == 0 {
			t.Errorf("no world ever had an edge that was %s: the worlds are too kind", s)
		}
	}
}

// TestScenario18 cuts the prober off from all edges: nobody goes down, and all take viewers.
func TestScenario18(t *testing.T) {
	w := newWorld(18)
	w.instances = 1
	for range 20 {
		w.second(t)
	}
	w.cut = true
	for range 120 {
		w.second(t)
		for id, n := range w.fleet.nodes {
			if n.machine.state != Healthy && n.machine.state != Degraded {
				t.Fatalf("%s is %s", id, n.machine.state)
			}
		}
	}
	for id, n := range w.fleet.nodes {
		if n.machine.reason != ReasonPanic || n.machine.weight(w.now) != 1 {
			t.Errorf("%s is %s (%s), weight %g", id, n.machine.state, n.machine.reason, n.machine.weight(w.now))
		}
	}
	w.cut = false
	for range 12 {
		w.second(t)
	}
	for id, n := range w.fleet.nodes {
		if n.machine.state != Healthy {
			t.Errorf("after the cut %s is %s (%s)", id, n.machine.state, n.machine.reason)
		}
	}
}

// TestScenario17 has an edge that is there for 2 s and away for 2 s, for a minute.
func TestScenario17(t *testing.T) {
	for _, period := range []int{2, 3, 4, 8, 15} {
		w := newWorld(17)
		w.instances = 1
		for range 20 {
			w.second(t)
		}
		downs := 0
		for i := range 120 {
			w.edges[0].dead = i/period%2 == 0
			was := w.fleet.nodes["edge-0"].machine.state
			w.second(t)
			if is := w.fleet.nodes["edge-0"].machine.state; is != was && is == Down {
				downs++
			}
		}
		if downs > 3 {
			t.Errorf("%d s on, %d s off: it went down %d times", period, period, downs)
		}
	}
}

// TestScenario16 has an edge that answers after 400 ms and more for half a minute.
func TestScenario16(t *testing.T) {
	w := newWorld(16)
	w.instances = 1
	for range 60 {
		w.second(t)
	}
	state := func() State { return w.fleet.nodes["edge-0"].machine.state }
	w.edges[0].slow = true
	seconds := 0
	for ; state() == Healthy; seconds++ {
		w.second(t)
	}
	if state() != Degraded || seconds > 5 {
		t.Errorf("slow answers: %s after %d s, want degraded within 5", state(), seconds)
	}
	for range 30 {
		w.second(t)
	}
	w.edges[0].slow = false
	for seconds = 0; state() == Degraded; seconds++ {
		w.second(t)
	}
	if state() != Healthy || seconds < 10 || seconds > 20 {
		t.Errorf("fast answers again: %s after %d s, want healthy within 10 to 20", state(), seconds)
	}
}

func TestSnapshotMayLag(t *testing.T) {
	f := newFleet()
	if !f.current(1, 1) {
		t.Error("without a version to compare with nobody is behind")
	}
	for second := range 20 {
		f.version(start.Add(time.Duration(second)*time.Second), 1, int64(100+second)) // one change a second
	}
	for _, tt := range []struct {
		epoch, version int64
		want           bool
	}{{1, 119, true}, {1, 114, true}, {1, 113, false}, {2, 1, true}, {0, 500, false}} {
		if got := f.current(tt.epoch, tt.version); got != tt.want {
			t.Errorf("version %d.%d: got %v, want %v", tt.epoch, tt.version, got, tt.want)
		}
	}
	if len(f.versions) > 7 {
		t.Errorf("%d versions are remembered", len(f.versions))
	}
}

func TestTally(t *testing.T) {
	for _, tt := range []struct {
		instances, others int
		agrees, confirms  bool
	}{
		{0, 0, true, true},
		{1, 0, true, true},
		{2, 0, true, false},
		{2, 1, true, true},
		{3, 0, false, false},
		{3, 1, true, true},
		{4, 1, true, false},
		{4, 2, true, true},
	} {
		votes := tally{instances: tt.instances, down: map[string]int{"e": tt.others}}
		if votes.confirms("e", false) && 2*tt.others <= tt.instances {
			t.Errorf("%d instances, %d others say so: confirmed without this one", tt.instances, tt.others)
		}
		if votes.agrees("e") != tt.agrees || votes.confirms("e", true) != tt.confirms {
			t.Errorf("%d instances, %d others say so: agreed %v, confirmed %v", tt.instances, tt.others, votes.agrees("e"), votes.confirms("e", true))
		}
	}
}

func TestNumbers(t *testing.T) {
	n := newNumbers()
	n.heard([]Stream{{ID: "b", MSN: 10, Discontinuity: 2}, {ID: "a", MSN: 5}, {ID: "none"}})
	n.heard([]Stream{{ID: "b", MSN: 8, Discontinuity: 3}})
	due := n.due()
	if len(due) != 2 || due[0].StreamID != "a" || due[1] != (controlapi.Numbers{StreamID: "b", MSN: 10, Discontinuity: 3}) {
		t.Fatalf("got %+v", due)
	}
	n.written(due)
	n.heard([]Stream{{ID: "b", MSN: 10 + numberMargin - 1, Discontinuity: 3}})
	if got := n.due(); len(got) != 0 {
		t.Errorf("written down too soon: %+v", got)
	}
	n.heard([]Stream{{ID: "b", MSN: 10 + numberMargin, Discontinuity: 3}, {ID: "a", MSN: 5, Discontinuity: 1}})
	if got := n.due(); len(got) != 2 {
		t.Errorf("got %+v, want both: one by its number, one by its discontinuity", got)
	}
	n.written(n.due())
	n.lost(due)
	if got := n.due(); len(got) != 2 {
		t.Errorf("what could not be written is forgotten: %+v", got)
	}
}
