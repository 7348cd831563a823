package sqlstore

import (
	"context"
	"maps"
	"slices"

	"github.com/headrace/headrace/controlapi"
)

// maxBalance bounds an account, far from where sums of 64 bits run over.
const maxBalance = 4_000_000_000_000_000_000

// floor says how low a movement may bring an account.
type floor int

const (
	floorLimit floor = iota // its credit limit; accounts of the operator have none
	floorZero               // what is there
)

// move writes one movement. What is taken from one account is given to the other;
// accounts are touched in the order of their ids, so that movements cannot lock each
// other out.
func (t *tx) move(sc controlapi.Scope, kind controlapi.LedgerKind, reason, from, to string, amount int64, lowest floor) (controlapi.LedgerTx, error) {
	m := controlapi.LedgerTx{ID: controlapi.NewID(), Kind: kind, Actor: sc.Actor(), Reason: reason, RequestID: sc.RequestID(), CreatedAt: t.now}
	if err := t.do(`INSERT INTO ledger_txs (id, kind, actor, reason, request_id, created) VALUES (?, ?, ?, ?, ?, ?)`,
		m.ID, string(kind), m.Actor, reason, m.RequestID, micros(t.now)); err != nil {
		return m, err
	}
	amounts := map[string]int64{from: -amount, to: amount}
	for _, account := range slices.Sorted(maps.Keys(amounts)) {
		e := controlapi.LedgerEntry{AccountID: account, Amount: amounts[account]}
		var err error
		if e.Balance, err = t.post(account, e.Amount, lowest); err != nil {
			return m, err
		}
		if err := t.do(`INSERT INTO ledger_entries (tx_id, account_id, amount, balance, created) VALUES (?, ?, ?, ?, ?)`,
			m.ID, account, e.Amount, e.Balance, micros(t.now)); err != nil {
			return m, err
		}
		m.Entries = append(m.Entries, e)
	}
	return m, nil
}

// post changes one balance, if that leaves it within its bounds.
func (t *tx) post(account string, amount int64, lowest floor) (balance int64, err error) {
	condition := `(credit_limit IS NULL OR balance + CAST(? AS BIGINT) >= -credit_limit)`
	if lowest == floorZero {
		condition = `balance + CAST(? AS BIGINT) >= 0`
	}
	err = t.get(&balance, `UPDATE accounts SET balance = balance + CAST(? AS BIGINT) WHERE id = ?
		AND (CAST(? AS BIGINT) > 0 OR `+condition+`)
		AND balance + CAST(? AS BIGINT) BETWEEN CAST(? AS BIGINT) AND CAST(? AS BIGINT) RETURNING balance`,
		amount, account, amount, amount, amount, int64(-maxBalance), int64(maxBalance))
	if !none(err) {
		return balance, err
	}
	switch err := t.get(&balance, `SELECT balance FROM accounts WHERE id = ?`, account); {
	case none(err):
		return 0, controlapi.NotFound("account")
	case err != nil:
		return 0, err
	case amount > 0 || balance < -maxBalance/2:
		return 0, controlapi.Errorf(controlapi.CodeConflict, "the account of %s is full", account)
	}
	return 0, controlapi.Errorf(controlapi.CodeInsufficientCredits, "the account of %s holds %d credits, and %d are needed", account, balance, -amount)
}

func checkMovement(in controlapi.Movement, least int64) error {
	if err := checkText("reason", in.Reason, 1, maxReason); err != nil {
		return err
	}
	if in.Amount == 0 {
		return controlapi.Invalid("amount", "it is 0: nothing would move")
	}
	return checkRange("amount", in.Amount, least, controlapi.MaxAmount)
}

// Credit issues credits to a reseller, or takes some back that it has not spent, if the
// amount is negative. It is the operator's.
func (s *Store) Credit(ctx context.Context, sc controlapi.Scope, in controlapi.Movement) (m controlapi.LedgerTx, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := operatorOnly(sc); err != nil {
			return err
		}
		if err := checkMovement(in, -controlapi.MaxAmount); err != nil {
			return err
		}
		of, err := t.tenant(sc, in.ResellerID)
		if err != nil {
			return err
		}
		from, to, amount, lowest := controlapi.AccountIssue, of.id, in.Amount, floorLimit
		if amount < 0 {
			from, to, amount, lowest = of.id, controlapi.AccountIssue, -amount, floorZero
		}
		m, err = t.moved(sc, of, controlapi.LedgerCredit, in.Reason, from, to, amount, lowest)
		return err
	})
	return m, err
}

// Transfer moves credits from a reseller's parent to it. The parent must be in scope.
func (s *Store) Transfer(ctx context.Context, sc controlapi.Scope, in controlapi.Movement) (controlapi.LedgerTx, error) {
	return s.alongEdge(ctx, sc, in, controlapi.LedgerTransfer)
}

// Reclaim moves credits that a reseller has not spent back to its parent, which must be
// in scope. A credit limit cannot be reclaimed: that would make credits.
func (s *Store) Reclaim(ctx context.Context, sc controlapi.Scope, in controlapi.Movement) (controlapi.LedgerTx, error) {
	return s.alongEdge(ctx, sc, in, controlapi.LedgerReclaim)
}

