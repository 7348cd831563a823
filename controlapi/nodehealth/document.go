package nodehealth

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/snapshot"
)

// Document is what the prober reads of an edge's /-/health. Members that it does not know
// are ignored, those that are missing are zero: edges of another release are understood.
type Document struct {
	EdgeID string `json:"edge_id"`
	// Time is what the edge's clock shows, in UNIX seconds.
	Time float64 `json:"time"`
	// State is how it sees itself: starting, healthy, degraded or draining.
	State string `json:"state"`
	Score int    `json:"score"`
	// Load is the share of its capacity to send that is in use.
	Load float64 `json:"load"`
	// FreshShare is the share of its streams that move on, of those whose source delivers.
	FreshShare float64 `json:"fresh_share"`
	Headroom   struct {
		Streams int      `json:"streams"`
		Egress  *int64   `json:"egress"` // bits per second
		CPU     *float64 `json:"cpu"`    // cores
	} `json:"headroom"`
	Capacity controlapi.Capacity `json:"capacity"`
	Sessions int                 `json:"sessions"`
	Snapshot struct {
		Epoch   int64 `json:"epoch"`
		Version int64 `json:"version"`
	} `json:"snapshot"`
	Streams  []Stream `json:"streams"`
	Versions struct {
		Edge string `json:"edge"`
	} `json:"versions"`
}

// Stream is how one stream does on one edge.
type Stream struct {
	ID string `json:"id"`
	// State is the engine's: starting, live, no_keyframe, waiting, idle, failed or stopped.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Role is primary or relay.
	Role          string `json:"role"`
	AssignmentRev int64  `json:"assignment_rev"`
	// MSN and Discontinuity are those of its newest segment.
	MSN           int64 `json:"last_msn"`
	Discontinuity int64 `json:"discontinuity_sequence"`
	// SegmentAge is in seconds; nil: it has none yet.
	SegmentAge *float64 `json:"segment_age"`
	Fresh      bool     `json:"fresh"`
	Viewers    int      `json:"viewers"`
}

// The states of a stream that matter here.
const (
	streamLive = "live"
	streamIdle = "idle" // on demand: its first viewer starts it
)

// Playable tells whether a viewer who comes now gets the stream.
func (s Stream) Playable() bool { return s.State == streamLive || s.State == streamIdle }

// Bounds of a document.
const (
	maxDocument = 16 << 20
	maxStreams  = 20_000
	maxID       = 32
)

// parseDocument reads a health document and checks what is relied upon: a broken edge must
// not break the control plane.
func parseDocument(b []byte) (*Document, error) {
	var d Document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("reading the health document: %w", err)
	}
	if len(d.Streams) > maxStreams {
		return nil, fmt.Errorf("a health document of %d streams; %d are allowed", len(d.Streams), maxStreams)
	}
	for i := range d.Streams {
		s := &d.Streams[i]
		if s.ID == "" || len(s.ID) > maxID || s.MSN < 0 || s.Discontinuity < 0 {
			return nil, fmt.Errorf("stream %d of the health document has no good id or a negative number", i+1)
		}
	}
	if d.Score < 0 || d.Score > 100 || d.Sessions < 0 || d.Headroom.Streams < 0 {
		return nil, errors.New("a health document with numbers that cannot be")
	}
	return &d, nil
}

// clockOffset is how far the edge's clock is ahead, half of the way there subtracted.
func (d *Document) clockOffset(received time.Time, took time.Duration) time.Duration {
	if d.Time == 0 {
		return 0
	}
	answered := time.UnixMilli(int64(d.Time * 1000))
	return answered.Sub(received.Add(-took / 2))
}

// reported is what an edge says with its poll, in the form of an answer: all that is known
// of one that cannot be probed.
func reported(applied snapshot.Version, h snapshot.Health) *Document {
	d := &Document{State: h.State, Score: min(max(h.Score, 0), 100), FreshShare: 1, Sessions: h.Sessions}
	d.Headroom.Streams, d.Headroom.Egress, d.Headroom.CPU = h.Streams, h.Egress, h.CPU
	d.Snapshot.Epoch, d.Snapshot.Version = applied.Epoch, applied.Number
	return d
}
