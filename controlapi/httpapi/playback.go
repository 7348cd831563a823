package httpapi

import (
	"context"
	"net/netip"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/routing"
)

// Playback decides who may watch, and where.
type Playback interface {
	Issue(ctx context.Context, scope controlapi.Scope, in PlaybackRequest) (Issued, error)
	// Publish gives the address of the stream's ingest, and a token for it.
	Publish(ctx context.Context, scope controlapi.Scope, streamID string, lifetime time.Duration) (Publishing, error)
	// Route explains where a viewer of a stream would be sent.
	Route(ctx context.Context, scope controlapi.Scope, streamID, userID string, client netip.Addr) ([]routing.Explanation, error)
}

// PlaybackRequest is a viewer who wants to watch a stream, or one of a bouquet's.
type PlaybackRequest struct {
	UserID    string `json:"user_id" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Who wants to watch." example:"1007"`
	StreamID  string `json:"stream_id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"What; this, or bouquet_id." example:"501"`
	BouquetID string `json:"bouquet_id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"All streams of a bouquet with one token; this, or stream_id." example:"sports"`
	GroupID   string `json:"group_id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"The edge group to play a bouquet in; absent: default." example:"default"`
	Client    string `json:"client,omitempty" maxLength:"45" pattern:"^[0-9A-Fa-f.:]*$" doc:"The viewer's address, for the way to the nearest edge; absent: not known." example:"203.0.113.9"`
	BindTo    int    `json:"bind_octets,omitempty" minimum:"0" maximum:"16" doc:"Binds the token to so many leading octets of the client's address; 0: it is good from anywhere." example:"0"`
}

// Issued is a way to watch.
type Issued struct {
	URL       string    `json:"url" doc:"The playlist, with its token. Of a bouquet: with {stream} in the place of the stream's id." example:"https://edge-1.example.com/live/1.kk3x9p2ab.roperator.u1007.s501:1893459600:0b1c…/501/index.m3u8"`
	Token     string    `json:"token" doc:"The token alone." example:"1.kk3x9p2ab.roperator.u1007.s501:1893459600:0b1c…"`
	ExpiresAt time.Time `json:"expires_at" doc:"The token's last moment: renew it before." example:"2026-03-02T12:00:00Z"`
	EdgeID    string    `json:"edge_id" doc:"The edge that was chosen." example:"edge-1"`
	Why       []Judged  `json:"why" nullable:"false" doc:"How every edge was judged."`
}

// Judged is how one edge was judged for a viewer.
type Judged struct {
	EdgeID     string   `json:"edge_id" doc:"The edge." example:"edge-1"`
	State      string   `json:"state" doc:"Its state." example:"healthy"`
	Refused    string   `json:"refused,omitempty" doc:"Why it cannot take the viewer: state, snapshot, stream_not_ready, no_headroom, degraded; absent: it can." example:"no_headroom"`
	Health     float64  `json:"health" doc:"0 to 1." example:"0.97"`
	Headroom   float64  `json:"headroom" doc:"The share of its capacity that is free." example:"0.82"`
	Proximity  float64  `json:"proximity" doc:"1 / (1 + km / 1000); 1 where a position is not known." example:"0.91"`
	Kilometres *float64 `json:"kilometres,omitempty" doc:"To the viewer; absent: not known." example:"98.5"`
	Score      float64  `json:"score" doc:"health × √headroom × proximity." example:"0.8"`
	Contender  bool     `json:"contender" doc:"It is within a tenth of the best, among whom the user decides." example:"true"`
	Chosen     bool     `json:"chosen" doc:"It was chosen." example:"true"`
}

// Judge shows how an edge was judged.
func Judge(e routing.Explanation) Judged {
	out := Judged{
		EdgeID: e.Edge, State: string(e.State), Refused: string(e.Refused), Health: e.Health, Headroom: e.Headroom, Proximity: e.Proximity,
		Score: e.Score, Contender: e.Contender, Chosen: e.Chosen,
	}
	if e.Kilometres >= 0 {
		out.Kilometres = &e.Kilometres
	}
	return out
}

// Route is where a viewer of a stream would be sent, and why.
type Route struct {
	EdgeID string   `json:"edge_id,omitempty" doc:"The edge that would be chosen; absent: none can take the viewer." example:"edge-1"`
	Edges  []Judged `json:"edges" nullable:"false" doc:"How every edge of the stream's group was judged."`
}

