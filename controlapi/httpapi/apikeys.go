package httpapi

import (
	"context"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// APIKeys keeps what lets programs act for resellers.
type APIKeys interface {
	CreateAPIKey(ctx context.Context, scope controlapi.Scope, in controlapi.APIKeyCreate) (controlapi.APIKey, controlapi.Secret, error)
	APIKey(ctx context.Context, scope controlapi.Scope, id string) (controlapi.APIKey, error)
	// APIKeys lists those in scope, or of one reseller.
	APIKeys(ctx context.Context, scope controlapi.Scope, resellerID string, page controlapi.Page) (controlapi.List[controlapi.APIKey], error)
	RevokeAPIKey(ctx context.Context, scope controlapi.Scope, id string, version int64) (controlapi.APIKey, error)
}

// APIKey lets a program act for a reseller.
type APIKey struct {
	ID          string     `json:"id" doc:"The part of the key that is no secret." example:"k3x9p2ab"`
	ResellerID  string     `json:"reseller_id" doc:"For whom it acts: this reseller and all below it." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	Name        string     `json:"name" doc:"What it is for." example:"billing"`
	Permissions []string   `json:"permissions" nullable:"false" enum:"read,write,credits,keys,playback,operate" doc:"What it may be used for." example:"[\"read\",\"write\"]"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty" doc:"Its last moment; absent: no end." example:"2027-03-01T12:00:00Z"`
	Revoked     bool       `json:"revoked" doc:"It has been revoked." example:"false"`
	LastUsedAt  *time.Time `json:"last_used_at,omitempty" doc:"Exact to a minute; absent: never." example:"2026-03-01T12:00:00Z"`
	Version     int64      `json:"version" doc:"Grows with each change; the ETag." example:"1"`
	CreatedAt   time.Time  `json:"created_at" doc:"When it was made." example:"2026-03-01T12:00:00Z"`
}

func (k APIKey) etag() string { return etag(k.Version) }

func presentAPIKey(k controlapi.APIKey) APIKey {
	return APIKey{
		ID: k.ID, ResellerID: k.ResellerID, Name: k.Name, Permissions: each(k.Permissions, func(p controlapi.Permission) string { return string(p) }),
		ExpiresAt: moment(k.ExpiresAt), Revoked: k.Revoked, LastUsedAt: moment(k.LastUsedAt), Version: k.Version, CreatedAt: k.CreatedAt,
	}
}

// NewAPIKey is an API key with its secret, which is shown this once.
type NewAPIKey struct {
	APIKey
	Key string `json:"key" doc:"The whole key, for Authorization: Bearer. It is shown this once." example:"hrk_k3x9p2ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"`
}

// APIKeyCreate is a key to be made.
type APIKeyCreate struct {
	ResellerID  string     `json:"reseller_id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"A reseller of the key's subtree; absent: the key's own." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	Name        string     `json:"name" minLength:"1" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"What it is for." example:"billing"`
	Permissions []string   `json:"permissions" nullable:"false" minItems:"1" maxItems:"6" uniqueItems:"true" enum:"read,write,credits,keys,playback,operate" doc:"Some of those that the key which makes it has." example:"[\"read\",\"write\"]"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty" doc:"Its last moment; absent: no end." example:"2027-03-01T12:00:00Z"`
}

func (k *APIKeyCreate) domain() controlapi.APIKeyCreate {
	out := controlapi.APIKeyCreate{
		ResellerID: k.ResellerID, Name: k.Name,
		Permissions: each(k.Permissions, func(p string) controlapi.Permission { return controlapi.Permission(p) }),
	}
	set(&out.ExpiresAt, k.ExpiresAt)
	return out
}

// Me is who a key acts for.
type Me struct {
	KeyID       string   `json:"key_id" doc:"The API key." example:"k3x9p2ab"`
	ResellerID  string   `json:"reseller_id" doc:"For whom it acts." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	Path        string   `json:"path" doc:"The ids from the root." example:"/operator/0197a1c2d3e4f5061728394a5b6c7d8e/"`
	Operator    bool     `json:"operator" doc:"It acts for the operator." example:"false"`
	Permissions []string `json:"permissions" nullable:"false" enum:"read,write,credits,keys,playback,operate" doc:"What it may be used for." example:"[\"read\",\"write\"]"`
}

func (a *API) registerAPIKeys(store APIKeys) {
	const tag = "api keys"
	get(a, operation{
		id: "get-me", path: "/v1/me", tag: tag, summary: "Get who this key acts for", about: "For a first call: it works with every key.", permission: anyPermission,
	}, func(_ context.Context, scope controlapi.Scope, _ *struct{}) (Me, error) {
		return Me{
			KeyID: scope.Actor(), ResellerID: scope.ResellerID(), Path: scope.Path(), Operator: scope.IsOperator(),
			Permissions: each(scope.Permissions(), func(p controlapi.Permission) string { return string(p) }),
		}, nil
	})
	get(a, operation{
		id: "list-api-keys", path: "/v1/api-keys", tag: tag, summary: "List API keys", about: "Those of the key's subtree, without their secrets.",
		permission: controlapi.PermissionKeys, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Paged
		ResellerID string `query:"reseller_id" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Only the keys of this reseller itself." example:"operator"`
	},
	) (Page[APIKey], error) {
		list, err := store.APIKeys(ctx, scope, in.ResellerID, in.page())
		return pageOf(list, presentAPIKey), err
	})
	onceOnly(a, operation{
		id: "create-api-key", path: "/v1/api-keys", tag: tag, summary: "Make an API key", about: "Its secret is shown this once.",
		permission: controlapi.PermissionKeys, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Once
		Body APIKeyCreate
	},
	) (NewAPIKey, error) {
		k, secret, err := store.CreateAPIKey(ctx, scope, in.Body.domain())
		return NewAPIKey{APIKey: presentAPIKey(k), Key: secret.Reveal()}, err
	})
	getTagged(a, operation{
		id: "get-api-key", path: "/v1/api-keys/{id}", tag: tag, summary: "Get an API key", about: "Without its secret.",
		permission: controlapi.PermissionKeys, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ ByID }) (APIKey, error) {
		k, err := store.APIKey(ctx, scope, in.ID)
		return presentAPIKey(k), err
	})
	remove(a, operation{
		id: "revoke-api-key", path: "/v1/api-keys/{id}", tag: tag, summary: "Revoke an API key", about: "It is refused from then on. It stays in the list, for the audit.",
		permission: controlapi.PermissionKeys, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
	},
	) error {
		_, err := store.RevokeAPIKey(ctx, scope, in.ID, in.version())
		return err
	})
}
