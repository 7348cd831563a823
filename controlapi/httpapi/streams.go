package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// Streams keeps how live streams are configured.
type Streams interface {
	CreateStream(ctx context.Context, scope controlapi.Scope, in controlapi.StreamCreate) (controlapi.Stream, error)
	Stream(ctx context.Context, scope controlapi.Scope, id string) (controlapi.Stream, error)
	Streams(ctx context.Context, scope controlapi.Scope, filter controlapi.StreamFilter, page controlapi.Page) (controlapi.List[controlapi.Stream], error)
	UpdateStream(ctx context.Context, scope controlapi.Scope, id string, version int64, in controlapi.StreamUpdate) (controlapi.Stream, error)
	DeleteStream(ctx context.Context, scope controlapi.Scope, id string, version int64) error
}

// Stream is a live stream as the API shows it.
type Stream struct {
	ID                 string         `json:"id" doc:"The id, which is in its URLs." example:"501"`
	OwnerID            string         `json:"owner_id" doc:"The reseller whose it is." example:"operator"`
	GroupID            string         `json:"group_id" doc:"The edge group that carries it." example:"default"`
	Name               string         `json:"name" doc:"What people call it." example:"News 24"`
	Sources            []string       `json:"sources" nullable:"false" doc:"URLs in order of preference. Below the owner, what may be a secret in them is hidden." example:"[\"https://origin.example/news.m3u8\"]"`
	SourcesMasked      bool           `json:"sources_masked" doc:"Parts of the sources are hidden from this key." example:"false"`
	Renditions         []Rendition    `json:"renditions" nullable:"false" doc:"The ladder, best first."`
	Encoding           Encoding       `json:"encoding" doc:"How the renditions that are not copied are encoded."`
	Audio              []AudioTrack   `json:"audio" nullable:"false" doc:"The languages that viewers choose from; none: the source's first track."`
	Captions           []CaptionTrack `json:"captions" nullable:"false" doc:"The captions that the pictures carry."`
	SegmentSeconds     float64        `json:"segment_seconds" doc:"No segment is shorter." example:"2"`
	LongestGOPSeconds  float64        `json:"longest_gop_seconds" doc:"The longest distance of keyframes that is accepted." example:"4"`
	Window             int            `json:"window" doc:"Segments in a playlist." example:"12"`
	Limits             Limits         `json:"limits" doc:"What its FFmpeg may use."`
	OnDemand           bool           `json:"on_demand" doc:"It starts with its first viewer." example:"false"`
	IdleSeconds        float64        `json:"idle_seconds" doc:"How long a stream on demand goes on without viewers." example:"30"`
	ReturnAfterSeconds float64        `json:"return_after_seconds" doc:"How long a preferred source must have delivered again until a backup is left for it." example:"30"`
	Replicas           int            `json:"replicas" doc:"How many edges hold it warm." example:"2"`
	Pin                Pin            `json:"pin" doc:"The edges that the operator chose."`
	Version            int64          `json:"version" doc:"Grows with each change; the ETag." example:"3"`
	CreatedAt          time.Time      `json:"created_at" doc:"When it was made." example:"2026-03-01T12:00:00Z"`
}

func (s Stream) etag() string { return etag(s.Version) }

func presentStream(s controlapi.Stream) Stream {
	return Stream{
		ID: s.ID, OwnerID: s.OwnerID, GroupID: s.GroupID, Name: s.Name, Sources: listed(s.Sources), SourcesMasked: s.SourcesMasked,
		Renditions: each(s.Renditions, presentRendition), Encoding: Encoding(s.Encoding), Audio: each(s.Audio, presentAudio),
		Captions: each(s.Captions, presentCaptions), SegmentSeconds: s.SegmentSeconds, LongestGOPSeconds: s.LongestGOPSeconds,
		Window: s.Window, Limits: Limits(s.Limits), OnDemand: s.OnDemand, IdleSeconds: s.IdleSeconds,
		ReturnAfterSeconds: s.ReturnAfterSeconds, Replicas: s.Replicas, Pin: presentPin(s.Pin), Version: s.Version, CreatedAt: s.CreatedAt,
	}
}

