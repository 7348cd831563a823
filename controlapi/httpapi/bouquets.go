package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// Bouquets keeps named lists of streams.
type Bouquets interface {
	CreateBouquet(ctx context.Context, scope controlapi.Scope, in controlapi.BouquetCreate) (controlapi.Bouquet, error)
	Bouquet(ctx context.Context, scope controlapi.Scope, id string) (controlapi.Bouquet, error)
	Bouquets(ctx context.Context, scope controlapi.Scope, page controlapi.Page) (controlapi.List[controlapi.Bouquet], error)
	UpdateBouquet(ctx context.Context, scope controlapi.Scope, id string, version int64, in controlapi.BouquetUpdate) (controlapi.Bouquet, error)
	DeleteBouquet(ctx context.Context, scope controlapi.Scope, id string, version int64) error
}

// Bouquet is a named list of streams, as the API shows it.
type Bouquet struct {
	ID        string    `json:"id" doc:"The id, which tokens of a bouquet carry." example:"sports"`
	OwnerID   string    `json:"owner_id" doc:"Whose it is." example:"operator"`
	Name      string    `json:"name" doc:"What people call it." example:"Sports"`
	Streams   []string  `json:"streams" nullable:"false" doc:"Ids of its streams." example:"[\"501\",\"502\"]"`
	Version   int64     `json:"version" doc:"Grows with each change; the ETag." example:"3"`
	CreatedAt time.Time `json:"created_at" doc:"When it was made." example:"2026-03-01T12:00:00Z"`
}

func (b Bouquet) etag() string { return etag(b.Version) }

func presentBouquet(b controlapi.Bouquet) Bouquet {
	b.Streams = listed(b.Streams)
	return Bouquet(b)
}

// BouquetCreate is a bouquet to be made.
type BouquetCreate struct {
	ID      string   `json:"id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Only the operator chooses ids; absent: the server makes one." example:"sports"`
	OwnerID string   `json:"owner_id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"A reseller of the key's subtree; absent: the key's own." example:"operator"`
	Name    string   `json:"name" minLength:"1" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"What people call it." example:"Sports"`
	Streams []string `json:"streams" nullable:"false" maxItems:"10000" uniqueItems:"true" doc:"Ids of streams that its owner can see." example:"[\"501\",\"502\"]"`
}

// BouquetUpdate changes what it names.
type BouquetUpdate struct {
	Name    *string   `json:"name,omitempty" minLength:"1" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"What people call it." example:"Sports"`
	Streams *[]string `json:"streams,omitempty" maxItems:"10000" uniqueItems:"true" doc:"Ids of its streams, all of them." example:"[\"501\",\"502\",\"503\"]"`
}

func (a *API) registerBouquets(store Bouquets) {
	const tag = "bouquets"
	get(a, operation{
		id: "list-bouquets", path: "/v1/bouquets", tag: tag, summary: "List bouquets",
		about: "The operator's, which plans consist of, and those of the key's subtree.",
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ Paged }) (Page[Bouquet], error) {
		list, err := store.Bouquets(ctx, scope, in.page())
		return pageOf(list, presentBouquet), err
	})
	onceOnly(a, operation{
		id: "create-bouquet", path: "/v1/bouquets", tag: tag, summary: "Create a bouquet",
		about:      "A bouquet grants nothing by itself: plans and grants name it.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeExists, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Once
		Body BouquetCreate
	},
	) (Bouquet, error) {
		b, err := store.CreateBouquet(ctx, scope, controlapi.BouquetCreate(in.Body))
		return presentBouquet(b), err
	})
	getTagged(a, operation{
		id: "get-bouquet", path: "/v1/bouquets/{id}", tag: tag, summary: "Get a bouquet", about: "One of the operator's, or of the key's subtree.", codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ ByID }) (Bouquet, error) {
		b, err := store.Bouquet(ctx, scope, in.ID)
		return presentBouquet(b), err
	})
	change(a, operation{
		id: "update-bouquet", method: http.MethodPatch, path: "/v1/bouquets/{id}", tag: tag, summary: "Change a bouquet",
		about:      "Changes what the body names. Tokens of the bouquet open what it holds at the time that they are used.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
		Body BouquetUpdate
	},
	) (Bouquet, error) {
		b, err := store.UpdateBouquet(ctx, scope, in.ID, in.version(), controlapi.BouquetUpdate(in.Body))
		return presentBouquet(b), err
	})
	remove(a, operation{
		id: "delete-bouquet", path: "/v1/bouquets/{id}", tag: tag, summary: "Delete a bouquet",
		about:      "A bouquet that plans or grants name cannot be deleted.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
	},
	) error {
		return store.DeleteBouquet(ctx, scope, in.ID, in.version())
	})
}
