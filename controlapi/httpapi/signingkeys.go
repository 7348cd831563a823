package httpapi

import (
	"context"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// SigningKeys keeps the keys with which stream tokens are signed.
type SigningKeys interface {
	// RotateSigningKey makes a new current key for a pair.
	RotateSigningKey(ctx context.Context, scope controlapi.Scope, resellerID, groupID string) (controlapi.SigningKey, error)
	// SigningKeys lists the keys of a pair, the current one first.
	SigningKeys(ctx context.Context, scope controlapi.Scope, resellerID, groupID string) ([]controlapi.SigningKey, error)
	EndSigningKey(ctx context.Context, scope controlapi.Scope, resellerID, groupID, kid string) (controlapi.SigningKey, error)
}

// SigningKey signs the stream tokens of one reseller in one edge group.
type SigningKey struct {
	ResellerID string     `json:"reseller_id" doc:"Whose tokens it signs." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	GroupID    string     `json:"group_id" doc:"The edge group where it is good." example:"default"`
	KeyID      string     `json:"kid" doc:"Names the key in a token." example:"k3x9p2ab"`
	State      string     `json:"state" enum:"current,previous,revoked" doc:"current; previous: good until not_after; revoked: ended." example:"current"`
	NotAfter   *time.Time `json:"not_after,omitempty" doc:"The last moment of a previous key." example:"2026-03-02T13:02:00Z"`
	CreatedAt  time.Time  `json:"created_at" doc:"When it was made." example:"2026-03-01T12:00:00Z"`
}

// NewSigningKey is a signing key with its secret, which is shown this once.
type NewSigningKey struct {
	SigningKey
	Secret string `json:"secret" doc:"The secret, used as this text. It is shown this once." example:"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"`
}

func (SigningKey) etag() string { return etag(onlyVersion) }

func presentSigningKey(k controlapi.SigningKey) SigningKey {
	return SigningKey{
		ResellerID: k.ResellerID, GroupID: k.GroupID, KeyID: k.KeyID, State: string(k.State), NotAfter: moment(k.NotAfter), CreatedAt: k.CreatedAt,
	}
}

// moment is a time, or nil for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Rotation says for which group a key is made.
type Rotation struct {
	GroupID string `json:"group_id" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"The edge group." example:"default"`
}

func (a *API) registerSigningKeys(store SigningKeys) {
	const tag = "signing keys"
	get(a, operation{
		id: "list-signing-keys", path: "/v1/resellers/{id}/signing-keys", tag: tag, summary: "List a reseller's signing keys",
		about: "Those of one edge group, the current one first, without their secrets. Every reseller has a key in every group from the start.",
		codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		GroupID string `query:"group_id" default:"default" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"The edge group." example:"default"`
	},
	) (Page[SigningKey], error) {
		keys, err := store.SigningKeys(ctx, scope, in.ID, in.GroupID)
		return pageOf(controlapi.List[controlapi.SigningKey]{Items: keys}, presentSigningKey), err
	})
	onceOnly(a, operation{
		id: "rotate-signing-key", path: "/v1/resellers/{id}/signing-keys", tag: tag, summary: "Rotate a signing key",
		about: "The new key becomes current; the one before it stays good for about a day, so that no token that it signed is refused before its end. " +
			"The next rotation waits for that. Who signs tokens by itself goes on with the old key until every edge has the new one. The secret is shown this once.",
		permission: controlapi.PermissionKeys, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Once
		Body Rotation
	},
	) (NewSigningKey, error) {
		k, err := store.RotateSigningKey(ctx, scope, in.ID, in.Body.GroupID)
		return NewSigningKey{SigningKey: presentSigningKey(k), Secret: k.Secret.Reveal()}, err
	})
	remove(a, operation{
		id: "end-signing-key", path: "/v1/resellers/{id}/signing-keys/{group_id}/{kid}", tag: tag, summary: "End a signing key",
		about:      "For a secret that has leaked: every token that it signed is refused within seconds. A new key takes the place of a current one.",
		permission: controlapi.PermissionKeys, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
		GroupID string `path:"group_id" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"The edge group." example:"default"`
		KeyID   string `path:"kid" minLength:"1" maxLength:"8" pattern:"^[0-9a-z]+$" doc:"The key's id." example:"k3x9p2ab"`
	},
	) error {
		if err := in.onlyVersion(); err != nil {
			return err
		}
		_, err := store.EndSigningKey(ctx, scope, in.ID, in.GroupID, in.KeyID)
		return err
	})
}
