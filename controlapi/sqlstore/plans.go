package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/headrace/headrace/controlapi"
)

const planColumns = `SELECT id, name, price, duration, session, max_connections, version, created FROM plans `

type planRow struct {
	ID             string
	Name           string
	Price          int64
	Duration       int64
	Session        int64
	MaxConnections int `db:"max_connections"`
	Version        int64
	Created        int64
}

func (t *tx) planOf(r *planRow) (controlapi.Plan, error) {
	p := controlapi.Plan{
		ID: r.ID, Name: r.Name, Price: r.Price, Duration: time.Duration(r.Duration) * time.Second, Session: time.Duration(r.Session) * time.Second,
		MaxConnections: r.MaxConnections, Bouquets: []string{}, Version: r.Version, CreatedAt: fromMicros(r.Created),
	}
	return p, t.list(&p.Bouquets, `SELECT bouquet_id FROM plan_bouquets WHERE plan_id = ? ORDER BY position`, r.ID)
}

func (t *tx) plan(id string) (controlapi.Plan, error) {
	var row planRow
	if err := orNotFound(t.get(&row, planColumns+`WHERE id = ?`, id), "plan"); err != nil {
		return controlapi.Plan{}, err
	}
	return t.planOf(&row)
}

// Plan gives one. Plans are the operator's, and every reseller may see them.
func (s *Store) Plan(ctx context.Context, _ controlapi.Scope, id string) (p controlapi.Plan, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		p, err = t.plan(id)
		return err
	})
	return p, err
}

// Plans lists them, the oldest first.
func (s *Store) Plans(ctx context.Context, _ controlapi.Scope, page controlapi.Page) (l controlapi.List[controlapi.Plan], err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		limit, err := limitOf(page)
		if err != nil {
			return err
		}
		c, err := parseCursor(page.After, 2)
		if err != nil {
			return err
		}
		created, err := c.number(0)
		if err != nil {
			return err
		}
		var rows []planRow
		if err := t.list(&rows, planColumns+`WHERE (created, id) > (?, ?) ORDER BY created, id LIMIT ?`, created, c[1], limit+1); err != nil {
			return err
		}
		l, err = pageOf(rows, limit, t.planOf, func(r *planRow) cursor { return cursor{text(r.Created), r.ID} })
		return err
	})
	return l, err
}

func checkPlan(p controlapi.Plan) error {
	if err := checkName(p.Name); err != nil {
		return err
	}
	if err := checkRange("price", p.Price, 0, controlapi.MaxAmount); err != nil {
		return err
	}
	if p.Duration < time.Minute || p.Duration > controlapi.MaxPlanDuration || p.Duration%time.Second != 0 {
		return controlapi.Invalid("duration", fmt.Sprintf("whole seconds, from 1 minute to %d days", controlapi.MaxPlanDuration/(24*time.Hour)))
	}
	if p.Session < controlapi.MinSession || p.Session > controlapi.MaxSession || p.Session%time.Second != 0 {
		return controlapi.Invalid("session", fmt.Sprintf("whole seconds, from %v to %v", controlapi.MinSession, controlapi.MaxSession))
	}
	if err := checkRange("max_connections", p.MaxConnections, 0, controlapi.MaxConnectionsLimit); err != nil {
		return err
	}
	return checkIDs("bouquets", "bouquet", p.Bouquets, controlapi.MaxPlanBouquets)
}

// CreatePlan makes a plan. It is the operator's.
func (s *Store) CreatePlan(ctx context.Context, sc controlapi.Scope, in controlapi.PlanCreate) (p controlapi.Plan, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := operatorOnly(sc); err != nil {
			return err
		}
		id, err := newID(sc, "plan", in.ID)
		if err != nil {
			return err
		}
		if in.Session == 0 {
			in.Session = controlapi.MaxSession
		}
		p = controlapi.Plan{ID: id, Name: in.Name, Price: in.Price, Duration: in.Duration, Session: in.Session, MaxConnections: in.MaxConnections, Bouquets: in.Bouquets}
		if err := checkPlan(p); err != nil {
			return err
		}
		err = t.do(`INSERT INTO plans (id, name, price, duration, session, max_connections, created) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			id, p.Name, p.Price, int64(p.Duration/time.Second), int64(p.Session/time.Second), p.MaxConnections, micros(t.now))
		if err := orExists(err, "plan", id); err != nil {
			return err
		}
		if err := t.setPlanBouquets(id, p.Bouquets); err != nil {
			return err
		}
		if p, err = t.plan(id); err != nil {
			return err
		}
		return t.audit(sc, operatorTenant, "plan.create", "plan/"+id, nil, p)
	})
	return p, err
}

// setPlanBouquets replaces a plan's bouquets, all of which must be the operator's.
func (t *tx) setPlanBouquets(id string, bouquets []string) error {
	if err := t.do(`DELETE FROM plan_bouquets WHERE plan_id = ?`, id); err != nil {
		return err
	}
	n, err := t.exec(`INSERT INTO plan_bouquets (plan_id, bouquet_id, position)
		SELECT ?, b.id, j.key FROM {list} JOIN bouquets b ON b.id = j.value WHERE b.owner_id = 'operator'`, id, jsonList(bouquets))
	if err == nil && n != int64(len(bouquets)) {
		err = controlapi.Invalid("bouquets", "one of them is not a bouquet of the operator")
	}
	return err
}

// UpdatePlan changes a plan. It is the operator's.
func (s *Store) UpdatePlan(ctx context.Context, sc controlapi.Scope, id string, version int64, in controlapi.PlanUpdate) (p controlapi.Plan, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := operatorOnly(sc); err != nil {
			return err
		}
		before, err := t.plan(id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "plan"); err != nil {
			return err
		}
		p = before
		set(&p.Name, in.Name)
		set(&p.Price, in.Price)
		set(&p.Duration, in.Duration)
		set(&p.Session, in.Session)
		set(&p.MaxConnections, in.MaxConnections)
		set(&p.Bouquets, in.Bouquets)
		if err := checkPlan(p); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE plans SET name = ?, price = ?, duration = ?, session = ?, max_connections = ?, version = version + 1 WHERE id = ? AND version = ?`,
			p.Name, p.Price, int64(p.Duration/time.Second), int64(p.Session/time.Second), p.MaxConnections, id, version)
		if err := changedRow(n, err, "plan"); err != nil {
			return err
		}
		if in.Bouquets != nil {
			if err := t.setPlanBouquets(id, p.Bouquets); err != nil {
				return err
			}
		}
		if p, err = t.plan(id); err != nil {
			return err
		}
		return t.audit(sc, operatorTenant, "plan.update", "plan/"+id, before, p)
	})
	return p, err
}

// DeletePlan takes away a plan that no user has.
func (s *Store) DeletePlan(ctx context.Context, sc controlapi.Scope, id string, version int64) error {
	return s.write(ctx, func(t *tx) error {
		if err := operatorOnly(sc); err != nil {
			return err
		}
		before, err := t.plan(id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "plan"); err != nil {
			return err
		}
		n, err := t.exec(`DELETE FROM plans WHERE id = ? AND version = ?`, id, version)
		if err != nil && faultOf(err) == faultReference {
			return controlapi.Errorf(controlapi.CodeConflict, "users have this plan; renew them with another one first")
		}
		if err := changedRow(n, err, "plan"); err != nil {
			return err
		}
		return t.audit(sc, operatorTenant, "plan.delete", "plan/"+id, before, nil)
	})
}
