package nodehealth

import (
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/probe"
	"github.com/headrace/headrace/controlapi/snapshot"
)

// The brake of the package comment. The window is 10 s, and what it takes to call an edge
// down after its first failed probe.
const (
	panicWindow = 14 * time.Second
	panicLeast  = 3
)

// snapshotGrace is how long an edge may take to apply a version and still be current.
const snapshotGrace = 5 * time.Second

// reportFresh is how long a report that came with an edge's poll stands for a probe.
const reportFresh = 3 * time.Second

// fleet is all edges and what is known of them. It does nothing by itself: it is told what
// happened and when, and belongs to one goroutine.
type fleet struct {
	nodes    map[string]*node
	versions []knownVersion // of the configuration, oldest first; see current
	tally    tally
	numbers  *numbers
	alarms   map[string]alarm // groups in panic
}

// alarm is a panic, from when until when.
type alarm struct{ began, until time.Time }

// node is one edge.
type node struct {
	target  controlapi.ProbeTarget
	machine machine
	meter   meter
	opinion Opinion
	// document is its last answer, at its time.
	document *Document
	at       time.Time
	streams  map[string]Stream
	offset   time.Duration
	reported time.Time // when it last reported with its poll
	failure  string
	// failing is since when every probe fails; zero: the last one did not.
	failing time.Time
}

type knownVersion struct {
	at             time.Time
	epoch, version int64
}

// tally is what the instances of the control plane say of the edges that do not answer.
type tally struct {
	// instances is how many are alive, this one among them.
	instances int
	// down counts the others that say so, by edge.
	down map[string]int
}

// agrees tells whether an edge may be called down: with three instances or more, another
// one must say so.
func (t tally) agrees(edge string) bool { return t.instances < 3 || t.down[edge] > 0 }

// confirms tells whether more than half of the instances say that the edge is down, given
// what this one says.
func (t tally) confirms(edge string, down bool) bool {
	votes := t.down[edge]
	if down {
		votes++
	}
	return 2*votes > max(1, t.instances)
}

func newFleet() *fleet {
	return &fleet{nodes: make(map[string]*node), numbers: newNumbers(), alarms: make(map[string]alarm)}
}

// targets takes over which edges there are.
func (f *fleet) targets(now time.Time, targets []controlapi.ProbeTarget) {
	there := make(map[string]bool, len(targets))
	for _, t := range targets {
		if t.State == controlapi.EdgeRevoked {
			continue
		}
		there[t.ID] = true
		n := f.nodes[t.ID]
		if n == nil {
			n = &node{machine: newMachine(now)}
			f.nodes[t.ID] = n
		}
		n.target = t
	}
	for id := range f.nodes {
		if !there[id] {
			delete(f.nodes, id)
		}
	}
}

// version takes note of the version that edges should have from now on.
func (f *fleet) version(now time.Time, epoch, version int64) {
	known := knownVersion{now, epoch, version}
	if n := len(f.versions); n == 0 || f.versions[n-1].epoch != epoch || f.versions[n-1].version != version {
		f.versions = append(f.versions, known)
	}
	for len(f.versions) > 1 && now.Sub(f.versions[1].at) >= snapshotGrace {
		f.versions = f.versions[1:]
	}
}

// current tells whether an edge has applied the version that was the newest one
// snapshotGrace ago, or a later one.
func (f *fleet) current(epoch, version int64) bool {
	if len(f.versions) == 0 {
		return true // nothing to compare with: the database has not answered yet
	}
	want := f.versions[0]
	return epoch > want.epoch || epoch == want.epoch && version >= want.version
}

// answered takes an edge's answer to a probe.
func (f *fleet) answered(now time.Time, edge string, d *Document, took, offset time.Duration) {
	n := f.nodes[edge]
	if n == nil {
		return
	}
	if n.machine.bad > 0 {
		n.meter.reset()
	}
	n.machine = n.machine.observe(good)
	n.meter.answered(now, took)
	n.meter.streams(now, clamp(d.FreshShare))
	n.document, n.at, n.offset, n.failure = d, now, offset, ""
	n.streams = make(map[string]Stream, len(d.Streams))
	for _, s := range d.Streams {
		n.streams[s.ID] = s
	}
	f.numbers.heard(d.Streams)
}

// failed takes a probe that got no answer.
func (f *fleet) failed(edge, failure string) {
	if n := f.nodes[edge]; n != nil {
		n.machine = n.machine.observe(bad)
		n.failure = failure
	}
}

// report takes what an edge said with its poll. It counts as a probe of an edge that
// cannot be probed, and against the fault of one that can.
func (f *fleet) report(now time.Time, edge string, applied snapshot.Version, h snapshot.Health) {
	n := f.nodes[edge]
	if n == nil {
		return
	}
	n.reported = now
	if n.target.URL != "" {
		return
	}
	n.machine = n.machine.observe(good)
	n.document, n.at, n.failure = reported(applied, h), now, ""
	n.meter.streams(now, 1) // its score has it already
}

// silent takes note that a second has passed: an edge that cannot be probed and has not
// reported fails like one whose probe does.
func (f *fleet) silent(now time.Time) {
	for _, n := range f.nodes {
		if n.joined() && n.target.URL == "" && now.Sub(n.reported) > reportFresh {
			n.machine = n.machine.observe(bad)
			n.failure = "no report with its poll"
		}
	}
}

// step moves every machine on, and gives those whose state changed, by name.
func (f *fleet) step(now time.Time) []Change {
	frozen, takers := f.panics(now), f.takers()
	var changes []Change
	for id, n := range f.nodes {
		before := n.machine
		s := f.signs(now, id, n)
		s.frozen = frozen[n.target.GroupID]
		s.spare = takers[n.target.GroupID] > 1 || takers[n.target.GroupID] == 1 && !before.takes()
		n.machine = before.step(now, s)
		if n.machine.state != before.state {
			changes = append(changes, Change{
				EdgeID: id, GroupID: n.target.GroupID, From: before.state, To: n.machine.state, Reason: n.machine.reason, At: now,
			})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.EdgeID, b.EdgeID) })
	return changes
}

