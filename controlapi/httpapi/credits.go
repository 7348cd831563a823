package httpapi

import (
	"context"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// Ledger moves credits.
type Ledger interface {
	// Credit issues credits to a reseller, or takes them back where the amount is negative.
	Credit(ctx context.Context, scope controlapi.Scope, m controlapi.Movement) (controlapi.LedgerTx, error)
	// Transfer moves credits from a reseller's parent to it.
	Transfer(ctx context.Context, scope controlapi.Scope, m controlapi.Movement) (controlapi.LedgerTx, error)
	// Reclaim moves credits from a reseller back to its parent.
	Reclaim(ctx context.Context, scope controlapi.Scope, m controlapi.Movement) (controlapi.LedgerTx, error)
	// Ledger lists the movements of a reseller's account, newest first.
	Ledger(ctx context.Context, scope controlapi.Scope, resellerID string, page controlapi.Page) (controlapi.List[controlapi.LedgerLine], error)
}

// Balance is what a reseller's account holds.
type Balance struct {
	ResellerID  string `json:"reseller_id" doc:"Whose account." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	Balance     int64  `json:"balance" doc:"Credits on the account." example:"1200"`
	CreditLimit int64  `json:"credit_limit" doc:"How far below zero the balance may go." example:"0"`
	Available   int64  `json:"available" doc:"What can be spent: balance and credit limit." example:"1200"`
}

// LedgerTx is a movement of credits. Its entries add up to 0, and it never changes.
type LedgerTx struct {
	ID        string        `json:"id" doc:"Made by the server." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	Kind      string        `json:"kind" enum:"credit,transfer,reclaim,charge" doc:"credit: issued by the operator; transfer: from a reseller to one right below it; reclaim: the way back; charge: a plan was bought for a user." example:"transfer"`
	Actor     string        `json:"actor" doc:"The API key that moved the credits." example:"k3x9p2ab"`
	Reason    string        `json:"reason" doc:"As it was given." example:"invoice 2026-031"`
	CreatedAt time.Time     `json:"created_at" doc:"When they moved." example:"2026-03-01T12:00:00Z"`
	Entries   []LedgerEntry `json:"entries" nullable:"false" doc:"What it did to each account."`
}

// LedgerEntry is what a movement did to one account.
type LedgerEntry struct {
	AccountID string `json:"account_id" doc:"A reseller, or issue or revenue, the operator's own accounts." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	Amount    int64  `json:"amount" doc:"Credits that came, or went where it is negative." example:"500"`
}

// LedgerLine is a movement on the statement of one account.
type LedgerLine struct {
	TxID      string    `json:"tx_id" doc:"The movement." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	Kind      string    `json:"kind" enum:"credit,transfer,reclaim,charge" doc:"Why credits moved." example:"charge"`
	Amount    int64     `json:"amount" doc:"Credits that came, or went where it is negative." example:"-10"`
	Balance   int64     `json:"balance" doc:"What the account held afterwards." example:"1190"`
	Actor     string    `json:"actor" doc:"The API key that moved the credits." example:"k3x9p2ab"`
	Reason    string    `json:"reason" doc:"As it was given." example:"plan basic for user 1007"`
	CreatedAt time.Time `json:"created_at" doc:"When they moved." example:"2026-03-01T12:00:00Z"`
}

// Movement is credits to be moved.
type Movement struct {
	Amount int64  `json:"amount" minimum:"1" maximum:"1000000000000" doc:"Credits." example:"500"`
	Reason string `json:"reason" minLength:"1" maxLength:"256" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"For the statement." example:"invoice 2026-031"`
}

// Issue is credits to be issued, or taken back.
type Issue struct {
	Amount int64  `json:"amount" minimum:"-1000000000000" maximum:"1000000000000" doc:"Credits, not 0; negative: they are taken back." example:"10000"`
	Reason string `json:"reason" minLength:"1" maxLength:"256" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"For the statement." example:"prepaid March"`
}

// presentTx shows a movement without the balances of accounts: one of them may be
// another tenant's.
func presentTx(tx controlapi.LedgerTx) LedgerTx {
	out := LedgerTx{ID: tx.ID, Kind: string(tx.Kind), Actor: tx.Actor, Reason: tx.Reason, CreatedAt: tx.CreatedAt, Entries: []LedgerEntry{}}
	for _, e := range tx.Entries {
		out.Entries = append(out.Entries, LedgerEntry{AccountID: e.AccountID, Amount: e.Amount})
	}
	return out
}

func presentLine(l controlapi.LedgerLine) LedgerLine {
	return LedgerLine{TxID: l.TxID, Kind: string(l.Kind), Amount: l.Amount, Balance: l.Balance, Actor: l.Actor, Reason: l.Reason, CreatedAt: l.CreatedAt}
}

// movementInput is what the operations that move credits take.
type movementInput struct {
	ByID
	Once
	Body Movement
}

func (a *API) registerCredits(resellers Resellers, ledger Ledger) {
	const tag = "credits"
	get(a, operation{
		id: "get-balance", path: "/v1/resellers/{id}/balance", tag: tag, summary: "Get what an account holds", about: "The account is the reseller's.",
		codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ ByID }) (Balance, error) {
		r, err := resellers.Reseller(ctx, scope, in.ID)
		return Balance{ResellerID: r.ID, Balance: r.Balance, CreditLimit: r.CreditLimit, Available: r.Balance + r.CreditLimit}, err
	})
	get(a, operation{
		id: "list-ledger", path: "/v1/resellers/{id}/ledger", tag: tag, summary: "List the movements of an account",
		about: "Newest first.", codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Paged
	},
	) (Page[LedgerLine], error) {
		list, err := ledger.Ledger(ctx, scope, in.ID, in.page())
		return pageOf(list, presentLine), err
	})
	moves := []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict, controlapi.CodeInsufficientCredits}
	onceOnly(a, operation{
		id: "transfer-credits", path: "/v1/resellers/{id}/transfers", tag: tag, summary: "Give credits to a reseller",
		about:      "They come from the account of the reseller right above it.",
		permission: controlapi.PermissionCredits, codes: moves,
	}, func(ctx context.Context, scope controlapi.Scope, in *movementInput) (LedgerTx, error) {
		tx, err := ledger.Transfer(ctx, scope, controlapi.Movement{ResellerID: in.ID, Amount: in.Body.Amount, Reason: in.Body.Reason})
		return presentTx(tx), err
	})
	onceOnly(a, operation{
		id: "reclaim-credits", path: "/v1/resellers/{id}/reclaims", tag: tag, summary: "Take credits back from a reseller",
		about:      "They go to the account of the reseller right above it.",
		permission: controlapi.PermissionCredits, codes: moves,
	}, func(ctx context.Context, scope controlapi.Scope, in *movementInput) (LedgerTx, error) {
		tx, err := ledger.Reclaim(ctx, scope, controlapi.Movement{ResellerID: in.ID, Amount: in.Body.Amount, Reason: in.Body.Reason})
		return presentTx(tx), err
	})
	onceOnly(a, operation{
		id: "issue-credits", path: "/v1/resellers/{id}/credits", tag: tag, summary: "Issue credits",
		about:      "Makes credits out of nothing: the operator's alone.",
		permission: controlapi.PermissionCredits, codes: moves,
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Once
		Body Issue
	},
	) (LedgerTx, error) {
		tx, err := ledger.Credit(ctx, scope, controlapi.Movement{ResellerID: in.ID, Amount: in.Body.Amount, Reason: in.Body.Reason})
		return presentTx(tx), err
	})
}