// address reads the address of a viewer; the zero one stands for none.
func address(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, controlapi.Invalid("client", "it is no IPv4 or IPv6 address")
	}
	return addr.Unmap(), nil
}

// PublishRequest asks for the address that an encoder sends to.
type PublishRequest struct {
	LifetimeSeconds int64 `json:"lifetime_seconds,omitempty" minimum:"60" maximum:"31536000" doc:"How long the address is good; absent: 24 hours. Rotating the signing key ends it a day later at the latest." example:"86400"`
}

// Publishing is where an encoder sends a stream.
type Publishing struct {
	Server    string    `json:"server" doc:"The RTMP server, as encoders ask for it." example:"rtmp://edge-1.example.com:1935/live"`
	StreamKey string    `json:"stream_key" doc:"The stream key, with its token: as good as a password." example:"501?token=1.kk3x9p2ab.roperator.uencoder.s501.ow:1893459600:0b1c…"`
	EdgeID    string    `json:"edge_id" doc:"The edge that packages the stream." example:"edge-1"`
	ExpiresAt time.Time `json:"expires_at" doc:"The token's last moment." example:"2026-03-02T12:00:00Z"`
}

// StreamStatus is how a stream is.
type StreamStatus struct {
	StreamID string         `json:"stream_id" doc:"The stream." example:"501"`
	Live     bool           `json:"live" doc:"An edge delivers it, or starts it for its first viewer." example:"true"`
	Edges    []StreamOnEdge `json:"edges" nullable:"false" doc:"How it is on each edge that has it."`
}

func (a *API) registerPlayback(playback Playback, streams Streams) {
	const tag = "playback"
	do(a, operation{
		id: "issue-playback", path: "/v1/playback", tag: tag, summary: "Issue a playback URL",
		about: "Checks that the user is active, has not expired, and is entitled by its plan and its reseller's grants; chooses an edge; and signs a token. " +
			"Playing from then on needs the edge alone.",
		permission: controlapi.PermissionPlayback, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ Body PlaybackRequest }) (Issued, error) {
		return playback.Issue(ctx, scope, in.Body)
	})
	get(a, operation{
		id: "explain-route", path: "/v1/streams/{id}/route", tag: tag, summary: "Explain where viewers of a stream are sent",
		about: "As the next viewer would be: health × √headroom × proximity of every edge of the stream's group, and who is chosen among the best.",
		codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Client string `query:"client" maxLength:"45" pattern:"^[0-9A-Fa-f.:]*$" doc:"A viewer's address; absent: not known." example:"203.0.113.9"`
		UserID string `query:"user_id" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"A user: it decides among edges that are as good." example:"1007"`
	},
	) (Route, error) {
		client, err := address(in.Client)
		if err != nil {
			return Route{}, err
		}
		judged, err := playback.Route(ctx, scope, in.ID, in.UserID, client)
		if err != nil {
			return Route{}, err
		}
		route := Route{Edges: each(judged, Judge)}
		for _, e := range judged {
			if e.Chosen {
				route.EdgeID = e.Edge
			}
		}
		return route, nil
	})
	get(a, operation{
		id: "get-stream-status", path: "/v1/streams/{id}/status", tag: "streams", summary: "Get how a stream is",
		about: "As this instance of the control plane last saw it, a second or two ago.", codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ ByID }) (StreamStatus, error) {
		s, err := streams.Stream(ctx, scope, in.ID)
		if err != nil {
			return StreamStatus{}, err
		}
		status := StreamStatus{StreamID: s.ID, Edges: listed(a.health.Stream(s.ID))}
		for _, e := range status.Edges {
			status.Live = status.Live || e.Playable
		}
		return status, nil
	})
	do(a, operation{
		id: "issue-publish-url", path: "/v1/streams/{id}/publish", tag: "streams", summary: "Issue the address that an encoder sends to",
		about:      "For a stream that has push: among its sources, and a key whose reseller may publish it.",
		permission: controlapi.PermissionPlayback, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Body PublishRequest
	},
	) (Publishing, error) {
		lifetime := controlapi.MaxSession
		if in.Body.LifetimeSeconds > 0 {
			lifetime = seconds(in.Body.LifetimeSeconds)
		}
		return playback.Publish(ctx, scope, in.ID, lifetime)
	})
}
