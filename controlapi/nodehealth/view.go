package nodehealth

import (
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// View is how all edges are at one moment, as one instance sees them. It is immutable.
type View struct {
	// At is when it was made.
	At time.Time
	// Nodes are sorted by id.
	Nodes []Node
}

// Node is how one edge is.
type Node struct {
	ID      string `json:"id"`
	GroupID string `json:"group_id"`
	// URL is where viewers find it.
	URL      string               `json:"url"`
	Location *controlapi.Location `json:"location,omitempty"`
	State    State                `json:"state"`
	Reason   Reason               `json:"reason,omitempty"`
	Since    time.Time            `json:"since"`
	// Confirmed tells that more than half of the instances, this one or not, say that it is
	// down: only then its streams move.
	Confirmed bool `json:"confirmed"`
	// Weight is the share of new viewers that it is given, 0 to 1.
	Weight float64 `json:"weight"`
	// Score is its health, 0 to 100.
	Score int `json:"score"`
	// Headroom is the share of its capacity to send that is free, 0 to 1; 1 where that
	// capacity is not known.
	Headroom float64 `json:"headroom"`
	// Capacity is by its own report, else the operator's word; Streams is what it
	// packages at most, Egress in bits per second, 0 where it is not known.
	Capacity controlapi.Capacity `json:"capacity"`
	// FreeStreams is how many more streams it can package.
	FreeStreams int `json:"free_streams"`
	// Sessions is the number of its viewers.
	Sessions int `json:"sessions"`
	// Latency is the time within which 95 % of its last answers came.
	Latency time.Duration `json:"latency"`
	// ClockOffset is how far its clock is ahead.
	ClockOffset time.Duration `json:"clock_offset"`
	// Epoch and Version name the snapshot that it has applied.
	Epoch   int64  `json:"epoch"`
	Version int64  `json:"version"`
	Release string `json:"release,omitempty"`
	// SeenAt is when it last answered, ProbedAt when its numbers are from; zero: never.
	SeenAt time.Time `json:"seen_at"`
	// Error is how the last probe failed; empty: it did not.
	Error string `json:"error,omitempty"`
	// Streams are by id; nil: not known. Do not change it.
	Streams map[string]Stream `json:"-"`
}

// Lookup gives the node of that id; nil: there is none.
func (v *View) Lookup(id string) *Node {
	i, found := slices.BinarySearchFunc(v.Nodes, id, func(n Node, id string) int { return strings.Compare(n.ID, id) })
	if !found {
		return nil
	}
	return &v.Nodes[i]
}

// Group gives the nodes of a group.
func (v *View) Group(id string) []*Node {
	var nodes []*Node
	for i := range v.Nodes {
		if v.Nodes[i].GroupID == id {
			nodes = append(nodes, &v.Nodes[i])
		}
	}
	return nodes
}

// Acked is the lowest snapshot version that the edges of a group which take viewers have
// applied, by their own word; 0 where there is none.
func (v *View) Acked(group string) int64 {
	lowest := int64(0)
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if n.GroupID == group && n.Weight > 0 && (lowest == 0 || n.Version < lowest) {
			lowest = n.Version
		}
	}
	return lowest
}

// Change is an edge that went from one state to another.
type Change struct {
	EdgeID   string    `json:"edge_id"`
	GroupID  string    `json:"group_id"`
	From     State     `json:"from"`
	To       State     `json:"to"`
	Reason   Reason    `json:"reason,omitempty"`
	At       time.Time `json:"at"`
	Instance string    `json:"instance"`
}
