package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// Groups keeps sets of edges.
type Groups interface {
	CreateGroup(ctx context.Context, scope controlapi.Scope, in controlapi.GroupCreate) (controlapi.Group, error)
	Group(ctx context.Context, scope controlapi.Scope, id string) (controlapi.Group, error)
	Groups(ctx context.Context, scope controlapi.Scope, page controlapi.Page) (controlapi.List[controlapi.Group], error)
	UpdateGroup(ctx context.Context, scope controlapi.Scope, id string, version int64, in controlapi.GroupUpdate) (controlapi.Group, error)
	DeleteGroup(ctx context.Context, scope controlapi.Scope, id string, version int64) error
}

// Group is a set of edges that carry the same streams and hold the same keys.
type Group struct {
	ID        string    `json:"id" doc:"The id." example:"default"`
	Name      string    `json:"name" doc:"What people call it." example:"Europe"`
	SteerURL  string    `json:"steer_url" doc:"The base URL of content steering; empty: none." example:"https://control.example"`
	Version   int64     `json:"version" doc:"Grows with each change; the ETag." example:"3"`
	CreatedAt time.Time `json:"created_at" doc:"When it was made." example:"2026-03-01T12:00:00Z"`
}

func (g Group) etag() string { return etag(g.Version) }

func presentGroup(g controlapi.Group) Group { return Group(g) }

// GroupCreate is a group to be made.
type GroupCreate struct {
	ID       string `json:"id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Absent: the server makes one." example:"eu"`
	Name     string `json:"name" minLength:"1" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"What people call it." example:"Europe"`
	SteerURL string `json:"steer_url,omitempty" maxLength:"256" pattern:"^(https?://[!-~]+)?$" doc:"The base URL of content steering; absent: none." example:"https://control.example"`
}

// GroupUpdate changes what it names.
type GroupUpdate struct {
	Name     *string `json:"name,omitempty" minLength:"1" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"What people call it." example:"Europe"`
	SteerURL *string `json:"steer_url,omitempty" maxLength:"256" pattern:"^(https?://[!-~]+)?$" doc:"The base URL of content steering; empty: none." example:"https://control.example"`
}

func (a *API) registerGroups(store Groups) {
	const tag = "groups"
	get(a, operation{
		id: "list-groups", path: "/v1/groups", tag: tag, summary: "List edge groups",
		about: "Streams and signing keys name them.",
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ Paged }) (Page[Group], error) {
		list, err := store.Groups(ctx, scope, in.page())
		return pageOf(list, presentGroup), err
	})
	onceOnly(a, operation{
		id: "create-group", path: "/v1/groups", tag: tag, summary: "Create an edge group", about: "The operator's alone.",
		permission: controlapi.PermissionOperate, codes: []controlapi.Code{controlapi.CodeExists},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Once
		Body GroupCreate
	},
	) (Group, error) {
		g, err := store.CreateGroup(ctx, scope, controlapi.GroupCreate(in.Body))
		return presentGroup(g), err
	})
	getTagged(a, operation{
		id: "get-group", path: "/v1/groups/{id}", tag: tag, summary: "Get an edge group", about: "Every reseller sees every group.", codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ ByID }) (Group, error) {
		g, err := store.Group(ctx, scope, in.ID)
		return presentGroup(g), err
	})
	change(a, operation{
		id: "update-group", method: http.MethodPatch, path: "/v1/groups/{id}", tag: tag, summary: "Change an edge group", about: "Changes what the body names. The operator's alone.",
		permission: controlapi.PermissionOperate, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
		Body GroupUpdate
	},
	) (Group, error) {
		g, err := store.UpdateGroup(ctx, scope, in.ID, in.version(), controlapi.GroupUpdate(in.Body))
		return presentGroup(g), err
	})
	remove(a, operation{
		id: "delete-group", path: "/v1/groups/{id}", tag: tag, summary: "Delete an edge group",
		about:      "A group that has edges or streams cannot be deleted. The operator's alone.",
		permission: controlapi.PermissionOperate, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
	},
	) error {
		return store.DeleteGroup(ctx, scope, in.ID, in.version())
	})
}
