package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/headrace/headrace/controlapi"
)

const resellerColumns = `SELECT r.id, r.parent_id, r.path, r.name, r.suspended, r.halted, r.max_streams, r.version, r.created,
	a.balance, a.credit_limit FROM resellers r JOIN accounts a ON a.id = r.id `

type resellerRow struct {
	ID          string
	ParentID    *string `db:"parent_id"`
	Path        string
	Name        string
	Suspended   bool
	Halted      bool
	MaxStreams  int `db:"max_streams"`
	Version     int64
	Created     int64
	Balance     int64
	CreditLimit *int64 `db:"credit_limit"`
}

func (r *resellerRow) domain() (controlapi.Reseller, error) {
	d := controlapi.Reseller{
		ID: r.ID, Path: r.Path, Name: r.Name, Suspended: r.Suspended, Halted: r.Halted, MaxStreams: r.MaxStreams,
		Version: r.Version, CreatedAt: fromMicros(r.Created), Balance: r.Balance,
	}
	if r.ParentID != nil {
		d.ParentID = *r.ParentID
	}
	if r.CreditLimit != nil {
		d.CreditLimit = *r.CreditLimit
	}
	return d, nil
}

// reseller reads one in scope.
func (t *tx) reseller(sc controlapi.Scope, id string) (controlapi.Reseller, error) {
	var row resellerRow
	if err := orNotFound(t.get(&row, resellerColumns+`WHERE r.id = ?`, id), "reseller"); err != nil {
		return controlapi.Reseller{}, err
	}
	if !sc.Contains(row.Path) {
		return controlapi.Reseller{}, controlapi.NotFound("reseller")
	}
	return row.domain()
}

// Reseller gives one.
func (s *Store) Reseller(ctx context.Context, sc controlapi.Scope, id string) (r controlapi.Reseller, err error) {
	err = s.read(ctx, func(t *tx) error {
		r, err = t.reseller(sc, id)
		return err
	})
	return r, err
}

// Resellers lists those in scope, the scope's own first, parents before children. A
// parentID lists those right below that one alone.
func (s *Store) Resellers(ctx context.Context, sc controlapi.Scope, parentID string, p controlapi.Page) (l controlapi.List[controlapi.Reseller], err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		limit, err := limitOf(p)
		if err != nil {
			return err
		}
		c, err := parseCursor(p.After, 1)
		if err != nil {
			return err
		}
		within, and, args := sc.Path(), "", []any(nil)
		if parentID != "" {
			parent, err := t.tenant(sc, parentID)
			if err != nil {
				return err
			}
			within, and, args = parent.path, "AND r.parent_id = ? ", []any{parentID}
		}
		var rows []resellerRow
		args = append([]any{within, after(within), c[0]}, append(args, limit+1)...)
		if err := t.list(&rows, resellerColumns+`WHERE r.path >= ? AND r.path < ? AND r.path > ? `+and+`ORDER BY r.path LIMIT ?`, args...); err != nil {
			return err
		}
		l, err = pageOf(rows, limit, (*resellerRow).domain, func(r *resellerRow) cursor { return cursor{r.Path} })
		return err
	})
	return l, err
}

// CreateReseller makes a reseller below one in scope, with a signing key in every group.
func (s *Store) CreateReseller(ctx context.Context, sc controlapi.Scope, in controlapi.ResellerCreate) (r controlapi.Reseller, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := checkResellerLimits(sc, &in.Name, nonZero(in.CreditLimit), nonZero(in.MaxStreams)); err != nil {
			return err
		}
		parent, err := t.tenant(sc, in.ParentID)
		if err != nil {
			return err
		}
		if strings.Count(parent.path, "/") > controlapi.MaxResellerDepth+1 {
			return controlapi.Invalid("parent_id", fmt.Sprintf("the tree has %d levels below the operator, and the parent is on the last", controlapi.MaxResellerDepth))
		}
		if err := t.lockTree(); err != nil {
			return err
		}
		id := controlapi.NewID()
		if err := t.do(`INSERT INTO resellers (id, parent_id, path, name, halted, max_streams, created)
			SELECT ?, p.id, p.path || ?, ?, p.halted, ?, ? FROM resellers p WHERE p.id = ?`,
			id, id+"/", in.Name, in.MaxStreams, micros(t.now), parent.id); err != nil {
			return err
		}
		if err := t.do(`INSERT INTO accounts (id, credit_limit) VALUES (?, ?)`, id, in.CreditLimit); err != nil {
			return err
		}
		if err := t.fillSigningKeys(); err != nil {
			return err
		}
		if r, err = t.reseller(sc, id); err != nil {
			return err
		}
		return t.audit(sc, tenant{id, r.Path}, "reseller.create", "reseller/"+id, nil, r)
	})
	return r, err
}

// lockTree lets one at a time change who is above whom and who is suspended.
func (t *tx) lockTree() error {
	var id string
	return t.get(&id, `SELECT id FROM resellers WHERE id = 'operator' {lock}`)
}

