package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/headrace/headrace/controlapi"
)

const userColumns = `SELECT id, reseller_id, path, name, name_key, note, plan_id, expires, max_connections, suspended, version, created FROM users `

type userRow struct {
	ID             string
	ResellerID     string `db:"reseller_id"`
	Path           string
	Name           string
	NameKey        string `db:"name_key"`
	Note           string
	PlanID         string `db:"plan_id"`
	Expires        int64
	MaxConnections int `db:"max_connections"`
	Suspended      bool
	Version        int64
	Created        int64
}

func (r *userRow) domain() (controlapi.User, error) {
	return controlapi.User{
		ID: r.ID, ResellerID: r.ResellerID, Name: r.Name, Note: r.Note, PlanID: r.PlanID, ExpiresAt: fromMicros(r.Expires),
		MaxConnections: r.MaxConnections, Suspended: r.Suspended, Version: r.Version, CreatedAt: fromMicros(r.Created),
	}, nil
}

func (t *tx) user(sc controlapi.Scope, id string) (controlapi.User, tenant, error) {
	var row userRow
	if err := orNotFound(t.get(&row, userColumns+`WHERE id = ?`, id), "user"); err != nil {
		return controlapi.User{}, tenant{}, err
	}
	if !sc.Contains(row.Path) {
		return controlapi.User{}, tenant{}, controlapi.NotFound("user")
	}
	u, err := row.domain()
	return u, tenant{row.ResellerID, row.Path}, err
}

// User gives one.
func (s *Store) User(ctx context.Context, sc controlapi.Scope, id string) (u controlapi.User, err error) {
	err = s.read(ctx, func(t *tx) error {
		u, _, err = t.user(sc, id)
		return err
	})
	return u, err
}

// Users lists those in scope, or of one reseller, by reseller and creation; by name
// where names are searched for.
func (s *Store) Users(ctx context.Context, sc controlapi.Scope, f controlapi.UserFilter, p controlapi.Page) (l controlapi.List[controlapi.User], err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		if f.NamePrefix != "" {
			l, err = t.usersByName(sc, f, p)
			return err
		}
		rows, limit, err := ownedRows[userRow](t, sc, f.ResellerID, p, userColumns)
		if err != nil {
			return err
		}
		l, err = pageOf(rows, limit, (*userRow).domain, func(r *userRow) cursor { return cursor{r.Path, text(r.Created), r.ID} })
		return err
	})
	return l, err
}

func (t *tx) usersByName(sc controlapi.Scope, f controlapi.UserFilter, p controlapi.Page) (l controlapi.List[controlapi.User], err error) {
	limit, err := limitOf(p)
	if err != nil {
		return l, err
	}
	if err := checkText("name", f.NamePrefix, 1, maxName); err != nil {
		return l, err
	}
	c, err := parseCursor(p.After, 2)
	if err != nil {
		return l, err
	}
	key := nameKey(f.NamePrefix)
	query, args := `name_key >= ? AND name_key < ? AND (name_key, id) > (?, ?)`, []any{key, behind(key), c[0], c[1]}
	switch {
	case f.ResellerID != "":
		of, err := t.tenant(sc, f.ResellerID)
		if err != nil {
			return l, err
		}
		query, args = `path = ? AND `+query, append([]any{of.path}, args...)
	case !sc.IsOperator():
		query, args = `path >= ? AND path < ? AND `+query, append([]any{sc.Path(), after(sc.Path())}, args...)
	}
	var rows []userRow
	if err := t.list(&rows, userColumns+`WHERE `+query+` ORDER BY name_key, id LIMIT ?`, append(args, limit+1)...); err != nil {
		return l, err
	}
	return pageOf(rows, limit, (*userRow).domain, func(r *userRow) cursor { return cursor{r.NameKey, r.ID} })
}

func checkUser(u controlapi.User, plan controlapi.Plan) error {
	if err := checkName(u.Name); err != nil {
		return err
	}
	if err := checkText("note", u.Note, 0, maxNote); err != nil {
		return err
	}
	most := controlapi.MaxConnectionsLimit
	if plan.MaxConnections > 0 {
		most = plan.MaxConnections
	}
	if u.MaxConnections < 0 || u.MaxConnections > most {
		return controlapi.Invalid("max_connections", fmt.Sprintf("the plan allows up to %d; 0 takes what the plan says", most))
	}
	return nil
}

