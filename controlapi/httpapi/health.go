package httpapi

import (
	"time"

	"github.com/headrace/headrace/controlapi/nodehealth"
)

// Health is what an instance of the control plane holds of edges and streams.
type Health interface {
	Edge(id string) EdgeHealth
	// Stream is how a stream is on each edge that has it.
	Stream(id string) []StreamOnEdge
}

// EdgeHealth is what an instance of the control plane holds of an edge.
type EdgeHealth struct {
	State    string     `json:"state" doc:"unknown, joining, healthy, degraded, down, probation, draining or quarantined." example:"healthy"`
	Reason   string     `json:"reason,omitempty" doc:"Why." example:"score"`
	Since    *time.Time `json:"since,omitempty" doc:"Since when." example:"2026-03-01T12:00:00Z"`
	Score    int        `json:"score" doc:"0 to 100." example:"97"`
	Headroom float64    `json:"headroom" doc:"The share of its capacity that is free." example:"0.82"`
	Sessions int        `json:"sessions" doc:"Its viewers." example:"412"`
	Error    string     `json:"error,omitempty" doc:"How the last probe failed; absent: it did not." example:"connection refused"`
}

// StreamOnEdge is how a stream is on one edge.
type StreamOnEdge struct {
	EdgeID     string   `json:"edge_id" doc:"The edge." example:"edge-1"`
	Role       string   `json:"role" doc:"primary or relay." example:"primary"`
	State      string   `json:"state" doc:"starting, live, no_keyframe, waiting, idle, failed or stopped." example:"live"`
	Reason     string   `json:"reason,omitempty" doc:"Why it is in that state." example:"source: connection refused"`
	Playable   bool     `json:"playable" doc:"A viewer who comes now gets it." example:"true"`
	MSN        int64    `json:"last_msn" doc:"The media sequence number of its newest segment." example:"884736000"`
	SegmentAge *float64 `json:"segment_age_seconds,omitempty" doc:"Of its newest segment; absent: it has none yet." example:"1.2"`
	Viewers    int      `json:"viewers" doc:"Who watch it there." example:"41"`
}

// NodeHealth is Health by the newest view of a monitor.
type NodeHealth func() *nodehealth.View

// Edge is how an edge is; its state is unknown as long as the monitor does not know it.
func (view NodeHealth) Edge(id string) EdgeHealth {
	node := view().Lookup(id)
	if node == nil {
		return EdgeHealth{State: "unknown"}
	}
	return EdgeHealth{
		State: string(node.State), Reason: string(node.Reason), Since: moment(node.Since), Score: node.Score,
		Headroom: node.Headroom, Sessions: node.Sessions, Error: node.Error,
	}
}

// Stream is how a stream is on each edge that has it.
func (view NodeHealth) Stream(id string) []StreamOnEdge {
	var on []StreamOnEdge
	for _, node := range view().Nodes {
		s, has := node.Streams[id]
		if !has {
			continue
		}
		on = append(on, StreamOnEdge{
			EdgeID: node.ID, Role: s.Role, State: s.State, Reason: s.Reason, Playable: s.Playable(), MSN: s.MSN, SegmentAge: s.SegmentAge, Viewers: s.Viewers,
		})
	}
	return on
}
