package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// Users keeps viewer accounts.
type Users interface {
	CreateUser(ctx context.Context, scope controlapi.Scope, in controlapi.UserCreate) (controlapi.User, error)
	User(ctx context.Context, scope controlapi.Scope, id string) (controlapi.User, error)
	Users(ctx context.Context, scope controlapi.Scope, filter controlapi.UserFilter, page controlapi.Page) (controlapi.List[controlapi.User], error)
	UpdateUser(ctx context.Context, scope controlapi.Scope, id string, version int64, in controlapi.UserUpdate) (controlapi.User, error)
	RenewUser(ctx context.Context, scope controlapi.Scope, id, planID string) (controlapi.User, error)
	DeleteUser(ctx context.Context, scope controlapi.Scope, id string, version int64) error
	CreatePlayKey(ctx context.Context, scope controlapi.Scope, userID, note string) (controlapi.PlayKey, controlapi.Secret, error)
	PlayKeys(ctx context.Context, scope controlapi.Scope, userID string) ([]controlapi.PlayKey, error)
	DeletePlayKey(ctx context.Context, scope controlapi.Scope, userID, id string) error
}

// User is a viewer account as the API shows it.
type User struct {
	ID             string    `json:"id" doc:"The id, which stream tokens carry." example:"1007"`
	ResellerID     string    `json:"reseller_id" doc:"Whose user." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	Name           string    `json:"name" doc:"What the reseller calls it." example:"jane"`
	Note           string    `json:"note" doc:"For the reseller." example:"pays by the year"`
	PlanID         string    `json:"plan_id" doc:"The plan that was bought last." example:"basic"`
	ExpiresAt      time.Time `json:"expires_at" doc:"The last moment at which it may watch." example:"2026-04-01T12:00:00Z"`
	MaxConnections int       `json:"max_connections" doc:"Its most sessions at once; 0: as the plan says." example:"2"`
	Suspended      bool      `json:"suspended" doc:"It may not watch for the time being." example:"false"`
	Version        int64     `json:"version" doc:"Grows with each change; the ETag." example:"3"`
	CreatedAt      time.Time `json:"created_at" doc:"When it was made." example:"2026-03-01T12:00:00Z"`
}

func (u User) etag() string { return etag(u.Version) }

func presentUser(u controlapi.User) User { return User(u) }

// UserCreate is a user to be made.
type UserCreate struct {
	ID             string `json:"id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Only the operator chooses ids; absent: the server makes one." example:"1007"`
	ResellerID     string `json:"reseller_id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"A reseller of the key's subtree; absent: the key's own." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	Name           string `json:"name" minLength:"1" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"What the reseller calls it." example:"jane"`
	Note           string `json:"note,omitempty" maxLength:"1024" pattern:"^[^\\x00]*$" doc:"For the reseller." example:"pays by the year"`
	PlanID         string `json:"plan_id" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"The plan to buy. Its price is charged to the user's reseller." example:"basic"`
	MaxConnections int    `json:"max_connections,omitempty" minimum:"0" maximum:"999" doc:"Its most sessions at once, no more than the plan's; 0: as the plan says." example:"2"`
}

// UserUpdate changes what it names.
type UserUpdate struct {
	Name           *string `json:"name,omitempty" minLength:"1" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"What the reseller calls it." example:"jane"`
	Note           *string `json:"note,omitempty" maxLength:"1024" pattern:"^[^\\x00]*$" doc:"For the reseller." example:"pays by the month"`
	MaxConnections *int    `json:"max_connections,omitempty" minimum:"0" maximum:"999" doc:"Its most sessions at once, no more than the plan's; 0: as the plan says." example:"1"`
	Suspended      *bool   `json:"suspended,omitempty" doc:"Suspending cuts it off within seconds." example:"true"`
}

// Renewal buys a plan for a user.
type Renewal struct {
	PlanID string `json:"plan_id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"The plan to buy; absent: the one that it has." example:"basic"`
}

// PlayKey opens the entry URLs for a user.
type PlayKey struct {
	ID        string    `json:"id" doc:"The part of the key that is no secret." example:"k3x9p2ab"`
	UserID    string    `json:"user_id" doc:"Whose key." example:"1007"`
	Note      string    `json:"note" doc:"What it is for." example:"living room"`
	CreatedAt time.Time `json:"created_at" doc:"When it was made." example:"2026-03-01T12:00:00Z"`
}

func (PlayKey) etag() string { return etag(onlyVersion) }

// NewPlayKey is a play key with its secret, which is shown this once.
type NewPlayKey struct {
	PlayKey
	Key string `json:"key" doc:"The whole key, for /play/<stream>?key=. It is shown this once." example:"hpk_k3x9p2ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"`
}

