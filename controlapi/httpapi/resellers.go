package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// Resellers keeps the tree of tenants.
type Resellers interface {
	CreateReseller(ctx context.Context, scope controlapi.Scope, in controlapi.ResellerCreate) (controlapi.Reseller, error)
	Reseller(ctx context.Context, scope controlapi.Scope, id string) (controlapi.Reseller, error)
	// Resellers lists those in scope, or right below one of them.
	Resellers(ctx context.Context, scope controlapi.Scope, parentID string, page controlapi.Page) (controlapi.List[controlapi.Reseller], error)
	UpdateReseller(ctx context.Context, scope controlapi.Scope, id string, version int64, in controlapi.ResellerUpdate) (controlapi.Reseller, error)
	DeleteReseller(ctx context.Context, scope controlapi.Scope, id string, version int64) error
}

// Reseller is a tenant as the API shows it.
type Reseller struct {
	ID          string    `json:"id" doc:"Made by the server." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	ParentID    string    `json:"parent_id,omitempty" doc:"The reseller above; absent for the operator." example:"operator"`
	Path        string    `json:"path" doc:"The ids from the root." example:"/operator/0197a1c2d3e4f5061728394a5b6c7d8e/"`
	Name        string    `json:"name" example:"North Star TV" doc:"What people call it."`
	Suspended   bool      `json:"suspended" doc:"It is stopped, and all below it: API keys are refused, users are cut off." example:"false"`
	Halted      bool      `json:"halted" doc:"It, or a reseller above it, is suspended." example:"false"`
	CreditLimit int64     `json:"credit_limit" doc:"How far below zero its balance may go." example:"0"`
	MaxStreams  int       `json:"max_streams" doc:"How many streams it may own; 0: it shows what it is granted." example:"0"`
	Balance     int64     `json:"balance" doc:"What its account holds, in credits." example:"1200"`
	Version     int64     `json:"version" doc:"Grows with each change; the ETag." example:"3"`
	CreatedAt   time.Time `json:"created_at" example:"2026-03-01T12:00:00Z" doc:"When it was made."`
}

func (r Reseller) etag() string { return etag(r.Version) }

func presentReseller(r controlapi.Reseller) Reseller {
	return Reseller{
		ID: r.ID, ParentID: r.ParentID, Path: r.Path, Name: r.Name, Suspended: r.Suspended, Halted: r.Halted, CreditLimit: r.CreditLimit,
		MaxStreams: r.MaxStreams, Balance: r.Balance, Version: r.Version, CreatedAt: r.CreatedAt,
	}
}

// ResellerCreate is a reseller to be made.
type ResellerCreate struct {
	ParentID    string `json:"parent_id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"A reseller of the key's subtree; absent: the key's own." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	Name        string `json:"name" minLength:"1" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"What people call it." example:"North Star TV"`
	CreditLimit int64  `json:"credit_limit,omitempty" minimum:"0" maximum:"1000000000000" doc:"How far below zero its balance may go. Only the operator sets it." example:"0"`
	MaxStreams  int    `json:"max_streams,omitempty" minimum:"0" maximum:"100000" doc:"How many streams it may own. Only the operator sets it." example:"0"`
}

// ResellerUpdate changes what it names.
type ResellerUpdate struct {
	Name        *string `json:"name,omitempty" minLength:"1" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"What people call it." example:"North Star TV"`
	CreditLimit *int64  `json:"credit_limit,omitempty" minimum:"0" maximum:"1000000000000" doc:"How far below zero its balance may go. Only the operator sets it." example:"500"`
	MaxStreams  *int    `json:"max_streams,omitempty" minimum:"0" maximum:"100000" doc:"How many streams it may own. Only the operator sets it." example:"10"`
	Suspended   *bool   `json:"suspended,omitempty" doc:"Stops it and all below it, or lets them go on. Not for the key's own reseller." example:"true"`
}

func (a *API) registerResellers(store Resellers) {
	const tag = "resellers"
	get(a, operation{
		id: "list-resellers", path: "/v1/resellers", tag: tag, summary: "List resellers",
		about: "The key's own reseller and all below it, parents before children.",
		codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Paged
		ParentID string `query:"parent_id" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Only those right below this one." example:"operator"`
	},
	) (Page[Reseller], error) {
		list, err := store.Resellers(ctx, scope, in.ParentID, in.page())
		return pageOf(list, presentReseller), err
	})
	onceOnly(a, operation{
		id: "create-reseller", path: "/v1/resellers", tag: tag, summary: "Create a reseller",
		about:      "It has no credits, no grants and no API key yet.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Once
		Body ResellerCreate
	},
	) (Reseller, error) {
		b := in.Body
		r, err := store.CreateReseller(ctx, scope, controlapi.ResellerCreate{ParentID: b.ParentID, Name: b.Name, CreditLimit: b.CreditLimit, MaxStreams: b.MaxStreams})
		return presentReseller(r), err
	})
	getTagged(a, operation{
		id: "get-reseller", path: "/v1/resellers/{id}", tag: tag, summary: "Get a reseller", about: "With the balance of its account.",
		codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ ByID }) (Reseller, error) {
		r, err := store.Reseller(ctx, scope, in.ID)
		return presentReseller(r), err
	})
	change(a, operation{
		id: "update-reseller", method: http.MethodPatch, path: "/v1/resellers/{id}", tag: tag, summary: "Change or suspend a reseller",
		about:      "Changes what the body names. Suspending cuts its users off within seconds; what it owns and owes stays.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
		Body ResellerUpdate
	},
	) (Reseller, error) {
		r, err := store.UpdateReseller(ctx, scope, in.ID, in.version(), controlapi.ResellerUpdate(in.Body))
		return presentReseller(r), err
	})
	remove(a, operation{
		id: "delete-reseller", path: "/v1/resellers/{id}", tag: tag, summary: "Delete a reseller",
		about:      "One that has nothing any more: no resellers, users, streams or bouquets, and a balance of 0. Its ledger and audit stay.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
	},
	) error {
		return store.DeleteReseller(ctx, scope, in.ID, in.version())
	})
}
