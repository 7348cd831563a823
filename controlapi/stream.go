package controlapi

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/controlapi/snapshot"
)

// MaxReplicas bounds how many edges hold one stream warm.
const MaxReplicas = 8

// Stream is a live stream as it is configured.
type Stream struct {
	ID      string `json:"id"`
	OwnerID string `json:"owner_id"`
	// GroupID is the edge group that carries it; it never changes.
	GroupID string `json:"group_id"`
	Name    string `json:"name"`
	StreamSpec
	// Pin fixes its edges.
	Pin       Pin       `json:"pin"`
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	// SourcesMasked tells that only scheme and host are left of the sources, because the
	// caller is below the owner.
	SourcesMasked bool `json:"-"`
}

// StreamSpec is what an edge needs to be told; see snapshot.Stream for what the members
// mean and package snapshot for their bounds.
type StreamSpec struct {
	// Sources may hold passwords; they are sealed where they are kept.
	Sources            []string                `json:"sources"`
	Renditions         []snapshot.Rendition    `json:"renditions"`
	Encoding           snapshot.Encoding       `json:"encoding"`
	Audio              []snapshot.AudioTrack   `json:"audio"`
	Captions           []snapshot.CaptionTrack `json:"captions"`
	SegmentSeconds     float64                 `json:"segment_seconds"`
	LongestGOPSeconds  float64                 `json:"longest_gop_seconds"`
	Window             int                     `json:"window"`
	Limits             snapshot.Limits         `json:"limits"`
	OnDemand           bool                    `json:"on_demand"`
	IdleSeconds        float64                 `json:"idle_seconds"`
	ReturnAfterSeconds float64                 `json:"return_after_seconds"`
	// Replicas is how many edges hold the stream warm, the primary among them: 1 to MaxReplicas.
	Replicas int `json:"replicas"`
}

// DefaultStreamSpec is a stream of one source as it comes: segments of 2 s, a window of 12,
// two edges.
func DefaultStreamSpec(source string) StreamSpec {
	return StreamSpec{
		Sources: []string{source}, Renditions: []snapshot.Rendition{{Name: "source", Copy: true}},
		SegmentSeconds: 2, LongestGOPSeconds: 4, Window: 12, IdleSeconds: 30, ReturnAfterSeconds: 30, Replicas: 2,
	}
}

// Pin is the operator's choice of edges for a stream; the zero Pin leaves it to the
// control plane.
type Pin struct {
	// Primary is the id of an edge of the stream's group; empty: not pinned.
	Primary string `json:"primary"`
	// Relays are ids of further ones.
	Relays []string `json:"relays"`
}

// StreamCreate is a stream to be made.
type StreamCreate struct {
	// ID may be chosen by the operator only; empty: the server makes one.
	ID string
	// OwnerID is a reseller in scope; empty: the scope's own.
	OwnerID string
	// GroupID is an edge group; empty: "default".
	GroupID string
	Name    string
	StreamSpec
}

// StreamUpdate changes what is not nil.
type StreamUpdate struct {
	Name *string
	Spec *StreamSpec
}

// StreamFilter narrows a list of streams.
type StreamFilter struct {
	// GroupID lists the streams of that group alone; empty: all.
	GroupID string
	// NamePrefix finds names that begin with it, in capitals or not; empty: all.
	NamePrefix string
}

// Snapshot is the spec as the snapshot of a group says it, without an assignment.
func (s *StreamSpec) Snapshot(id string) snapshot.Stream {
	return snapshot.Stream{
		ID: id, Relays: []string{}, Sources: s.Sources, Renditions: s.Renditions, Encoding: s.Encoding, Audio: s.Audio, Captions: s.Captions,
		SegmentSeconds: s.SegmentSeconds, LongestGOPSeconds: s.LongestGOPSeconds, Window: s.Window, Limits: s.Limits,
		OnDemand: s.OnDemand, IdleSeconds: s.IdleSeconds, ReturnAfterSeconds: s.ReturnAfterSeconds,
	}
}

// Check tells what no edge could carry out, by the snapshot's own checks. Sources that
// read an edge's disk are the operator's alone.
func (s *StreamSpec) Check(operator bool) error {
	if s.Replicas < 1 || s.Replicas > MaxReplicas {
		return Invalid("replicas", fmt.Sprintf("%d replicas; choose 1 to %d", s.Replicas, MaxReplicas))
	}
	l := s.Limits
	if !(l.CPU >= 0 && l.CPU <= 1024) || l.Memory < 0 || l.PIDs < 0 || l.PIDs > 1<<22 {
		return Invalid("limits", "cpu is 0 to 1024 cores, memory and pids are not negative; 0 is no limit")
	}
	for i, source := range s.Sources {
		if len(source) > 2048 {
			return Invalid("sources", fmt.Sprintf("source %d has more than 2048 characters", i+1))
		}
		if !operator && (strings.HasPrefix(source, "file:") || strings.HasPrefix(source, "slate:/")) {
			return Invalid("sources", fmt.Sprintf("source %d is a file of the edge, which only the operator may name; give a URL", i+1))
		}
	}
	one := s.Snapshot("stream")
	doc := snapshot.Document{Group: "group", Streams: []snapshot.Stream{one}}
	if err := doc.Check(); err != nil {
		return Invalid("stream", strings.TrimPrefix(err.Error(), `stream "stream": `))
	}
	return nil
}

// Masked is the spec for those who may not see where the sources come from in full.
func (s StreamSpec) Masked() StreamSpec {
	s.Sources = slices.Clone(s.Sources)
	for i, source := range s.Sources {
		s.Sources[i] = MaskSource(source)
	}
	return s
}

// MaskSource leaves of a source its scheme and host. Passwords are not only where they
// should be: many origins want them in the path, and RTMP has its stream key there.
func MaskSource(source string) string {
	u, err := url.Parse(source)
	switch {
	case err != nil:
		return "hidden"
	case u.Scheme+":" == source:
		return source
	case u.Host == "":
		return u.Scheme + ":hidden"
	}
	masked := u.Scheme + "://" + u.Host
	if masked == source {
		return source
	}
	return masked + "/hidden"
}