// StreamCreate is a stream to be made.
type StreamCreate struct {
	ID      string   `json:"id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Only the operator chooses ids; absent: the server makes one." example:"501"`
	OwnerID string   `json:"owner_id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"A reseller of the key's subtree; absent: the key's own." example:"operator"`
	GroupID string   `json:"group_id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"The edge group that carries it, for good; absent: default." example:"default"`
	Name    string   `json:"name" minLength:"1" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"What people call it." example:"News 24"`
	Sources []string `json:"sources" nullable:"false" minItems:"1" maxItems:"8" doc:"URLs in order of preference; push: takes what an encoder sends, test: is a test pattern." example:"[\"https://origin.example/news.m3u8\",\"test:\"]"`
	StreamSettings
}

// StreamUpdate changes what it names.
type StreamUpdate struct {
	Name    *string   `json:"name,omitempty" minLength:"1" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"What people call it." example:"News 24"`
	Sources *[]string `json:"sources,omitempty" minItems:"1" maxItems:"8" doc:"URLs in order of preference, all of them." example:"[\"https://origin.example/news.m3u8\",\"test:\"]"`
	StreamSettings
}

// StreamSettings are the parts of a stream that have defaults.
type StreamSettings struct {
	Renditions         *[]Rendition    `json:"renditions,omitempty" minItems:"1" maxItems:"12" doc:"The ladder, best first. Default: the source as it comes."`
	Encoding           *Encoding       `json:"encoding,omitempty" doc:"How the renditions that are not copied are encoded."`
	Audio              *[]AudioTrack   `json:"audio,omitempty" maxItems:"16" doc:"The languages that viewers choose from. Default: none, the source's first track."`
	Captions           *[]CaptionTrack `json:"captions,omitempty" maxItems:"16" doc:"The captions that the pictures carry. Default: none."`
	SegmentSeconds     *float64        `json:"segment_seconds,omitempty" minimum:"1" maximum:"20" doc:"No segment is shorter. Default: 2." example:"2"`
	LongestGOPSeconds  *float64        `json:"longest_gop_seconds,omitempty" minimum:"0.1" maximum:"60" doc:"The longest distance of keyframes that is accepted. Default: 4." example:"4"`
	Window             *int            `json:"window,omitempty" minimum:"6" maximum:"120" doc:"Segments in a playlist. Default: 12." example:"12"`
	Limits             *Limits         `json:"limits,omitempty" doc:"What its FFmpeg may use. Default: the edge's."`
	OnDemand           *bool           `json:"on_demand,omitempty" doc:"It starts with its first viewer. Default: false." example:"false"`
	IdleSeconds        *float64        `json:"idle_seconds,omitempty" minimum:"1" maximum:"86400" doc:"How long a stream on demand goes on without viewers. Default: 30." example:"30"`
	ReturnAfterSeconds *float64        `json:"return_after_seconds,omitempty" minimum:"0" maximum:"3600" doc:"How long a preferred source must have delivered again until a backup is left for it. Default: 30." example:"30"`
	Replicas           *int            `json:"replicas,omitempty" minimum:"1" maximum:"8" doc:"How many edges hold it warm. Default: 2." example:"2"`
}

// apply changes what the settings name.
func (s *StreamSettings) apply(spec *controlapi.StreamSpec) {
	if s.Renditions != nil {
		spec.Renditions = each(*s.Renditions, Rendition.domain)
	}
	if s.Encoding != nil {
		spec.Encoding = s.Encoding.domain()
	}
	if s.Audio != nil {
		spec.Audio = each(*s.Audio, AudioTrack.domain)
	}
	if s.Captions != nil {
		spec.Captions = each(*s.Captions, CaptionTrack.domain)
	}
	if s.Limits != nil {
		spec.Limits = s.Limits.domain()
	}
	set(&spec.SegmentSeconds, s.SegmentSeconds)
	set(&spec.LongestGOPSeconds, s.LongestGOPSeconds)
	set(&spec.Window, s.Window)
	set(&spec.OnDemand, s.OnDemand)
	set(&spec.IdleSeconds, s.IdleSeconds)
	set(&spec.ReturnAfterSeconds, s.ReturnAfterSeconds)
	set(&spec.Replicas, s.Replicas)
}

