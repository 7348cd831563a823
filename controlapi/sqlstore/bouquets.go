package sqlstore

import (
	"context"

	"github.com/headrace/headrace/controlapi"
)

const bouquetColumns = `SELECT b.id, b.owner_id, b.path, b.name, b.version, b.created FROM bouquets b `

type bouquetRow struct {
	ID      string
	OwnerID string `db:"owner_id"`
	Path    string
	Name    string
	Version int64
	Created int64
}

func (t *tx) bouquetOf(r *bouquetRow) (controlapi.Bouquet, error) {
	b := controlapi.Bouquet{ID: r.ID, OwnerID: r.OwnerID, Name: r.Name, Streams: []string{}, Version: r.Version, CreatedAt: fromMicros(r.Created)}
	return b, t.list(&b.Streams, `SELECT stream_id FROM bouquet_streams WHERE bouquet_id = ? ORDER BY position, stream_id`, r.ID)
}

func (t *tx) bouquet(sc controlapi.Scope, id string) (controlapi.Bouquet, tenant, error) {
	var row bouquetRow
	condition, args := visibleBouquet(own(sc))
	if err := orNotFound(t.get(&row, bouquetColumns+`WHERE b.id = ? AND `+condition, append([]any{id}, args...)...), "bouquet"); err != nil {
		return controlapi.Bouquet{}, tenant{}, err
	}
	b, err := t.bouquetOf(&row)
	return b, tenant{row.OwnerID, row.Path}, err
}

// ownBouquet is bouquet for those who change it: it must be owned in scope.
func (t *tx) ownBouquet(sc controlapi.Scope, id string) (controlapi.Bouquet, tenant, error) {
	b, of, err := t.bouquet(sc, id)
	if err == nil && !sc.Contains(of.path) {
		err = controlapi.Errorf(controlapi.CodeForbidden, "the bouquet belongs to a reseller above")
	}
	return b, of, err
}

// Bouquet gives one that is owned in scope or granted to the scope's reseller.
func (s *Store) Bouquet(ctx context.Context, sc controlapi.Scope, id string) (b controlapi.Bouquet, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		b, _, err = t.bouquet(sc, id)
		return err
	})
	return b, err
}

// Bouquets lists those that are owned in scope or granted to the scope's reseller, by
// owner and creation.
func (s *Store) Bouquets(ctx context.Context, sc controlapi.Scope, p controlapi.Page) (l controlapi.List[controlapi.Bouquet], err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		limit, err := limitOf(p)
		if err != nil {
			return err
		}
		c, err := parseCursor(p.After, 3)
		if err != nil {
			return err
		}
		created, err := c.number(1)
		if err != nil {
			return err
		}
		condition, args := visibleBouquet(own(sc))
		var rows []bouquetRow
		if err := t.list(&rows, bouquetColumns+`WHERE (b.path, b.created, b.id) > (?, ?, ?) AND `+condition+` ORDER BY b.path, b.created, b.id LIMIT ?`,
			append(append([]any{c[0], created, c[2]}, args...), limit+1)...); err != nil {
			return err
		}
		l, err = pageOf(rows, limit, t.bouquetOf, func(r *bouquetRow) cursor { return cursor{r.Path, text(r.Created), r.ID} })
		return err
	})
	return l, err
}

// CreateBouquet makes a bouquet of streams that its owner can see.
func (s *Store) CreateBouquet(ctx context.Context, sc controlapi.Scope, in controlapi.BouquetCreate) (b controlapi.Bouquet, err error) {
	err = s.write(ctx, func(t *tx) error {
		id, err := newID(sc, "bouquet", in.ID)
		if err != nil {
			return err
		}
		of, err := t.tenant(sc, in.OwnerID)
		if err != nil {
			return err
		}
		if err := checkName(in.Name); err != nil {
			return err
		}
		err = t.do(`INSERT INTO bouquets (id, owner_id, path, name, created) VALUES (?, ?, ?, ?, ?)`, id, of.id, of.path, in.Name, micros(t.now))
		if err := orExists(err, "bouquet", id); err != nil {
			return err
		}
		if err := t.setBouquetStreams(of, id, in.Streams); err != nil {
			return err
		}
		if b, _, err = t.bouquet(sc, id); err != nil {
			return err
		}
		t.changed = true
		return t.audit(sc, of, "bouquet.create", "bouquet/"+id, nil, b)
	})
	return b, err
}

func (t *tx) setBouquetStreams(of tenant, id string, streams []string) error {
	if err := checkIDs("streams", "stream", streams, controlapi.MaxBouquetStreams); err != nil {
		return err
	}
	if ok, err := t.seesAll(of, streams); err != nil {
		return err
	} else if !ok {
		return controlapi.Invalid("streams", "one of them is not a stream that the bouquet's owner can see")
	}
	if err := t.do(`DELETE FROM bouquet_streams WHERE bouquet_id = ?`, id); err != nil {
		return err
	}
	return t.do(`INSERT INTO bouquet_streams (bouquet_id, stream_id, position) SELECT ?, j.value, j.key FROM {list}`, id, jsonList(streams))
}

// UpdateBouquet changes a bouquet: for all who are granted it, at once.
func (s *Store) UpdateBouquet(ctx context.Context, sc controlapi.Scope, id string, version int64, in controlapi.BouquetUpdate) (b controlapi.Bouquet, err error) {
	err = s.write(ctx, func(t *tx) error {
		before, of, err := t.ownBouquet(sc, id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "bouquet"); err != nil {
			return err
		}
		b = before
		set(&b.Name, in.Name)
		if err := checkName(b.Name); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE bouquets SET name = ?, version = version + 1 WHERE id = ? AND version = ?`, b.Name, id, version)
		if err := changedRow(n, err, "bouquet"); err != nil {
			return err
		}
		if in.Streams != nil {
			if err := t.setBouquetStreams(of, id, *in.Streams); err != nil {
				return err
			}
		}
		if b, _, err = t.bouquet(sc, id); err != nil {
			return err
		}
		t.changed = true
		return t.audit(sc, of, "bouquet.update", "bouquet/"+id, before, b)
	})
	return b, err
}

// DeleteBouquet takes away a bouquet that is in no plan. Grants of it end with it.
func (s *Store) DeleteBouquet(ctx context.Context, sc controlapi.Scope, id string, version int64) error {
	return s.write(ctx, func(t *tx) error {
		before, of, err := t.ownBouquet(sc, id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "bouquet"); err != nil {
			return err
		}
		n, err := t.exec(`DELETE FROM bouquets WHERE id = ? AND version = ?`, id, version)
		if err != nil && faultOf(err) == faultReference {
			return controlapi.Errorf(controlapi.CodeConflict, "plans hold the bouquet; take it out of them first")
		}
		if err := changedRow(n, err, "bouquet"); err != nil {
			return err
		}
		t.changed = true
		return t.audit(sc, of, "bouquet.delete", "bouquet/"+id, before, nil)
	})
}