func (s *Store) alongEdge(ctx context.Context, sc controlapi.Scope, in controlapi.Movement, kind controlapi.LedgerKind) (m controlapi.LedgerTx, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := checkMovement(in, 1); err != nil {
			return err
		}
		r, err := t.reseller(sc, in.ResellerID)
		if err != nil {
			return err
		}
		if r.ID == sc.ResellerID() {
			return controlapi.Errorf(controlapi.CodeForbidden, "credits move between a reseller and the one above it, at the upper one's wish")
		}
		from, to, lowest := r.ParentID, r.ID, floorLimit
		if kind == controlapi.LedgerReclaim {
			from, to, lowest = r.ID, r.ParentID, floorZero
		}
		m, err = t.moved(sc, tenant{r.ID, r.Path}, kind, in.Reason, from, to, in.Amount, lowest)
		return err
	})
	return m, err
}

// moved is move with its audit record.
//
// The reseller is kept from being deleted meanwhile, or the credits would be nobody's.
func (t *tx) moved(sc controlapi.Scope, of tenant, kind controlapi.LedgerKind, reason, from, to string, amount int64, lowest floor) (controlapi.LedgerTx, error) {
	var there string
	if err := orNotFound(t.get(&there, `SELECT id FROM resellers WHERE id = ? {share}`, of.id), "reseller"); err != nil {
		return controlapi.LedgerTx{}, err
	}
	m, err := t.move(sc, kind, reason, from, to, amount, lowest)
	if err != nil {
		return m, err
	}
	return m, t.audit(sc, of, "credits."+string(kind), "reseller/"+of.id, nil, m)
}

type ledgerRow struct {
	TxID    string `db:"tx_id"`
	Kind    string
	Amount  int64
	Balance int64
	Actor   string
	Reason  string
	Created int64
}

// Ledger lists the movements on a reseller's account, newest first. The operator may ask
// for its accounts, too.
func (s *Store) Ledger(ctx context.Context, sc controlapi.Scope, accountID string, p controlapi.Page) (l controlapi.List[controlapi.LedgerLine], err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		limit, err := limitOf(p)
		if err != nil {
			return err
		}
		c, err := parseCursor(p.After, 2)
		if err != nil {
			return err
		}
		before, err := c.number(0)
		if err != nil {
			return err
		}
		if before < 0 {
			before = 1 << 62
		}
		if !sc.IsOperator() || accountID != controlapi.AccountIssue && accountID != controlapi.AccountRevenue {
			of, err := t.tenant(sc, accountID)
			if err != nil {
				return err
			}
			accountID = of.id
		}
		var rows []ledgerRow
		if err := t.list(&rows, `SELECT e.tx_id, x.kind, e.amount, e.balance, x.actor, x.reason, e.created
			FROM ledger_entries e JOIN ledger_txs x ON x.id = e.tx_id
			WHERE e.account_id = ? AND (e.created, e.tx_id) < (?, ?) ORDER BY e.created DESC, e.tx_id DESC LIMIT ?`,
			accountID, before, c[1], limit+1); err != nil {
			return err
		}
		l, err = pageOf(rows, limit, (*ledgerRow).domain, func(r *ledgerRow) cursor { return cursor{text(r.Created), r.TxID} })
		return err
	})
	return l, err
}

func (r *ledgerRow) domain() (controlapi.LedgerLine, error) {
	return controlapi.LedgerLine{
		TxID: r.TxID, Kind: controlapi.LedgerKind(r.Kind), Amount: r.Amount, Balance: r.Balance, Actor: r.Actor, Reason: r.Reason, CreatedAt: fromMicros(r.Created),
	}, nil
}

// VerifyLedger tells whether every balance is the sum of its entries, and every movement
// sums up to nothing. It is the operator's.
func (s *Store) VerifyLedger(ctx context.Context, sc controlapi.Scope) error {
	return s.snapshot(ctx, func(t *tx) error {
		if err := operatorOnly(sc); err != nil {
			return err
		}
		var bad []string
		if err := t.list(&bad, `SELECT a.id FROM accounts a LEFT JOIN ledger_entries e ON e.account_id = a.id
			GROUP BY a.id, a.balance HAVING a.balance <> COALESCE(SUM(e.amount), 0) LIMIT 10`); err != nil {
			return err
		}
		if len(bad) > 0 {
			return controlapi.Errorf(controlapi.CodeConflict, "balances that are not the sum of their entries: accounts %v", bad)
		}
		if err := t.list(&bad, `SELECT x.id FROM ledger_txs x LEFT JOIN ledger_entries e ON e.tx_id = x.id
			GROUP BY x.id HAVING COALESCE(SUM(e.amount), 1) <> 0 LIMIT 10`); err != nil {
			return err
		}
		if len(bad) > 0 {
			return controlapi.Errorf(controlapi.CodeConflict, "movements that do not sum up to 0: %v", bad)
		}
		return nil
	})
}
