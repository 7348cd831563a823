package assignment

import (
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/nodehealth"
)

// The limits of the package comment.
const (
	movesPerSecond = 20
	takeShare      = 0.3
	takeWindow     = 5 * time.Second
	rest           = time.Minute
	// warmLimit is how long a relay may take to have the stream.
	warmLimit = 30 * time.Second
	// unknownFor is how long an edge that is not in the inventory may be a new one.
	unknownFor = 10 * time.Second
)

// Reason says why an assignment changes. The set is closed.
type Reason string

// The reasons.
const (
	ReasonNew      Reason = "new"      // it had no edge
	ReasonGone     Reason = "gone"     // its edge is down, quarantined or was taken away
	ReasonDraining Reason = "draining" // its edge is drained
	ReasonPinned   Reason = "pinned"   // the operator wants it elsewhere
	ReasonReplicas Reason = "replicas" // only its relays change
)

// Move is a change of one assignment, to be committed if it is still at FromRev.
type Move struct {
	StreamID string   `json:"stream_id"`
	GroupID  string   `json:"group_id"`
	FromRev  int64    `json:"from_rev"`
	From     string   `json:"from"`
	Primary  string   `json:"primary"`
	Relays   []string `json:"relays"`
	Reason   Reason   `json:"reason"`
}

// Moved tells whether another edge becomes primary.
func (m Move) Moved() bool { return m.From != m.Primary }

// Plan gives what is to be changed now, first things first, and whether more is to be done
// that a limit or a relay that is not warm yet holds back.
func Plan(now time.Time, assignments []controlapi.Assignment, view *nodehealth.View) (moves []Move, later bool) {
	p := newPlanner(now, assignments, view)
	// What has no edge that works comes first; then by name, the same on every instance.
	sorted := slices.Clone(assignments)
	slices.SortFunc(sorted, func(a, b controlapi.Assignment) int {
		if x, y := p.isLost(&a), p.isLost(&b); x != y {
			if x {
				return -1
			}
			return 1
		}
		return strings.Compare(a.StreamID, b.StreamID)
	})
	for i := range sorted {
		if m, ok := p.decide(&sorted[i]); ok {
			moves = append(moves, m)
		}
	}
	return moves, p.later
}

// planner keeps account of what is full while a plan is made.
type planner struct {
	now    time.Time
	places map[string]*place
	groups map[string][]*place // sorted by id
	budget map[string]int      // moves left now, by group
	later  bool
}

// decide gives the change of one stream, if there is one to be made now.
func (p *planner) decide(a *controlapi.Assignment) (Move, bool) {
	m := Move{StreamID: a.StreamID, GroupID: a.GroupID, FromRev: a.Rev, From: a.Primary, Primary: a.Primary, Relays: a.Relays}
	switch {
	case a.Primary == "":
		m.Reason = ReasonNew
		return p.settle(a, m, p.successor(a))
	case p.isLost(a):
		m.Reason = ReasonGone
		return p.settle(a, m, p.successor(a))
	}
	if reason, wanted := p.unwanted(a); reason != "" {
		m.Reason = reason
		return p.handOver(a, m, wanted)
	}
	return p.replicate(a, m)
}

// isLost tells whether nobody packages the stream: its edge is out of the inventory, or
// most instances say that it does not answer.
func (p *planner) isLost(a *controlapi.Assignment) bool {
	if a.Primary == "" {
		return true
	}
	home := p.places[a.Primary]
	if home == nil || home.node.GroupID != a.GroupID {
		return p.now.Sub(a.MovedAt) >= unknownFor
	}
	return home.isGone()
}

// unwanted tells why the stream should leave an edge that works, and for which one; none:
// whichever.
func (p *planner) unwanted(a *controlapi.Assignment) (Reason, *place) {
	home := p.places[a.Primary]
	if a.Pin.Primary != "" {
		if first := p.pinned(a); first != nil && first.node.ID != a.Primary {
			return ReasonPinned, first
		}
		return "", nil
	}
	if home != nil && home.node.State == nodehealth.Draining {
		return ReasonDraining, nil
	}
	return "", nil
}

// pinned gives the first of the pinned edges that can package the stream; nil: none can.
func (p *planner) pinned(a *controlapi.Assignment) *place {
	for _, id := range append([]string{a.Pin.Primary}, a.Pin.Relays...) {
		if at := p.places[id]; at != nil && at.node.GroupID == a.GroupID && at.tier() != unfit {
			return at
		}
	}
	return nil
}

// successor gives the edge that is to package a stream that nobody does: a pinned one, the
// relay that is the best, or the place with the most left; nil: there is none.
func (p *planner) successor(a *controlapi.Assignment) *place {
	if a.Pin.Primary != "" {
		return p.pinned(a)
	}
	var relays []*place
	for _, id := range a.Relays {
		if at := p.places[id]; at != nil && at.node.GroupID == a.GroupID && at.has(a.StreamID) && at.tier() <= second {
			relays = append(relays, at)
		}
	}
	if best := p.best(a.StreamID, relays, holds); best != nil {
		return best
	}
	return p.best(a.StreamID, p.groups[a.GroupID], takes)
}