// CreateUser makes a user and charges its plan to its reseller.
func (s *Store) CreateUser(ctx context.Context, sc controlapi.Scope, in controlapi.UserCreate) (u controlapi.User, err error) {
	err = s.write(ctx, func(t *tx) error {
		id, err := newID(sc, "user", in.ID)
		if err != nil {
			return err
		}
		of, err := t.tenant(sc, in.ResellerID)
		if err != nil {
			return err
		}
		plan, err := t.planFor(in.PlanID)
		if err != nil {
			return err
		}
		u = controlapi.User{ID: id, Name: in.Name, Note: in.Note, MaxConnections: in.MaxConnections}
		if err := checkUser(u, plan); err != nil {
			return err
		}
		err = t.do(`INSERT INTO users (id, reseller_id, path, name, name_key, note, plan_id, expires, max_connections, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			id, of.id, of.path, in.Name, nameKey(in.Name), in.Note, plan.ID, micros(t.now.Add(plan.Duration)), in.MaxConnections, micros(t.now))
		if err := orExists(err, "user", id); err != nil {
			return err
		}
		// The id may be that of a user who was deleted a short while ago.
		if err := t.allow(of.id, id); err != nil {
			return err
		}
		if err := t.charge(sc, of, plan, id); err != nil {
			return err
		}
		if u, _, err = t.user(sc, id); err != nil {
			return err
		}
		return t.audit(sc, of, "user.create", "user/"+id, nil, u)
	})
	return u, err
}

func (t *tx) planFor(id string) (controlapi.Plan, error) {
	plan, err := t.plan(id)
	if controlapi.CodeOf(err) == controlapi.CodeNotFound {
		return plan, controlapi.Invalid("plan_id", "there is no such plan")
	}
	return plan, err
}

// charge moves a plan's price from the reseller to the operator's revenue. What costs
// nothing moves nothing.
func (t *tx) charge(sc controlapi.Scope, of tenant, plan controlapi.Plan, user string) error {
	if plan.Price == 0 {
		return nil
	}
	_, err := t.moved(sc, of, controlapi.LedgerCharge, "plan "+plan.ID+" for user "+user, of.id, controlapi.AccountRevenue, plan.Price, floorLimit)
	return err
}

// RenewUser adds the plan's duration to the user's expiry, or to now if that is past,
// and charges it. A planID that is not empty changes the plan.
func (s *Store) RenewUser(ctx context.Context, sc controlapi.Scope, id, planID string) (u controlapi.User, err error) {
	err = s.write(ctx, func(t *tx) error {
		before, of, err := t.user(sc, id)
		if err != nil {
			return err
		}
		if planID == "" {
			planID = before.PlanID
		}
		plan, err := t.planFor(planID)
		if err != nil {
			return err
		}
		expires := t.now
		if before.ExpiresAt.After(expires) {
			expires = before.ExpiresAt
		}
		expires = expires.Add(plan.Duration)
		if expires.After(t.now.Add(2 * controlapi.MaxPlanDuration)) {
			return controlapi.Errorf(controlapi.CodeConflict, "the user is paid for until %s already", before.ExpiresAt.Format(time.RFC3339))
		}
		connections := before.MaxConnections
		if plan.MaxConnections > 0 && connections > plan.MaxConnections {
			connections = 0
		}
		// Two renewals at once are two: each is charged, so the second adds to the first.
		n, err := t.exec(`UPDATE users SET plan_id = ?, expires = ?, max_connections = ?, version = version + 1 WHERE id = ? AND version = ?`,
			plan.ID, micros(expires), connections, id, before.Version)
		if err != nil {
			return err
		}
		if n == 0 {
			return errRaced
		}
		if err := t.charge(sc, of, plan, id); err != nil {
			return err
		}
		if u, _, err = t.user(sc, id); err != nil {
			return err
		}
		return t.audit(sc, of, "user.renew", "user/"+id, before, u)
	})
	return u, err
}

// UpdateUser changes a user. One that is suspended is denied at the edges for as long
// as a token of it may live.
func (s *Store) UpdateUser(ctx context.Context, sc controlapi.Scope, id string, version int64, in controlapi.UserUpdate) (u controlapi.User, err error) {
	err = s.write(ctx, func(t *tx) error {
		before, of, err := t.user(sc, id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "user"); err != nil {
			return err
		}
		plan, err := t.plan(before.PlanID)
		if err != nil {
			return err
		}
		u = before
		set(&u.Name, in.Name)
		set(&u.Note, in.Note)
		set(&u.MaxConnections, in.MaxConnections)
		set(&u.Suspended, in.Suspended)
		if in.MaxConnections == nil {
			plan.MaxConnections = 0 // the plan may allow less by now; that is no fault of this change
		}
		if err := checkUser(u, plan); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE users SET name = ?, name_key = ?, note = ?, max_connections = ?, suspended = ?, version = version + 1 WHERE id = ? AND version = ?`,
			u.Name, nameKey(u.Name), u.Note, u.MaxConnections, u.Suspended, id, version)
		if err := changedRow(n, err, "user"); err != nil {
			return err
		}
		if u.Suspended && !before.Suspended {
			err = t.deny(of.id, id)
		} else if before.Suspended && !u.Suspended {
			err = t.allow(of.id, id)
		}
		if err != nil {
			return err
		}
		u.Version++
		return t.audit(sc, of, "user.update", "user/"+id, before, u)
	})
	return u, err
}

// DeleteUser takes a user away. What was paid for it is not given back.
func (s *Store) DeleteUser(ctx context.Context, sc controlapi.Scope, id string, version int64) error {
	return s.write(ctx, func(t *tx) error {
		before, of, err := t.user(sc, id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "user"); err != nil {
			return err
		}
		n, err := t.exec(`DELETE FROM users WHERE id = ? AND version = ?`, id, version)
		if err := changedRow(n, err, "user"); err != nil {
			return err
		}
		if err := t.deny(of.id, id); err != nil {
			return err
		}
		return t.audit(sc, of, "user.delete", "user/"+id, before, nil)
	})
}

// deny has the edges refuse a user's tokens until the last of ours has ended.
func (t *tx) deny(reseller, user string) error {
	t.changed = true
	return t.do(`INSERT INTO denials (reseller_id, user_id, until) VALUES (?, ?, ?)
		ON CONFLICT (reseller_id, user_id) DO UPDATE SET until = excluded.until`,
		reseller, user, micros(t.now.Add(controlapi.MaxSession+5*time.Minute))) // the edges' grace and their clocks
}

func (t *tx) allow(reseller, user string) error {
	n, err := t.exec(`DELETE FROM denials WHERE reseller_id = ? AND user_id = ?`, reseller, user)
	if n > 0 {
		t.changed = true
	}
	return err
}