// panics tells which groups are in panic. It counts an edge from its first failed probe:
// where we are cut off, the others have failed once when the first fails twice.
func (f *fleet) panics(now time.Time) map[string]bool {
	type count struct{ up, failing int }
	groups := make(map[string]*count)
	for _, n := range f.nodes {
		switch {
		case n.machine.bad == 0:
			n.failing = time.Time{}
		case n.failing.IsZero():
			n.failing = now
		}
		if n.target.State != controlapi.EdgeActive || !n.joined() {
			continue
		}
		group := n.target.GroupID
		if groups[group] == nil {
			groups[group] = new(count)
		}
		// In a panic the window does not move on: it is about those who failed together.
		began := now
		if alarm, on := f.alarms[group]; on {
			began = alarm.began
		}
		window := began.Add(-panicWindow)
		switch {
		case n.failing.After(window), n.machine.downs[0].After(window):
			groups[group].up++
			groups[group].failing++
		case n.failing.IsZero():
			groups[group].up++
		}
	}
	frozen := make(map[string]bool)
	for group, c := range groups {
		frozen[group] = f.alarm(now, group, c.failing >= panicLeast && 2*c.failing > c.up)
	}
	return frozen
}

// alarm tells whether a group is in panic, given whether it has reason to be. It stays so
// for a while without one: edges that answer again do so one after the other.
func (f *fleet) alarm(now time.Time, group string, reason bool) bool {
	a, on := f.alarms[group]
	switch {
	case reason && !on:
		a = alarm{began: now, until: now.Add(panicWindow)}
	case reason:
		a.until = now.Add(panicWindow)
	case on && now.After(a.until):
		delete(f.alarms, group)
		return false
	case !on:
		return false
	}
	f.alarms[group] = a
	return true
}

// joined tells whether the edge has a credential by which it can be asked.
func (n *node) joined() bool { return len(n.target.ProbeKey) == len(probe.Key{}) }

// probed tells whether it is asked, rather than reporting with its poll.
func (n *node) probed() bool { return n.joined() && n.target.URL != "" }

func (f *fleet) unreachable(now time.Time, n *node) bool {
	return n.machine.unreachable(n.contradiction(now))
}

// contradiction is the opinion that counts: an edge that reports with its poll passes,
// whatever Consul says.
func (n *node) contradiction(now time.Time) Opinion {
	if n.opinion != Maintenance && !n.reported.IsZero() && now.Sub(n.reported) <= reportFresh {
		return Passing
	}
	return n.opinion
}

// takers counts, per group, the edges that take viewers.
func (f *fleet) takers() map[string]int {
	takers := make(map[string]int)
	for _, n := range f.nodes {
		if n.machine.takes() {
			takers[n.target.GroupID]++
		}
	}
	return takers
}

func (f *fleet) signs(now time.Time, id string, n *node) signs {
	s := signs{
		consul: n.contradiction(now), drain: n.target.State == controlapi.EdgeDraining,
		score: n.score(), stale: n.meter.stale(), agreed: f.tally.agrees(id),
	}
	s.slow, s.slowNow = n.meter.slow(now)
	if n.document != nil {
		s.current = f.current(n.document.Snapshot.Epoch, n.document.Snapshot.Version)
		s.warning = n.document.State == "degraded"
	}
	return s
}

// score is by its measurements, or by its own word where it cannot be probed.
func (n *node) score() int {
	switch {
	case n.document == nil:
		return 100
	case n.target.URL == "":
		return n.document.Score
	}
	return n.meter.score(n.document.Load)
}

// missing lists the edges that this instance cannot reach, for the others to know.
func (f *fleet) missing(now time.Time) []string {
	var ids []string
	for id, n := range f.nodes {
		if f.unreachable(now, n) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// view is how all of it looks now.
func (f *fleet) view(now time.Time) *View {
	v := &View{At: now, Nodes: make([]Node, 0, len(f.nodes))}
	for id, n := range f.nodes {
		v.Nodes = append(v.Nodes, f.look(now, id, n))
	}
	slices.SortFunc(v.Nodes, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	return v
}

func (f *fleet) look(now time.Time, id string, n *node) Node {
	m := &n.machine
	gone := m.state == Down || m.state == Quarantined
	node := Node{
		ID: id, GroupID: n.target.GroupID, URL: n.target.ViewURL, Location: n.target.Location,
		State: m.state, Reason: m.reason, Since: m.since, Confirmed: f.tally.confirms(id, gone), Weight: m.weight(now),
		Score: n.score(), Headroom: 1, Capacity: n.target.Capacity, FreeStreams: n.target.Capacity.Streams,
		Latency: n.meter.p95(), ClockOffset: n.offset, SeenAt: n.at, Error: n.failure, Streams: n.streams,
	}
	if d := n.document; d != nil {
		if d.Capacity.Egress > 0 {
			node.Capacity.Egress = d.Capacity.Egress
		}
		if d.Capacity.Streams > 0 {
			node.Capacity.Streams = d.Capacity.Streams
		}
		node.FreeStreams, node.Sessions = d.Headroom.Streams, d.Sessions
		node.Epoch, node.Version, node.Release = d.Snapshot.Epoch, d.Snapshot.Version, d.Versions.Edge
		if left := d.Headroom.Egress; left != nil && node.Capacity.Egress > 0 {
			node.Headroom = clamp(float64(*left) / float64(node.Capacity.Egress))
		}
	}
	return node
}