// settle makes an edge the primary of a stream, as far as the limits allow.
func (p *planner) settle(a *controlapi.Assignment, m Move, to *place) (Move, bool) {
	if to == nil {
		return m, false // there is no room, or no edge: it waits for one
	}
	if m.Reason != ReasonNew && !p.mayMove(a.GroupID, to) {
		p.later = true
		return m, false
	}
	m.Primary = to.node.ID
	m.Relays = p.relays(a, to)
	if m.Primary == m.From && slices.Equal(m.Relays, a.Relays) {
		return m, false
	}
	p.account(a, m)
	return m, true
}

// handOver moves a stream off an edge that works: to an edge that has it, and where none
// does, first makes one a relay.
func (p *planner) handOver(a *controlapi.Assignment, m Move, wanted *place) (Move, bool) {
	next := wanted
	if next == nil {
		next = p.heir(a)
	}
	if next == nil {
		return m, false // there is nowhere to go: it stays
	}
	waited := p.now.Sub(a.MovedAt)
	isRelay := slices.Contains(a.Relays, next.node.ID)
	switch {
	case isRelay && (next.has(a.StreamID) || waited >= warmLimit):
		return p.settle(a, m, next)
	case isRelay, waited < rest && a.Rev > 1:
		p.later = true
		return m, false
	case !p.mayMove(a.GroupID, next):
		p.later = true
		return m, false
	}
	p.later = true // the second half
	m.Relays = append(slices.Clone(a.Relays), next.node.ID)
	p.account(a, m)
	return m, true
}

// heir gives the edge to which a stream is handed over: a relay that has it, another relay,
// or the place with the most left.
func (p *planner) heir(a *controlapi.Assignment) *place {
	var warm, relays []*place
	for _, id := range a.Relays {
		at := p.places[id]
		if at == nil || at.node.GroupID != a.GroupID || at.tier() > second {
			continue
		}
		relays = append(relays, at)
		if at.has(a.StreamID) {
			warm = append(warm, at)
		}
	}
	if best := p.best(a.StreamID, warm, holds); best != nil {
		return best
	}
	if best := p.best(a.StreamID, relays, holds); best != nil {
		return best
	}
	return p.best(a.StreamID, p.groups[a.GroupID], takes)
}

// replicate brings the relays of a stream whose primary stays to their number.
func (p *planner) replicate(a *controlapi.Assignment, m Move) (Move, bool) {
	home := p.places[a.Primary]
	if home == nil {
		return m, false // a new edge, which this instance does not know yet
	}
	m.Reason = ReasonReplicas
	m.Relays = p.relays(a, home)
	if slices.Equal(m.Relays, a.Relays) {
		return m, false
	}
	if a.Rev > 1 && p.now.Sub(a.MovedAt) < rest {
		p.later = true
		return m, false
	}
	p.account(a, m)
	return m, true
}

// relays gives the relays of a stream, given its primary: those that it has, as long as
// they are fit, then the places with the most left. The pinned ones are what they are.
func (p *planner) relays(a *controlapi.Assignment, primary *place) []string {
	if a.Pin.Primary != "" && len(a.Pin.Relays) > 0 {
		pinned := append([]string{a.Pin.Primary}, a.Pin.Relays...)
		return slices.DeleteFunc(pinned, func(id string) bool { return id == primary.node.ID })
	}
	want := max(0, a.Replicas-1)
	relays := make([]string, 0, want)
	for _, id := range a.Relays {
		at := p.places[id]
		if len(relays) < want && id != primary.node.ID && at != nil && at.node.GroupID == a.GroupID && at.keepsRelays() {
			relays = append(relays, id)
		}
	}
	for len(relays) < want {
		others := slices.DeleteFunc(slices.Clone(p.groups[a.GroupID]), func(at *place) bool {
			return at == primary || slices.Contains(relays, at.node.ID) || at.tier() > second
		})
		next := p.best(a.StreamID, others, takes)
		if next == nil {
			break
		}
		relays = append(relays, next.node.ID)
	}
	return relays
}

// mayMove tells whether the limits let a stream of the group move to a place now.
func (p *planner) mayMove(group string, to *place) bool { return p.budget[group] > 0 && to.quota > 0 }

// account takes a change into what is left.
func (p *planner) account(a *controlapi.Assignment, m Move) {
	for _, id := range append([]string{a.Primary}, a.Relays...) {
		if at := p.places[id]; at != nil {
			at.carried--
		}
	}
	for _, id := range append([]string{m.Primary}, m.Relays...) {
		if at := p.places[id]; at != nil {
			at.carried++
		}
	}
	if m.Reason == ReasonGone || m.Reason == ReasonDraining || m.Reason == ReasonPinned {
		p.budget[a.GroupID]--
		if to := p.places[m.Primary]; to != nil && m.Moved() {
			to.quota--
		}
	}
}
