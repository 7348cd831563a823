package httpapi

import (
	"context"
	"net/http"

	"github.com/headrace/headrace/controlapi"
)

// GrantStore keeps what resellers may do.
type GrantStore interface {
	Grants(ctx context.Context, scope controlapi.Scope, resellerID string) (controlapi.Grants, error)
	SetGrants(ctx context.Context, scope controlapi.Scope, resellerID string, version int64, in controlapi.Grants) (controlapi.Grants, error)
}

// Grants is what a reseller's parent lets it do.
type Grants struct {
	ResellerID string    `json:"reseller_id" doc:"Who may." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	Show       GrantList `json:"show" doc:"What it may play and catch up."`
	Publish    GrantList `json:"publish" doc:"What its encoders may feed."`
	Version    int64     `json:"version" doc:"The reseller's; the ETag." example:"3"`
}

// GrantList names streams one by one, and whole bouquets.
type GrantList struct {
	Streams  []string `json:"streams" nullable:"false" maxItems:"10000" uniqueItems:"true" doc:"Ids of streams." example:"[\"501\"]"`
	Bouquets []string `json:"bouquets" nullable:"false" maxItems:"10000" uniqueItems:"true" doc:"Ids of bouquets: all their streams, at any time." example:"[\"sports\"]"`
}

// GrantsUpdate is all that a reseller may do from now on.
type GrantsUpdate struct {
	Show    GrantList `json:"show" doc:"What it may play and catch up."`
	Publish GrantList `json:"publish" doc:"What its encoders may feed."`
}

func (g Grants) etag() string { return etag(g.Version) }

func presentGrants(g controlapi.Grants) Grants {
	return Grants{ResellerID: g.ResellerID, Show: presentGrantList(g.Show), Publish: presentGrantList(g.Publish), Version: g.Version}
}

func presentGrantList(l controlapi.GrantList) GrantList {
	return GrantList{Streams: listed(l.Streams), Bouquets: listed(l.Bouquets)}
}

func (a *API) registerGrants(store GrantStore) {
	const tag = "grants"
	getTagged(a, operation{
		id: "get-grants", path: "/v1/resellers/{id}/grants", tag: tag, summary: "Get a reseller's grants",
		about: "A grant is effective as far as that of the reseller above it is.",
		codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ ByID }) (Grants, error) {
		g, err := store.Grants(ctx, scope, in.ID)
		return presentGrants(g), err
	})
	change(a, operation{
		id: "replace-grants", method: http.MethodPut, path: "/v1/resellers/{id}/grants", tag: tag, summary: "Set a reseller's grants",
		about:      "Replaces them all. A reseller sets those of the resellers below it, not its own.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
		Body GrantsUpdate
	},
	) (Grants, error) {
		g, err := store.SetGrants(ctx, scope, in.ID, in.version(), controlapi.Grants{
			Show: controlapi.GrantList(in.Body.Show), Publish: controlapi.GrantList(in.Body.Publish),
		})
		return presentGrants(g), err
	})
}
