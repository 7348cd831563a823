package status

import (
	"math"
	"runtime"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/rtmp"
)

// State is how the edge sees itself. The set is closed.
type State string

// The states.
const (
	Starting State = "starting" // no configuration is in force
	Healthy  State = "healthy"
	Degraded State = "degraded" // the score is below healthyScore
	Draining State = "draining" // new viewers are asked to go elsewhere
)

// healthyScore is the lowest score of a healthy edge.
const healthyScore = 60

// freshness is how old a live stream's last segment may be, in target durations
// (RFC 8216bis §6.2.1 wants the next one within that time).
const freshness = 1.5

// Health is the document at /-/health. A null is something that is not known or
// not measured by this release.
type Health struct {
	EdgeID string `json:"edge_id"`
	// Time is what the edge's clock shows, in UNIX seconds.
	Time  float64 `json:"time"`
	State State   `json:"state"`
	// Score is 0 to 100: the share of streams that are fresh, lowered by up to
	// seven tenths as the capacity to send is used up.
	Score int `json:"score"`
	// FreshShare is that share, 0 to 1, of the streams whose source delivers: what a
	// source does not deliver, no edge can.
	FreshShare float64 `json:"fresh_share"`
	// Load is the share of its capacity to send that is in use, 0 to 1; 0 where that
	// capacity is not known.
	Load     float64  `json:"load"`
	Headroom Headroom `json:"headroom"`
	// Capacity is what the headroom is left of.
	Capacity edge.Capacity `json:"capacity"`
	// Sessions is the number of viewers.
	Sessions int      `json:"sessions"`
	Snapshot Snapshot `json:"snapshot"`
	Streams  []Stream `json:"streams"`
	// ClockOffset is to the control plane's clock, in seconds.
	ClockOffset *float64 `json:"clock_offset"`
	// Confinement is what bounds the FFmpeg processes.
	Confinement *ingest.Confinement `json:"confinement"`
	Versions    Versions            `json:"versions"`
}

// Headroom is what is left of the node's capacity.
type Headroom struct {
	Streams int `json:"streams"`
	// Egress is in bits per second.
	Egress *int64 `json:"egress"`
	// CPU is in cores, after what the running streams take by estimate.
	CPU    *float64 `json:"cpu"`
	Memory *int64   `json:"memory"`
}

// Snapshot names the document in force; an edge that is configured by its
// Caddyfile has epoch 0 and version 0.
type Snapshot struct {
	Epoch   int64  `json:"epoch"`
	Version int64  `json:"version"`
	Group   string `json:"group"`
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
	h := Health{
		State:    Starting,
		Time:     float64(time.Now().UnixMilli()) / 1000,
		Sessions: host.Sessions().Len(),
		Streams:  []Stream{},
		Versions: Versions{Edge: edge.Version(), Caddy: caddyVersion, Go: runtime.Version()},
	}
	engine, doc := host.Engine(), host.Document()
	if engine == nil || doc == nil {
		return h
	}
	node := host.Node()
	confinement := engine.Confinement()
	h.EdgeID, h.Confinement, h.Versions.FFmpeg = node.ID, &confinement, engine.FFmpegVersion()
	h.Snapshot = Snapshot{Epoch: doc.Epoch, Version: doc.Version, Group: doc.Group}

	streams, now := engine.Streams(), time.Now()
	fresh, answerable, cores := 0, 0, 0.0
	for _, s := range streams {
		status := s.Status()
		cores += status.Cores
		one := stream(status, doc, host.Sessions().Viewers(status.ID), now)
		one.Fresh = isFresh(status, s.TargetDuration(), now)
		if one.Fresh {
			fresh++
		}
		if one.Fresh || !isSources(status.Reason) {
			answerable++
		}
		one.Publisher = host.Publisher(status.ID)
		h.Streams = append(h.Streams, one)
	}
	egress := host.Egress()
	h.Capacity, h.Headroom = node.Capacity, headroom(node.Capacity, len(streams), egress, cores)
	h.Load = used(egress, node.Capacity.Egress)
	h.FreshShare = share(fresh, answerable)
	h.Score = score(h.FreshShare, h.Load)
	h.State = state(host.Draining(), h.Score)
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

func isFresh(s ingest.Status, target time.Duration, now time.Time) bool {
	// Nobody waits for a stream on demand that nobody watches.
	return s.State == ingest.StateIdle || s.State == ingest.StateLive && now.Sub(s.LastSegmentAt).Seconds() <= freshness*target.Seconds()
}

func headroom(c edge.Capacity, streams int, egress, cores float64) Headroom {
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

func state(draining bool, score int) State {
	switch {
	case draining:
		return Draining
	case score < healthyScore:
		return Degraded
	}
	return Healthy
}