// nonZero is nil for 0, which anybody may ask for.
func nonZero[N int | int64](n N) *N {
	if n == 0 {
		return nil
	}
	return &n
}

func checkResellerLimits(sc controlapi.Scope, name *string, creditLimit *int64, maxStreams *int) error {
	if name != nil {
		if err := checkName(*name); err != nil {
			return err
		}
	}
	if (creditLimit != nil || maxStreams != nil) && !sc.IsOperator() {
		return controlapi.Errorf(controlapi.CodeForbidden, "only the operator sets credit limits and how many streams a reseller may own")
	}
	if creditLimit != nil {
		if err := checkRange("credit_limit", *creditLimit, 0, controlapi.MaxAmount); err != nil {
			return err
		}
	}
	if maxStreams != nil {
		return checkRange("max_streams", *maxStreams, 0, 100_000)
	}
	return nil
}

// UpdateReseller changes a reseller. Suspending stops it and all below it at once: their
// API keys are refused, and snapshots hold neither their keys nor their grants any more.
func (s *Store) UpdateReseller(ctx context.Context, sc controlapi.Scope, id string, version int64, in controlapi.ResellerUpdate) (r controlapi.Reseller, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := checkResellerLimits(sc, in.Name, in.CreditLimit, in.MaxStreams); err != nil {
			return err
		}
		before, err := t.reseller(sc, id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "reseller"); err != nil {
			return err
		}
		if in.Suspended != nil && id == sc.ResellerID() {
			return controlapi.Errorf(controlapi.CodeForbidden, "nobody suspends itself; the reseller above can")
		}
		if in.CreditLimit != nil && id == controlapi.OperatorID {
			return controlapi.Invalid("credit_limit", "the operator's account has no limit")
		}
		r = before
		set(&r.Name, in.Name)
		set(&r.MaxStreams, in.MaxStreams)
		set(&r.CreditLimit, in.CreditLimit)
		set(&r.Suspended, in.Suspended)
		if r.Suspended != before.Suspended {
			if err := t.lockTree(); err != nil {
				return err
			}
		}
		n, err := t.exec(`UPDATE resellers SET name = ?, max_streams = ?, suspended = ?, version = version + 1 WHERE id = ? AND version = ?`,
			r.Name, r.MaxStreams, r.Suspended, id, version)
		if err := changedRow(n, err, "reseller"); err != nil {
			return err
		}
		if in.CreditLimit != nil {
			if err := t.do(`UPDATE accounts SET credit_limit = ? WHERE id = ?`, r.CreditLimit, id); err != nil {
				return err
			}
		}
		if r.Suspended != before.Suspended {
			if err := t.halt(before.Path); err != nil {
				return err
			}
		}
		if r, err = t.reseller(sc, id); err != nil {
			return err
		}
		return t.audit(sc, tenant{id, r.Path}, "reseller.update", "reseller/"+id, before, r)
	})
	return r, err
}

// set takes over what is given.
func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// halt works out anew who in the subtree is stopped.
func (t *tx) halt(path string) error {
	t.changed = true
	return t.do(`UPDATE resellers SET halted = EXISTS (
			SELECT 1 FROM resellers a WHERE a.suspended AND substr(resellers.path, 1, length(a.path)) = a.path)
		WHERE path >= ? AND path < ?`, path, after(path))
}

// DeleteReseller takes away a reseller that has nothing any more: no resellers, users,
// streams or bouquets, and a balance of 0. Its ledger and audit stay.
func (s *Store) DeleteReseller(ctx context.Context, sc controlapi.Scope, id string, version int64) error {
	return s.write(ctx, func(t *tx) error {
		before, err := t.reseller(sc, id)
		if err != nil {
			return err
		}
		if id == sc.ResellerID() {
			return controlapi.Errorf(controlapi.CodeForbidden, "nobody deletes itself; the reseller above can")
		}
		if err := checkVersion(version, before.Version, "reseller"); err != nil {
			return err
		}
		// The account's row lock keeps credits from coming in meanwhile.
		n, err := t.exec(`UPDATE accounts SET credit_limit = 0 WHERE id = ? AND balance = 0`, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return controlapi.Errorf(controlapi.CodeConflict, "the reseller's balance is not 0; bring it there first")
		}
		n, err = t.exec(`DELETE FROM resellers WHERE id = ? AND version = ?`, id, version)
		if err != nil && faultOf(err) == faultReference {
			return controlapi.Errorf(controlapi.CodeConflict, "the reseller still has resellers, users, streams or bouquets; delete them first")
		}
		if err := changedRow(n, err, "reseller"); err != nil {
			return err
		}
		if err := t.do(`DELETE FROM signing_keys WHERE reseller_id = ?`, id); err != nil {
			return err
		}
		t.changed = true
		return t.audit(sc, tenant{id, before.Path}, "reseller.delete", "reseller/"+id, before, nil)
	})
}
