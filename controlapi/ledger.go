package controlapi

import "time"

// The operator's own accounts, which have no floor: credits come from one and end in the other.
const (
	// AccountIssue is where credits come from: its balance is what was issued, negative.
	AccountIssue = "issue"
	// AccountRevenue is what users were charged.
	AccountRevenue = "revenue"
)

// LedgerKind says why credits moved. The set is closed.
type LedgerKind string

// The kinds.
const (
	LedgerCredit   LedgerKind = "credit"   // issued by the operator, or taken back
	LedgerTransfer LedgerKind = "transfer" // from a reseller to one right below it
	LedgerReclaim  LedgerKind = "reclaim"  // the way back
	LedgerCharge   LedgerKind = "charge"   // a plan was bought for a user
)

// LedgerTx is one movement of credits: entries whose sum is 0. It never changes.
type LedgerTx struct {
	ID   string     `json:"id"`
	Kind LedgerKind `json:"kind"`
	// Actor is the API key that moved the credits.
	Actor     string        `json:"actor"`
	Reason    string        `json:"reason"`
	RequestID string        `json:"request_id"`
	CreatedAt time.Time     `json:"created_at"`
	Entries   []LedgerEntry `json:"entries"`
}

// LedgerEntry is what a movement did to one account.
type LedgerEntry struct {
	// AccountID is a reseller's id, or one of the operator's accounts.
	AccountID string `json:"account_id"`
	Amount    int64  `json:"amount"`
	// Balance is the account's afterwards.
	Balance int64 `json:"balance"`
}

// LedgerLine is a movement as it stands on one account's statement.
type LedgerLine struct {
	TxID      string
	Kind      LedgerKind
	Amount    int64
	Balance   int64
	Actor     string
	Reason    string
	CreatedAt time.Time
}

// Movement is credits to be moved.
type Movement struct {
	// ResellerID is whose account it is about.
	ResellerID string
	// Amount is 1 to MaxAmount; for the operator's credit it may be negative.
	Amount int64
	// Reason has 1 to 256 characters.
	Reason string
}
