package controlapi

import "time"

// MaxResellerDepth bounds the tree: the operator has depth 0.
const MaxResellerDepth = 8

// Reseller is a tenant: it owns users, and may have resellers below it. The root of the
// tree is the operator.
type Reseller struct {
	// ID is made by the server, so that a collision tells nothing of another tenant.
	ID string `json:"id"`
	// ParentID is empty for the operator.
	ParentID string `json:"parent_id"`
	// Path holds the ids from the root: "/operator/r1/". Resellers never move.
	Path string `json:"path"`
	Name string `json:"name"`
	// Suspended stops the reseller and all below it: their API keys are refused, their
	// users are cut off.
	Suspended bool `json:"suspended"`
	// Halted tells that it, or a reseller above it, is suspended.
	Halted bool `json:"halted"`
	// CreditLimit is how far below zero its balance may go. Only the operator sets it:
	// it makes credits.
	CreditLimit int64 `json:"credit_limit"`
	// MaxStreams is how many streams it may own; 0: it shows what it is granted. Only the
	// operator sets it.
	MaxStreams int `json:"max_streams"`
	// Balance is what its account holds.
	Balance   int64     `json:"balance"`
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
}

// ResellerCreate is a reseller to be made.
type ResellerCreate struct {
	// ParentID is a reseller in scope; empty: the scope's own.
	ParentID string
	// Name has 1 to 128 characters.
	Name string
	// CreditLimit and MaxStreams must be 0 unless the operator asks.
	CreditLimit int64
	MaxStreams  int
}

// ResellerUpdate changes what is not nil.
type ResellerUpdate struct {
	Name        *string
	CreditLimit *int64
	MaxStreams  *int
	// Suspended cannot be changed for the scope's own reseller.
	Suspended *bool
}
