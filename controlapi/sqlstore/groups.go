package sqlstore

import (
	"context"
	"net/url"

	"github.com/headrace/headrace/controlapi"
)

const groupColumns = `SELECT id, name, steer_url, version, created FROM edge_groups `

type groupRow struct {
	ID       string
	Name     string
	SteerURL string `db:"steer_url"`
	Version  int64
	Created  int64
}

func (r *groupRow) domain() (controlapi.Group, error) {
	return controlapi.Group{ID: r.ID, Name: r.Name, SteerURL: r.SteerURL, Version: r.Version, CreatedAt: fromMicros(r.Created)}, nil
}

func (t *tx) group(id string) (controlapi.Group, error) {
	var row groupRow
	if err := orNotFound(t.get(&row, groupColumns+`WHERE id = ?`, id), "group"); err != nil {
		return controlapi.Group{}, err
	}
	return row.domain()
}

// Group gives one. Groups are no secret: every reseller has a signing key in each.
func (s *Store) Group(ctx context.Context, _ controlapi.Scope, id string) (g controlapi.Group, err error) {
	err = s.read(ctx, func(t *tx) error {
		g, err = t.group(id)
		return err
	})
	return g, err
}

// Groups lists them by id.
func (s *Store) Groups(ctx context.Context, _ controlapi.Scope, p controlapi.Page) (l controlapi.List[controlapi.Group], err error) {
	err = s.read(ctx, func(t *tx) error {
		limit, err := limitOf(p)
		if err != nil {
			return err
		}
		c, err := parseCursor(p.After, 1)
		if err != nil {
			return err
		}
		var rows []groupRow
		if err := t.list(&rows, groupColumns+`WHERE id > ? ORDER BY id LIMIT ?`, c[0], limit+1); err != nil {
			return err
		}
		l, err = pageOf(rows, limit, (*groupRow).domain, func(r *groupRow) cursor { return cursor{r.ID} })
		return err
	})
	return l, err
}

// CreateGroup makes a group, and every reseller's signing key in it.
func (s *Store) CreateGroup(ctx context.Context, sc controlapi.Scope, in controlapi.GroupCreate) (g controlapi.Group, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := operatorOnly(sc); err != nil {
			return err
		}
		id, err := newID(sc, "group", in.ID)
		if err != nil {
			return err
		}
		if err := checkGroup(in.Name, in.SteerURL); err != nil {
			return err
		}
		if err := t.lockTree(); err != nil { // no reseller may come to be without a key in it
			return err
		}
		if err := orExists(t.do(`INSERT INTO edge_groups (id, name, steer_url, created) VALUES (?, ?, ?, ?)`, id, in.Name, in.SteerURL, micros(t.now)), "group", id); err != nil {
			return err
		}
		if err := t.fillSigningKeys(); err != nil {
			return err
		}
		if g, err = t.group(id); err != nil {
			return err
		}
		return t.audit(sc, operatorTenant, "group.create", "group/"+id, nil, g)
	})
	return g, err
}

func checkGroup(name, steerURL string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return checkURL("steer_url", steerURL, false)
}

// checkURL holds a base URL to http or https with a host, and nothing that could hold a secret.
func checkURL(field, value string, required bool) error {
	if value == "" && !required {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(value) > 512 {
		return controlapi.Invalid(field, "write a base URL of up to 512 characters as https://edge-1.example.com, without user, query and fragment")
	}
	return nil
}

// UpdateGroup changes a group.
func (s *Store) UpdateGroup(ctx context.Context, sc controlapi.Scope, id string, version int64, in controlapi.GroupUpdate) (g controlapi.Group, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := operatorOnly(sc); err != nil {
			return err
		}
		before, err := t.group(id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "group"); err != nil {
			return err
		}
		g = before
		set(&g.Name, in.Name)
		set(&g.SteerURL, in.SteerURL)
		if err := checkGroup(g.Name, g.SteerURL); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE edge_groups SET name = ?, steer_url = ?, version = version + 1 WHERE id = ? AND version = ?`, g.Name, g.SteerURL, id, version)
		if err := changedRow(n, err, "group"); err != nil {
			return err
		}
		g.Version++
		t.changed = true
		return t.audit(sc, operatorTenant, "group.update", "group/"+id, before, g)
	})
	return g, err
}

// DeleteGroup takes away a group that has neither edges nor streams any more.
func (s *Store) DeleteGroup(ctx context.Context, sc controlapi.Scope, id string, version int64) error {
	return s.write(ctx, func(t *tx) error {
		if err := operatorOnly(sc); err != nil {
			return err
		}
		before, err := t.group(id)
		if err != nil {
			return err
		}
		if id == controlapi.DefaultGroupID {
			return controlapi.Errorf(controlapi.CodeConflict, "the default group stays")
		}
		if err := checkVersion(version, before.Version, "group"); err != nil {
			return err
		}
		n, err := t.exec(`DELETE FROM edge_groups WHERE id = ? AND version = ?`, id, version)
		if err != nil && faultOf(err) == faultReference {
			return controlapi.Errorf(controlapi.CodeConflict, "the group still has edges or streams; delete them first")
		}
		if err := changedRow(n, err, "group"); err != nil {
			return err
		}
		t.changed = true
		return t.audit(sc, operatorTenant, "group.delete", "group/"+id, before, nil)
	})
}
