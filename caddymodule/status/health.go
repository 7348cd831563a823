package status

import (
	"runtime"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/caddymodule/follower"
	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/rtmp"
)

// Health is the document at /-/health. A null is something that is not known or
// not measured by this release.
type Health struct {
	EdgeID string `json:"edge_id"`
	// Time is what the edge's clock shows, in UNIX seconds.
	Time  float64    `json:"time"`
	State edge.State `json:"state"`
	// Score is 0 to 100: the share of streams that are fresh, lowered by up to
	// seven tenths as the capacity to send is used up.
	Score int `json:"score"`
	// FreshShare is that share, 0 to 1, of the streams whose source delivers: what a
	// source does not deliver, no edge can.
	FreshShare float64 `json:"fresh_share"`
	// Load is the share of its capacity to send that is in use, 0 to 1; 0 where that
	// capacity is not known.
	Load     float64       `json:"load"`
	Headroom edge.Headroom `json:"headroom"`
	// Capacity is what the headroom is left of.
	Capacity edge.Capacity `json:"capacity"`
	// Sessions is the number of viewers.
	Sessions int      `json:"sessions"`
	Snapshot Snapshot `json:"snapshot"`
	// Control is how the edge and its control plane get on; null: it has none.
	Control *Control `json:"control"`
	Streams []Stream `json:"streams"`
	// ClockOffset is to the control plane's clock, in seconds.
	ClockOffset *float64 `json:"clock_offset"`
	// Confinement is what bounds the FFmpeg processes.
	Confinement *ingest.Confinement `json:"confinement"`
	Versions    Versions            `json:"versions"`
}

// Snapshot names the document in force; an edge that is configured by its
// Caddyfile has epoch 0 and version 0.
type Snapshot struct {
	Epoch   int64  `json:"epoch"`
	Version int64  `json:"version"`
	Group   string `json:"group"`
}

// Control is how the edge and its control plane get on.
type Control struct {
	// Connected tells that their last exchange went well; else Problem says why not.
	Connected bool   `json:"connected"`
	Problem   string `json:"problem"`
	// SnapshotAge is how long ago the control plane confirmed that the document in force
	// is its newest, in seconds; null: never.
	SnapshotAge *float64 `json:"snapshot_age"`
	// Unsaved tells that the document in force could not be written to the disk.
	Unsaved bool `json:"unsaved"`
	// Rejected is the last document, if it was refused; null: it was not.
	Rejected *follower.Rejection `json:"rejected"`
}

// control tells what the host knows of its control plane.
func control(host *edge.Host, now time.Time) *Control {
	status, following := host.Control()
	if !following {
		return nil
	}
	c := &Control{Connected: status.Connected, Problem: status.Problem, Unsaved: status.Unsaved, Rejected: status.Rejected}
	if !status.Confirmed.IsZero() {
		age := max(0, now.Sub(status.Confirmed).Seconds())
		c.SnapshotAge = &age
	}
	return c
}

// Stream is how one stream does.
type Stream struct {
	ID                    string        `json:"id"`
	State                 ingest.State  `json:"state"`
	Reason                ingest.Reason `json:"reason"`
	Role                  string        `json:"role"`
	AssignmentRev         int64         `json:"assignment_rev"`
	LastMSN               int64         `json:"last_msn"`
	DiscontinuitySequence int64         `json:"discontinuity_sequence"`
	SegmentAge            *float64      `json:"segment_age"` // seconds
	// Fresh tells that its segments come in time, or that nobody waits for them.
	Fresh    bool                    `json:"fresh"`
	Restarts map[ingest.Reason]int64 `json:"restarts"`
	Viewers  int                     `json:"viewers"`
	// Publisher is who pushes it.
	Publisher *rtmp.Publisher `json:"publisher,omitempty"`
}

// Versions are those of the parts.
type Versions struct {
	Edge   string `json:"edge"`
	Caddy  string `json:"caddy"`
	FFmpeg string `json:"ffmpeg"`
	Go     string `json:"go"`
}

// health writes the document down.
func health(host *edge.Host) Health {
	caddyVersion, _ := caddy.Version()
	now, node := time.Now(), host.Node()
	h := Health{
		EdgeID:   node.ID,
		Time:     float64(now.UnixMilli()) / 1000,
		Capacity: node.Capacity,
		Sessions: host.Sessions().Len(),
		Control:  control(host, now),
		Streams:  []Stream{},
		Versions: Versions{Edge: edge.Version(), Caddy: caddyVersion, Go: runtime.Version()},
	}
	engine, doc := host.Engine(), host.Document()
	if engine != nil {
		confinement := engine.Confinement()
		h.Confinement, h.Versions.FFmpeg = &confinement, engine.FFmpegVersion()
	}
	var all edge.Tally
	if engine != nil && doc != nil {
		h.Snapshot = Snapshot{Epoch: doc.Epoch, Version: doc.Version, Group: doc.Group}
		for _, s := range engine.Streams() {
			status := s.Status()
			one := stream(status, doc, host.Sessions().Viewers(status.ID), now)
			one.Fresh = all.Add(status, s.TargetDuration(), now)
			one.Publisher = host.Publisher(status.ID)
			h.Streams = append(h.Streams, one)
		}
	}
	c := host.Condition(all)
	h.State, h.Score, h.FreshShare, h.Load, h.Headroom = c.State, c.Score, c.FreshShare, c.Load, c.Headroom
	return h
}

func stream(s ingest.Status, doc *snapshot.Document, viewers int, now time.Time) Stream {
	answer := Stream{
		ID:                    s.ID,
		State:                 s.State,
		Reason:                s.Reason,
		Role:                  "primary",
		LastMSN:               s.LastMSN,
		DiscontinuitySequence: s.DiscontinuitySequence,
		Restarts:              s.Restarts,
		Viewers:               viewers,
	}
	if !s.LastSegmentAt.IsZero() {
		age := now.Sub(s.LastSegmentAt).Seconds()
		answer.SegmentAge = &age
	}
	for i := range doc.Streams {
		if doc.Streams[i].ID == s.ID {
			answer.AssignmentRev = doc.Streams[i].AssignmentRev
		}
	}
	return answer
}
