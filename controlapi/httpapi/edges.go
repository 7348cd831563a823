package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/snapshot"
)

// Edges keeps the servers that carry streams.
type Edges interface {
	// CreateEdge makes an edge and its join code.
	CreateEdge(ctx context.Context, scope controlapi.Scope, in controlapi.EdgeCreate) (controlapi.Edge, controlapi.Secret, error)
	Edge(ctx context.Context, scope controlapi.Scope, id string) (controlapi.Edge, error)
	// Edges lists those of a group, or all.
	Edges(ctx context.Context, scope controlapi.Scope, groupID string, page controlapi.Page) (controlapi.List[controlapi.Edge], error)
	UpdateEdge(ctx context.Context, scope controlapi.Scope, id string, version int64, in controlapi.EdgeUpdate) (controlapi.Edge, error)
	// NewJoinCode makes another join code, which ends the one before.
	NewJoinCode(ctx context.Context, scope controlapi.Scope, id string, version int64) (controlapi.Edge, controlapi.Secret, error)
	// RevokeEdge ends an edge's credential.
	RevokeEdge(ctx context.Context, scope controlapi.Scope, id string, version int64) (controlapi.Edge, error)
	DeleteEdge(ctx context.Context, scope controlapi.Scope, id string, version int64) error
}

// Edge is a server that carries the streams of its group.
type Edge struct {
	ID            string     `json:"id" doc:"The id." example:"edge-1"`
	GroupID       string     `json:"group_id" doc:"Its group." example:"default"`
	URL           string     `json:"url" doc:"Where viewers find it." example:"https://edge-1.example.com"`
	HealthURL     string     `json:"health_url,omitempty" doc:"Where it is probed; absent: at url." example:"https://10.0.0.11"`
	Capacity      Capacity   `json:"capacity" doc:"What it can carry."`
	Location      *Location  `json:"location,omitempty" doc:"Where it stands; absent: not known."`
	State         string     `json:"state" enum:"active,draining,revoked" doc:"What the operator wants of it: active; draining: no new viewers, its streams move away; revoked: its credential has ended." example:"active"`
	Joined        bool       `json:"joined" doc:"It has redeemed a join code." example:"true"`
	JoinExpiresAt *time.Time `json:"join_expires_at,omitempty" doc:"Until when a join code is out." example:"2026-03-02T12:00:00Z"`
	Snapshot      EdgeReport `json:"snapshot" doc:"What it last said of the snapshot."`
	Health        EdgeHealth `json:"health" doc:"What this instance of the control plane holds of it."`
	Version       int64      `json:"version" doc:"Grows with each change; the ETag." example:"3"`
	CreatedAt     time.Time  `json:"created_at" doc:"When it was made." example:"2026-03-01T12:00:00Z"`
}

// Capacity is what an edge can carry; 0: not said.
type Capacity struct {
	Egress  int64 `json:"egress" required:"false" minimum:"0" maximum:"1000000000000000" doc:"Bits per second." example:"10000000000"`
	Streams int   `json:"streams" required:"false" minimum:"0" maximum:"100000" doc:"Streams that it packages." example:"200"`
}

// Location is a place on earth.
type Location struct {
	Latitude  float64 `json:"latitude" minimum:"-90" maximum:"90" doc:"Degrees north." example:"52.37"`
	Longitude float64 `json:"longitude" minimum:"-180" maximum:"180" doc:"Degrees east." example:"4.9"`
}

// EdgeReport is what an edge last said of the snapshot.
type EdgeReport struct {
	Applied  *EdgeAck `json:"applied,omitempty" doc:"The version that it applied last; absent: none yet."`
	Rejected *EdgeAck `json:"rejected,omitempty" doc:"The version that it refused last; absent: none."`
}

// EdgeAck is what an edge did with one version.
type EdgeAck struct {
	Version string    `json:"version" doc:"Epoch and version." example:"1.42"`
	At      time.Time `json:"at" doc:"When it said so." example:"2026-03-01T12:00:00Z"`
	Reason  string    `json:"reason,omitempty" doc:"Why it refused the version." example:"stream \"501\": it has no source"`
}

func (e Edge) etag() string { return etag(e.Version) }

func (a *API) presentEdge(e controlapi.Edge) Edge {
	return Edge{
		ID: e.ID, GroupID: e.GroupID, URL: e.URL, HealthURL: e.HealthURL, Capacity: Capacity(e.Capacity), Location: (*Location)(e.Location),
		State: string(e.State), Joined: e.Joined, JoinExpiresAt: moment(e.JoinExpiresAt), Snapshot: presentReport(e.Report),
		Health: a.health.Edge(e.ID), Version: e.Version, CreatedAt: e.CreatedAt,
	}
}

func presentReport(r controlapi.EdgeReport) EdgeReport {
	var out EdgeReport
	if r.Version > 0 {
		out.Applied = &EdgeAck{Version: snapshot.Version{Epoch: r.Epoch, Number: r.Version}.String(), At: r.AppliedAt}
	}
	if r.RejectedVersion > 0 {
		out.Rejected = &EdgeAck{Version: snapshot.Version{Epoch: r.RejectedEpoch, Number: r.RejectedVersion}.String(), At: r.RejectedAt, Reason: r.RejectedReason}
	}
	return out
}

// NewEdge is an edge with its join code, which is shown this once.
type NewEdge struct {
	Edge
	JoinCode string `json:"join_code" doc:"For edge join <url> <code>, once, within 24 hours. It carries the fingerprint of the certificate to trust. It is shown this once." example:"hrj_k3x9p2ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.1f2e"`
}

