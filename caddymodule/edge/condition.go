package edge

import (
	"math"
	"strings"
	"time"

	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/ingest"
)

// State is how the edge sees itself. The set is closed.
type State string

// The states.
const (
	StateStarting State = "starting" // no configuration is in force
	StateJoining  State = "joining"  // the control plane has not sent a document yet
	StateHealthy  State = "healthy"
	StateDegraded State = "degraded" // the score is below healthyScore, or the document is stale
	StateDraining State = "draining" // new viewers are asked to go elsewhere
)

// healthyScore is the lowest score of a healthy edge.
const healthyScore = 60

// freshness is how old a live stream's last segment may be, in target durations
// (RFC 8216bis §6.2.1 wants the next one within that time).
const freshness = 1.5

// Condition is how the edge is as a whole.
type Condition struct {
	State State
	// Score is 0 to 100: the share of streams that are fresh, lowered by up to
	// seven tenths as the capacity to send is used up.
	Score int
	// FreshShare is that share, 0 to 1, of the streams whose source delivers: what a
	// source does not deliver, no edge can.
	FreshShare float64
	// Load is the share of its capacity to send that is in use, 0 to 1; 0 where that
	// capacity is not known.
	Load     float64
	Headroom Headroom
}

// Headroom is what is left of the node's capacity. A null is not known.
type Headroom struct {
	Streams int `json:"streams"`
	// Egress is in bits per second.
	Egress *int64 `json:"egress"`
	// CPU is in cores, after what the running streams take by estimate.
	CPU    *float64 `json:"cpu"`
	Memory *int64   `json:"memory"`
}

// Tally counts what the edge's streams do.
type Tally struct {
	streams, fresh, answerable int
	cores                      float64
}

// Add counts a stream, and tells whether its segments come in time, or nobody waits for
// them.
func (t *Tally) Add(s ingest.Status, target time.Duration, now time.Time) (fresh bool) {
	fresh = isFresh(s, target, now)
	t.streams++
	t.cores += s.Cores
	if fresh {
		t.fresh++
	}
	if fresh || !isSources(s.Reason) {
		t.answerable++
	}
	return fresh
}

// Condition judges the edge by its streams.
func (h *Host) Condition(all Tally) Condition {
	node, egress := h.Node(), h.Egress()
	c := Condition{
		FreshShare: share(all.fresh, all.answerable), Load: used(egress, node.Capacity.Egress),
		Headroom: headroom(node.Capacity, all.streams, egress, all.cores),
	}
	c.Score = score(c.FreshShare, c.Load)
	switch {
	case h.configured.Load() == nil:
		c.State = StateStarting
	case h.inForce.Load() == nil:
		c.State = StateJoining
	case h.Draining():
		c.State = StateDraining
	case c.Score < healthyScore, h.isStale(time.Now()):
		c.State = StateDegraded
	default:
		c.State = StateHealthy
	}
	return c
}

// health is what goes with every poll.
func (h *Host) health() snapshot.Health {
	var all Tally
	if e := h.Engine(); e != nil {
		now := time.Now()
		for _, s := range e.Streams() {
			all.Add(s.Status(), s.TargetDuration(), now)
		}
	}
	c := h.Condition(all)
	return snapshot.Health{
		State: string(c.State), Score: c.Score, Sessions: h.sessions.Len(),
		Streams: c.Headroom.Streams, Egress: c.Headroom.Egress, CPU: c.Headroom.CPU,
	}
}

func isFresh(s ingest.Status, target time.Duration, now time.Time) bool {
	// Nobody waits for a stream on demand that nobody watches.
	return s.State == ingest.StateIdle || s.State == ingest.StateLive && now.Sub(s.LastSegmentAt).Seconds() <= freshness*target.Seconds()
}

func headroom(c Capacity, streams int, egress, cores float64) Headroom {
	h := Headroom{Streams: max(0, c.Streams-streams)}
	if c.CPU > 0 {
		left := max(0, c.CPU-cores)
		h.CPU = &left
	}
	if c.Egress > 0 {
		left := max(0, c.Egress-int64(egress))
		h.Egress = &left
	}
	return h
}

// used is the share of the capacity to send that is taken; 0 where that is not
// known.
func used(egress float64, capacity int64) float64 {
	if capacity <= 0 {
		return 0
	}
	return min(1, egress/float64(capacity))
}

// isSources tells whether it is the source that fails, not the edge.
func isSources(r ingest.Reason) bool {
	return r == ingest.ReasonOriginDown || r == ingest.ReasonNoPublisher || strings.HasPrefix(string(r), "source_")
}

// share is a part of a whole; all of nothing is 1.
func share(part, whole int) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}

// score is round(100 · q · (0.7·h + 0.3·l)) with q the share of fresh streams
// and h the part of the node that is free. l, the latency that probers see, is
// theirs to lower: here it is 1.
func score(fresh, used float64) int {
	return int(math.Round(100 * fresh * (0.7*(1-used) + 0.3)))
}