// set gives a member its new value where there is one.
func set[T any](member, value *T) {
	if value != nil {
		*member = *value
	}
}

// each turns a list into one of another type; the result is never nil.
func each[T, D any](list []T, turn func(T) D) []D {
	out := make([]D, 0, len(list))
	for _, item := range list {
		out = append(out, turn(item))
	}
	return out
}

func (a *API) registerStreams(store Streams) {
	const tag = "streams"
	get(a, operation{
		id: "list-streams", path: "/v1/streams", tag: tag, summary: "List streams",
		about: "The streams of the key's subtree and those that it is granted, in the order in which they were made.",
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Paged
		GroupID string `query:"group_id" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Only the streams of this edge group." example:"default"`
		Name    string `query:"name" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]*$" doc:"Only streams whose names begin with this, in capitals or not." example:"new"`
	},
	) (Page[Stream], error) {
		list, err := store.Streams(ctx, scope, controlapi.StreamFilter{GroupID: in.GroupID, NamePrefix: in.Name}, in.page())
		return pageOf(list, presentStream), err
	})
	onceOnly(a, operation{
		id: "create-stream", path: "/v1/streams", tag: tag, summary: "Create a stream",
		about:      "Edges are told within a second or two.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeExists, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Once
		Body StreamCreate
	},
	) (Stream, error) {
		b := &in.Body
		spec := controlapi.DefaultStreamSpec("")
		spec.Sources = b.Sources
		b.apply(&spec)
		s, err := store.CreateStream(ctx, scope, controlapi.StreamCreate{ID: b.ID, OwnerID: b.OwnerID, GroupID: b.GroupID, Name: b.Name, StreamSpec: spec})
		return presentStream(s), err
	})
	getTagged(a, operation{
		id: "get-stream", path: "/v1/streams/{id}", tag: tag, summary: "Get a stream", about: "How it is configured; how it is doing is its status.", codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ ByID }) (Stream, error) {
		s, err := store.Stream(ctx, scope, in.ID)
		return presentStream(s), err
	})
	change(a, operation{
		id: "update-stream", method: http.MethodPatch, path: "/v1/streams/{id}", tag: tag, summary: "Change a stream",
		about:      "Changes what the body names. What a viewer watches goes on; a change of the ladder restarts its FFmpeg.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
		Body StreamUpdate
	},
	) (Stream, error) {
		return updateStream(ctx, store, scope, in.ID, in.version(), &in.Body)
	})
	remove(a, operation{
		id: "delete-stream", path: "/v1/streams/{id}", tag: tag, summary: "Delete a stream",
		about:      "Edges end it within a second or two.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
	},
	) error {
		return store.DeleteStream(ctx, scope, in.ID, in.version())
	})
}

// updateStream changes the parts of a spec that were named. That another change comes
// between reading and writing is what the version finds.
func updateStream(ctx context.Context, store Streams, scope controlapi.Scope, id string, version int64, b *StreamUpdate) (Stream, error) {
	old, err := store.Stream(ctx, scope, id)
	if err != nil {
		return Stream{}, err
	}
	spec := old.StreamSpec
	if b.Sources != nil {
		spec.Sources = *b.Sources
	} else if old.SourcesMasked {
		return Stream{}, controlapi.Errorf(controlapi.CodeForbidden, "the stream belongs to a reseller above; only its owner changes it")
	}
	b.apply(&spec)
	s, err := store.UpdateStream(ctx, scope, id, version, controlapi.StreamUpdate{Name: b.Name, Spec: &spec})
	return presentStream(s), err
}
