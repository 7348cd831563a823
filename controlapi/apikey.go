package controlapi

import "time"

// APIKey lets a program act for a reseller. Its secret is shown once, when it is made.
type APIKey struct {
	// ID is the part of the key that is no secret.
	ID          string       `json:"id"`
	ResellerID  string       `json:"reseller_id"`
	Name        string       `json:"name"`
	Permissions []Permission `json:"permissions"`
	// ExpiresAt is its last moment; zero: no end.
	ExpiresAt time.Time `json:"expires_at"`
	Revoked   bool      `json:"revoked"`
	// LastUsedAt is exact to a minute; zero: never.
	LastUsedAt time.Time `json:"-"`
	Version    int64     `json:"version"`
	CreatedAt  time.Time `json:"created_at"`
}

// APIKeyCreate is a key to be made.
type APIKeyCreate struct {
	// ResellerID is a reseller in scope; empty: the scope's own.
	ResellerID string
	Name       string
	// Permissions are some of those that the maker holds.
	Permissions []Permission
	// ExpiresAt is zero for no end.
	ExpiresAt time.Time
}
