package assignment

import (
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/nodehealth"
)

// defaultStreams is what an edge carries that does not say so: the edge's own default.
const defaultStreams = 200

// place is an edge while a plan is made.
type place struct {
	node *nodehealth.Node
	// carried is how many streams it has, as primary or relay.
	carried int
	// quota is how many more may move there now.
	quota int
}

// tier tells how good a place is for something new; the lower, the better.
type tier int

const (
	first  tier = iota // healthy
	second             // degraded
	third              // in probation: better than nothing
	unfit
)

func (at *place) tier() tier {
	if !(at.node.Weight > 0) || at.isGone() {
		return unfit
	}
	switch at.node.State {
	case nodehealth.Healthy:
		return first
	case nodehealth.Degraded:
		if at.node.Reason == nodehealth.ReasonPanic || at.node.Reason == nodehealth.ReasonUnconfirmed {
			return unfit
		}
		return second
	case nodehealth.Probation:
		return third
	case nodehealth.Joining, nodehealth.Down, nodehealth.Draining, nodehealth.Quarantined:
	}
	return unfit
}

// isGone tells whether its streams have nobody. That is what most instances say, even if
// this one can reach it: else one would move a stream where the others take it from.
func (at *place) isGone() bool { return at.node.Confirmed }

// keepsRelays tells whether it goes on holding what it holds.
func (at *place) keepsRelays() bool { return at.node.State != nodehealth.Draining && !at.isGone() }

// has tells whether it can take the stream over as it is.
func (at *place) has(stream string) bool { return at.node.Streams[stream].Playable() }

func (at *place) capacity() int {
	if n := at.node.Capacity.Streams; n > 0 {
		return n
	}
	return defaultStreams
}

func (at *place) free() int { return at.capacity() - at.carried }

// load is how full it would be with one stream more; an edge that is coming back counts as
// a smaller one.
func (at *place) load() float64 {
	return float64(at.carried+1) / (float64(at.capacity()) * min(at.node.Weight, 1))
}

// newPlanner counts what is where.
func newPlanner(now time.Time, assignments []controlapi.Assignment, view *nodehealth.View) *planner {
	p := &planner{now: now, places: make(map[string]*place), groups: make(map[string][]*place), budget: make(map[string]int)}
	for i := range view.Nodes {
		n := &view.Nodes[i]
		at := &place{node: n}
		p.places[n.ID] = at
		p.groups[n.GroupID] = append(p.groups[n.GroupID], at)
		p.budget[n.GroupID] = movesPerSecond
	}
	took := make(map[*place]int)
	for i := range assignments {
		a := &assignments[i]
		age := now.Sub(a.MovedAt)
		if age < time.Second {
			p.budget[a.GroupID]--
		}
		for j, id := range append([]string{a.Primary}, a.Relays...) {
			at := p.places[id]
			if at == nil {
				continue
			}
			at.carried++
			if j == 0 && age < takeWindow {
				took[at]++
			}
		}
	}
	for _, at := range p.places {
		at.quota = max(1, int(takeShare*float64(at.free()+took[at]))) - took[at]
	}
	return p
}

// need tells whether a stream brings something new to a place.
type need bool

const (
	takes need = true  // it needs room
	holds need = false // it is there already
)

// best gives the place of the best tier with the least load; equal ones are told apart by
// a hash of stream and edge, the same on every instance. nil: none is fit and has room.
func (p *planner) best(stream string, places []*place, n need) *place {
	var best *place
	for _, at := range places {
		if at.tier() == unfit || n == takes && at.free() <= 0 {
			continue
		}
		if best == nil || at.before(best, stream) {
			best = at
		}
	}
	return best
}

func (at *place) before(other *place, stream string) bool {
	if x, y := at.tier(), other.tier(); x != y {
		return x < y
	}
	if x, y := at.load(), other.load(); x != y {
		return x < y
	}
	return at.hash(stream) < other.hash(stream)
}

func (at *place) hash(stream string) uint64 { return xxhash.Sum64String(stream + "\x00" + at.node.ID) }