// PlayKeyCreate is a play key to be made.
type PlayKeyCreate struct {
	Note string `json:"note,omitempty" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]*$" doc:"What it is for." example:"living room"`
}

func (a *API) registerUsers(store Users) {
	const tag = "users"
	get(a, operation{
		id: "list-users", path: "/v1/users", tag: tag, summary: "List users",
		about: "The users of the key's subtree, in the order in which they were made.",
		codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Paged
		ResellerID string `query:"reseller_id" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Only the users of this reseller itself." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
		Name       string `query:"name" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]*$" doc:"Only users whose names begin with this, in capitals or not." example:"ja"`
	},
	) (Page[User], error) {
		list, err := store.Users(ctx, scope, controlapi.UserFilter{ResellerID: in.ResellerID, NamePrefix: in.Name}, in.page())
		return pageOf(list, presentUser), err
	})
	onceOnly(a, operation{
		id: "create-user", path: "/v1/users", tag: tag, summary: "Create a user",
		about:      "Charges the plan's price to the user's reseller, in the same step: there is no user without its charge, and no charge without its user.",
		permission: controlapi.PermissionWrite,
		codes:      []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict, controlapi.CodeExists, controlapi.CodeInsufficientCredits},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Once
		Body UserCreate
	},
	) (User, error) {
		u, err := store.CreateUser(ctx, scope, controlapi.UserCreate(in.Body))
		return presentUser(u), err
	})
	getTagged(a, operation{
		id: "get-user", path: "/v1/users/{id}", tag: tag, summary: "Get a user", about: "Without its play keys.",
		codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ ByID }) (User, error) {
		u, err := store.User(ctx, scope, in.ID)
		return presentUser(u), err
	})
	change(a, operation{
		id: "update-user", method: http.MethodPatch, path: "/v1/users/{id}", tag: tag, summary: "Change or suspend a user",
		about:      "Changes what the body names. Plan and expiry change by renewing.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
		Body UserUpdate
	},
	) (User, error) {
		u, err := store.UpdateUser(ctx, scope, in.ID, in.version(), controlapi.UserUpdate(in.Body))
		return presentUser(u), err
	})
	remove(a, operation{
		id: "delete-user", path: "/v1/users/{id}", tag: tag, summary: "Delete a user",
		about:      "Cuts it off within seconds. What it paid is not returned.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
	},
	) error {
		return store.DeleteUser(ctx, scope, in.ID, in.version())
	})
	onceOnly(a, operation{
		id: "renew-user", path: "/v1/users/{id}/renewals", tag: tag, summary: "Renew a user",
		about:      "Charges the plan's price and adds its duration to what is left.",
		permission: controlapi.PermissionWrite,
		codes:      []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict, controlapi.CodeInsufficientCredits},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Once
		Body Renewal
	},
	) (User, error) {
		u, err := store.RenewUser(ctx, scope, in.ID, in.Body.PlanID)
		return presentUser(u), err
	})
	a.registerPlayKeys(store)
}

func (a *API) registerPlayKeys(store Users) {
	const tag = "users"
	get(a, operation{
		id: "list-play-keys", path: "/v1/users/{id}/play-keys", tag: tag, summary: "List the play keys of a user",
		about: "Without their secrets. A user has 20 at the most.", codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ ByID }) (Page[PlayKey], error) {
		keys, err := store.PlayKeys(ctx, scope, in.ID)
		return pageOf(controlapi.List[controlapi.PlayKey]{Items: keys}, func(k controlapi.PlayKey) PlayKey { return PlayKey(k) }), err
	})
	onceOnly(a, operation{
		id: "create-play-key", path: "/v1/users/{id}/play-keys", tag: tag, summary: "Make a play key",
		about:      "A play key opens /play/<stream> for one user, until it is deleted. Its secret is shown this once.",
		permission: controlapi.PermissionKeys, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Once
		Body PlayKeyCreate
	},
	) (NewPlayKey, error) {
		key, secret, err := store.CreatePlayKey(ctx, scope, in.ID, in.Body.Note)
		return NewPlayKey{PlayKey: PlayKey(key), Key: secret.Reveal()}, err
	})
	remove(a, operation{
		id: "delete-play-key", path: "/v1/users/{id}/play-keys/{key_id}", tag: tag, summary: "Delete a play key",
		about:      "It opens nothing from then on; sessions that it opened go on until their tokens end.",
		permission: controlapi.PermissionKeys, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
		KeyID string `path:"key_id" minLength:"8" maxLength:"8" pattern:"^[0-9a-z]+$" doc:"The key's id." example:"k3x9p2ab"`
	},
	) error {
		if err := in.onlyVersion(); err != nil {
			return err
		}
		return store.DeletePlayKey(ctx, scope, in.ID, in.KeyID)
	})
}
