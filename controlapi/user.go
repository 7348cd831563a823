package controlapi

import "time"

// User is a viewer account.
type User struct {
	ID         string `json:"id"`
	ResellerID string `json:"reseller_id"`
	// Name is what the reseller calls it; it need not be the only one of that name.
	Name   string `json:"name"`
	Note   string `json:"note"`
	PlanID string `json:"plan_id"`
	// ExpiresAt is the last moment at which it may watch.
	ExpiresAt time.Time `json:"expires_at"`
	// MaxConnections bounds its sessions, 1 to 999 and no more than the plan's; 0: as the plan says.
	MaxConnections int       `json:"max_connections"`
	Suspended      bool      `json:"suspended"`
	Version        int64     `json:"version"`
	CreatedAt      time.Time `json:"created_at"`
}

// UserCreate is a user to be made. Its plan's price is charged to the reseller.
type UserCreate struct {
	// ID may be chosen by the operator only; empty: the server makes one.
	ID string
	// ResellerID is a reseller in scope; empty: the scope's own.
	ResellerID     string
	Name           string // 1 to 128 characters
	Note           string // up to 1,024 characters
	PlanID         string
	MaxConnections int
}

// UserUpdate changes what is not nil. Plan and expiry change by renewing only: that is
// what is charged for.
type UserUpdate struct {
	Name           *string
	Note           *string
	MaxConnections *int
	Suspended      *bool
}

// UserFilter narrows a list of users.
type UserFilter struct {
	// ResellerID lists the users of that reseller alone; empty: all in scope.
	ResellerID string
	// NamePrefix finds names that begin with it, in capitals or not; empty: all.
	NamePrefix string
}

// PlayKey opens the entry URLs for a user. It is shown once, when it is made.
type PlayKey struct {
	// ID is the part of the key that is no secret.
	ID        string    `json:"id"`
	UserID    string    `json:"user_id"`
	Note      string    `json:"note"`
	CreatedAt time.Time `json:"created_at"`
}

// MaxPlayKeys bounds the play keys of one user.
const MaxPlayKeys = 20
