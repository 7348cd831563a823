// Package routing says which edge a viewer is sent to, and why. It is pure: the same
// request and candidates give the same decision on every instance.
package routing

import (
	"math"

	"github.com/cespare/xxhash/v2"
)

// Request is a viewer who wants to watch.
type Request struct {
	// User names the viewer account: one that comes again is kept on its edge.
	User string
	// Client is where the viewer is; nil: not known, and then distance counts for nothing.
	Client *Position
}

// State is what the control plane holds of an edge. Only edges of the states below are
// sent new viewers: of a state only where no edge of those before it can carry them.
type State string

// The states of an edge that matter here.
const (
	Healthy   State = "healthy"
	Degraded  State = "degraded"
	Probation State = "probation" // it was down, and has to prove itself: better than nothing
)

// rank orders the states, the best first.
func (s State) rank() int {
	switch s {
	case Healthy:
		return 0
	case Degraded:
		return 1
	case Probation:
		return 2
	}
	return nowhere
}

// nowhere is the rank of an edge that takes nobody.
const nowhere = 3

// Candidate is an edge as it is known to the instance that decides.
type Candidate struct {
	Edge  string
	State State
	// Ready tells whether it has the stream, or starts it for its first viewer.
	Ready bool
	// Current tells whether it has acknowledged a snapshot that holds the stream.
	Current bool
	// Score is the edge's health, 0 to 100.
	Score int
	// Weight is the share of new viewers that it is given while it comes back, 0 to 1.
	Weight float64
	// Headroom is the share of its capacity that is free, 0 to 1, by the last probe.
	Headroom float64
	// Capacity is what it can send, in bits per second.
	Capacity float64
	// Assigned is what this instance has sent there since that probe, in bits per second.
	Assigned float64
	// At is where it stands; nil: not known.
	At *Position
}

// Refusal says why an edge is not eligible. The set is closed.
type Refusal string

// The reasons.
const (
	NotRefused      Refusal = ""
	RefusedState    Refusal = "state"            // it takes no new viewers, or is on probation and others can
	RefusedSnapshot Refusal = "snapshot"         // it does not know the stream yet
	RefusedStream   Refusal = "stream_not_ready" // it neither has nor can start the stream
	RefusedHeadroom Refusal = "no_headroom"      // it is full
	RefusedDegraded Refusal = "degraded"         // a healthy edge can carry the viewer
)

// Explanation is how one candidate was judged.
type Explanation struct {
	Edge    string  `json:"edge"`
	State   State   `json:"state"`
	Refused Refusal `json:"refused,omitempty"`
	// Health, Headroom and Proximity make Score, each 0 to 1: Health × √Headroom ×
	// Proximity.
	Health    float64 `json:"health"`
	Headroom  float64 `json:"headroom"`
	Proximity float64 `json:"proximity"`
	Score     float64 `json:"score"`
	// Kilometres to the viewer; -1 where that is not known.
	Kilometres float64 `json:"kilometres"`
	// Contender tells that it is within a tenth of the best, among whom the user decides.
	Contender bool `json:"contender"`
	Chosen    bool `json:"chosen"`
}

// contention is how near the best a candidate must come to contend for viewers.
const contention = 0.9

// Choose gives the index of the candidate for a viewer, or -1 if none can carry it.
//
// Those within a tenth of the best contend, and rendezvous hashing on the user, weighted
// by what each has free, chooses among them: a viewer stays where it is as long as its
// edge contends, and viewers spread over the others when it does not.
func Choose(r Request, candidates []Candidate) int {
	return decide(r, candidates, make([]Explanation, len(candidates)))
}

// Explain is Choose with how every candidate was judged, in their order.
func Explain(r Request, candidates []Candidate) (int, []Explanation) {
	explanations := make([]Explanation, len(candidates))
	return decide(r, candidates, explanations), explanations
}

func decide(r Request, candidates []Candidate, explanations []Explanation) int {
	lead := nowhere
	for i := range candidates {
		if candidates[i].refused() == NotRefused {
			lead = min(lead, candidates[i].State.rank())
		}
	}
	best := 0.0
	for i := range candidates {
		explanations[i] = judge(r, &candidates[i], lead)
		if explanations[i].Refused == NotRefused {
			best = max(best, explanations[i].Score)
		}
	}
	chosen, most := -1, -1.0
	for i := range candidates {
		c, e := &candidates[i], &explanations[i]
		if e.Refused != NotRefused || e.Score < contention*best {
			continue
		}
		e.Contender = true
		weight := rendezvous(r.User, c.Edge, c.free())
		// Equal weights are as good as impossible; the name makes the choice the same
		// on every instance all the same.
		if weight > most || weight == most && c.Edge < candidates[chosen].Edge {
			chosen, most = i, weight
		}
	}
	if chosen >= 0 {
		explanations[chosen].Chosen = true
	}
	return chosen
}

// refused tells why a candidate cannot carry the viewer, apart from better ones.
func (c *Candidate) refused() Refusal {
	switch {
	case c.State.rank() == nowhere, !(c.Weight > 0):
		return RefusedState
	case !c.Current:
		return RefusedSnapshot
	case !c.Ready:
		return RefusedStream
	case c.headroom() == 0:
		return RefusedHeadroom
	}
	return NotRefused
}

// headroom is what is left after what was sent there since the last probe.
func (c *Candidate) headroom() float64 {
	if c.Capacity <= 0 {
		return clamp(c.Headroom)
	}
	return clamp(c.Headroom - c.Assigned/c.Capacity)
}

// free is the weight of a candidate among its equals: what it has free, less while it
// comes back.
func (c *Candidate) free() float64 { return c.headroom() * max(c.Capacity, 1) * clamp(c.Weight) }

// judge explains one candidate, given the best rank among those that can carry the viewer.
func judge(r Request, c *Candidate, lead int) Explanation {
	e := Explanation{
		Edge: c.Edge, State: c.State, Refused: c.refused(),
		Health: clamp(float64(c.Score) / 100), Headroom: c.headroom(), Proximity: 1, Kilometres: -1,
	}
	if e.Refused == NotRefused && c.State.rank() > lead {
		e.Refused = RefusedDegraded
		if c.State == Probation {
			e.Refused = RefusedState
		}
	}
	if r.Client != nil && c.At != nil {
		e.Kilometres = r.Client.Kilometres(*c.At)
		e.Proximity = 1 / (1 + e.Kilometres/1000)
	}
	e.Score = e.Health * math.Sqrt(e.Headroom) * e.Proximity
	return e
}

// rendezvous is the weight of an edge for a user: the highest wins. The chance of that
// is in proportion to the weight (Schindelhauer and Schomaker, Weighted Distributed
// Hash Tables, 2005).
func rendezvous(user, edge string, weight float64) float64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(user)
	_, _ = d.Write([]byte{0}) // in no name
	_, _ = d.WriteString(edge)
	// 53 bits, moved by half a step, make a fraction that is neither 0 nor 1.
	fraction := (float64(d.Sum64()>>11) + 0.5) / (1 << 53)
	return -weight / math.Log(fraction)
}

// clamp brings a number between 0 and 1; what is none is 0.
func clamp(x float64) float64 {
	if !(x > 0) {
		return 0
	}
	return min(x, 1)
}