// EdgeCreate is an edge to be made.
type EdgeCreate struct {
	ID        string    `json:"id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Absent: the server makes one." example:"edge-1"`
	GroupID   string    `json:"group_id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Its group, for good; absent: default." example:"default"`
	URL       string    `json:"url" minLength:"8" maxLength:"256" pattern:"^https?://[!-~]+$" doc:"Where viewers find it." example:"https://edge-1.example.com"`
	HealthURL string    `json:"health_url,omitempty" maxLength:"256" pattern:"^(https?://[!-~]+)?$" doc:"Where it is probed; absent: at url." example:"https://10.0.0.11"`
	Capacity  Capacity  `json:"capacity,omitempty" doc:"What it can carry; absent: not said."`
	Location  *Location `json:"location,omitempty" doc:"Where it stands; absent: not known."`
}

// EdgeUpdate changes what it names.
type EdgeUpdate struct {
	URL       *string   `json:"url,omitempty" minLength:"8" maxLength:"256" pattern:"^https?://[!-~]+$" doc:"Where viewers find it." example:"https://edge-1.example.com"`
	HealthURL *string   `json:"health_url,omitempty" maxLength:"256" pattern:"^(https?://[!-~]+)?$" doc:"Where it is probed; empty: at url." example:"https://10.0.0.11"`
	Capacity  *Capacity `json:"capacity,omitempty" doc:"What it can carry."`
	Location  *Location `json:"location,omitempty" doc:"Where it stands."`
	State     *string   `json:"state,omitempty" enum:"active,draining" doc:"draining: no new viewers, its streams move away before it lets go of them; active ends that." example:"draining"`
}

func (u *EdgeUpdate) domain() controlapi.EdgeUpdate {
	return controlapi.EdgeUpdate{
		URL: u.URL, HealthURL: u.HealthURL, Capacity: (*controlapi.Capacity)(u.Capacity), Location: (*controlapi.Location)(u.Location),
		State: (*controlapi.EdgeState)(u.State),
	}
}

// joinCode is the code as it is handed to a new edge: with the certificate to trust.
func (a *API) joinCode(secret controlapi.Secret) string {
	return snapshot.JoinCode{Secret: secret.Reveal(), Fingerprint: a.options.Fingerprint}.Text()
}

func (a *API) registerEdges(store Edges) {
	const tag = "edges"
	get(a, operation{
		id: "list-edges", path: "/v1/edges", tag: tag, summary: "List edges", about: "With their health and what they last said of the snapshot. The operator's alone.",
		permission: controlapi.PermissionOperate, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Paged
		GroupID string `query:"group_id" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Only the edges of this group." example:"default"`
	},
	) (Page[Edge], error) {
		list, err := store.Edges(ctx, scope, in.GroupID, in.page())
		return pageOf(list, a.presentEdge), err
	})
	onceOnly(a, operation{
		id: "create-edge", path: "/v1/edges", tag: tag, summary: "Create an edge",
		about:      "Gives a join code, for edge join on the new machine. The operator's alone.",
		permission: controlapi.PermissionOperate, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeExists},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Once
		Body EdgeCreate
	},
	) (NewEdge, error) {
		b := in.Body
		e, secret, err := store.CreateEdge(ctx, scope, controlapi.EdgeCreate{
			ID: b.ID, GroupID: b.GroupID, URL: b.URL, HealthURL: b.HealthURL, Capacity: controlapi.Capacity(b.Capacity), Location: (*controlapi.Location)(b.Location),
		})
		return NewEdge{Edge: a.presentEdge(e), JoinCode: a.joinCode(secret)}, err
	})
	getTagged(a, operation{
		id: "get-edge", path: "/v1/edges/{id}", tag: tag, summary: "Get an edge", about: "The operator's alone.",
		permission: controlapi.PermissionOperate, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ ByID }) (Edge, error) {
		e, err := store.Edge(ctx, scope, in.ID)
		return a.presentEdge(e), err
	})
	change(a, operation{
		id: "update-edge", method: http.MethodPatch, path: "/v1/edges/{id}", tag: tag, summary: "Change or drain an edge", about: "Changes what the body names. The operator's alone.",
		permission: controlapi.PermissionOperate, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
		Body EdgeUpdate
	},
	) (Edge, error) {
		e, err := store.UpdateEdge(ctx, scope, in.ID, in.version(), in.Body.domain())
		return a.presentEdge(e), err
	})
	a.registerJoining(store)
}

func (a *API) registerJoining(store Edges) {
	const tag = "edges"
	onceOnly(a, operation{
		id: "create-join-code", path: "/v1/edges/{id}/join-codes", tag: tag, summary: "Make another join code",
		about:      "Ends the one before. An edge that joins again ends its old credential; a revoked one is active again by it. The operator's alone.",
		permission: controlapi.PermissionOperate, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Once
		Conditional
	},
	) (NewEdge, error) {
		e, secret, err := store.NewJoinCode(ctx, scope, in.ID, in.version())
		return NewEdge{Edge: a.presentEdge(e), JoinCode: a.joinCode(secret)}, err
	})
	change(a, operation{
		id: "revoke-edge", method: http.MethodPost, path: "/v1/edges/{id}/revocation", tag: tag, summary: "Revoke an edge",
		about:      "Ends its credential within seconds: it is told nothing any more, and its streams move away. It comes back by a new join code only. The operator's alone.",
		permission: controlapi.PermissionOperate, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
	},
	) (Edge, error) {
		e, err := store.RevokeEdge(ctx, scope, in.ID, in.version())
		return a.presentEdge(e), err
	})
	remove(a, operation{
		id: "delete-edge", path: "/v1/edges/{id}", tag: tag, summary: "Delete an edge",
		about:      "One that has joined must be revoked first. The operator's alone.",
		permission: controlapi.PermissionOperate, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
	},
	) error {
		return store.DeleteEdge(ctx, scope, in.ID, in.version())
	})
}
