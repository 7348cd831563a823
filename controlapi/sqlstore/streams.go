package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/keyring"
)

const streamColumns = `SELECT s.id, s.owner_id, s.path, s.group_id, s.name, s.name_key, s.spec, s.sources, s.pin_primary, s.pin_relays, s.version, s.created FROM streams s `

type streamRow struct {
	ID         string
	OwnerID    string `db:"owner_id"`
	Path       string
	GroupID    string `db:"group_id"`
	Name       string
	NameKey    string `db:"name_key"`
	Spec       string
	Sources    string
	PinPrimary string `db:"pin_primary"`
	PinRelays  string `db:"pin_relays"`
	Version    int64
	Created    int64
}

func sourcesPlace(stream string) keyring.Place {
	return keyring.Place{Table: "streams", Row: stream, Column: "sources"}
}

// streamOf opens a stream, its sources included.
func (t *tx) streamOf(r *streamRow) (controlapi.Stream, error) {
	s := controlapi.Stream{
		ID: r.ID, OwnerID: r.OwnerID, GroupID: r.GroupID, Name: r.Name, Pin: controlapi.Pin{Primary: r.PinPrimary},
		Version: r.Version, CreatedAt: fromMicros(r.Created),
	}
	if err := json.Unmarshal([]byte(r.Spec), &s.StreamSpec); err != nil {
		return s, fmt.Errorf("reading stream %s: %w", r.ID, err)
	}
	sources, err := t.s.keys.Unseal(sourcesPlace(r.ID), r.Sources)
	if err != nil {
		return s, fmt.Errorf("opening the sources of stream %s: %w", r.ID, err)
	}
	if s.Sources, err = fromJSONList(string(sources)); err != nil {
		return s, fmt.Errorf("reading the sources of stream %s: %w", r.ID, err)
	}
	s.Pin.Relays, err = fromJSONList(r.PinRelays)
	return s, err
}

// shown is a stream as the scope may see it: who is not above its owner sees no passwords.
func (t *tx) shown(sc controlapi.Scope) func(*streamRow) (controlapi.Stream, error) {
	return func(r *streamRow) (controlapi.Stream, error) {
		s, err := t.streamOf(r)
		if err == nil && !sc.Contains(r.Path) {
			s.StreamSpec, s.SourcesMasked = s.Masked(), true
		}
		return s, err
	}
}

func (t *tx) streamRow(sc controlapi.Scope, id string) (streamRow, error) {
	var row streamRow
	condition, args := visible(sc.Path())
	err := t.get(&row, streamColumns+`WHERE s.id = ? AND `+condition, append([]any{id}, args...)...)
	return row, orNotFound(err, "stream")
}

// ownStream gives a stream to those who may change it: it must be owned in scope.
func (t *tx) ownStream(sc controlapi.Scope, id string) (controlapi.Stream, tenant, error) {
	row, err := t.streamRow(sc, id)
	if err != nil {
		return controlapi.Stream{}, tenant{}, err
	}
	if !sc.Contains(row.Path) {
		return controlapi.Stream{}, tenant{}, controlapi.Errorf(controlapi.CodeForbidden, "the stream belongs to a reseller above")
	}
	s, err := t.streamOf(&row)
	return s, tenant{row.OwnerID, row.Path}, err
}

// Stream gives one that is owned in scope or granted to the scope's reseller.
func (s *Store) Stream(ctx context.Context, sc controlapi.Scope, id string) (x controlapi.Stream, err error) {
	err = s.read(ctx, func(t *tx) error {
		row, err := t.streamRow(sc, id)
		if err != nil {
			return err
		}
		x, err = t.shown(sc)(&row)
		return err
	})
	return x, err
}

// Streams lists those that are owned in scope or granted to the scope's reseller, by
// creation; by name where names are searched for.
func (s *Store) Streams(ctx context.Context, sc controlapi.Scope, f controlapi.StreamFilter, p controlapi.Page) (l controlapi.List[controlapi.Stream], err error) {
	err = s.read(ctx, func(t *tx) error {
		limit, err := limitOf(p)
		if err != nil {
			return err
		}
		c, err := parseCursor(p.After, 2)
		if err != nil {
			return err
		}
		query, args := visible(sc.Path())
		if f.GroupID != "" {
			query, args = query+` AND s.group_id = ?`, append(args, f.GroupID)
		}
		var rows []streamRow
		if f.NamePrefix != "" {
			if err := checkText("name", f.NamePrefix, 1, maxName); err != nil {
				return err
			}
			key := nameKey(f.NamePrefix)
			err = t.list(&rows, streamColumns+`WHERE `+query+` AND s.name_key >= ? AND s.name_key < ? AND (s.name_key, s.id) > (?, ?) ORDER BY s.name_key, s.id LIMIT ?`,
				append(args, key, behind(key), c[0], c[1], limit+1)...)
		} else {
			var created int64
			if created, err = c.number(0); err != nil {
				return err
			}
			err = t.list(&rows, streamColumns+`WHERE `+query+` AND (s.created, s.id) > (?, ?) ORDER BY s.created, s.id LIMIT ?`,
				append(args, created, c[1], limit+1)...)
		}
		if err != nil {
			return err
		}
		l, err = pageOf(rows, limit, t.shown(sc), func(r *streamRow) cursor {
			if f.NamePrefix != "" {
				return cursor{r.NameKey, r.ID}
			}
			return cursor{text(r.Created), r.ID}
		})
		return err
	})
	return l, err
}

// columns are the spec as it is kept: the sources sealed, the rest as JSON.
func (t *tx) columns(id string, spec controlapi.StreamSpec) (text, sources string, err error) {
	sources, err = t.s.keys.Seal(sourcesPlace(id), []byte(jsonList(spec.Sources)))
	if err != nil {
		return "", "", err
	}
	spec.Sources = nil
	b, err := json.Marshal(spec)
	return string(b), sources, err
}

// masked is a stream for the audit.
func masked(s controlapi.Stream) controlapi.Stream {
	s.StreamSpec = s.Masked()
	return s
}

// CreateStream makes a stream. A reseller may own as many as the operator lets it.
func (s *Store) CreateStream(ctx context.Context, sc controlapi.Scope, in controlapi.StreamCreate) (x controlapi.Stream, err error) {
	err = s.write(ctx, func(t *tx) error {
		id, err := newID(sc, "stream", in.ID)
		if err != nil {
			return err
		}
		of, err := t.tenant(sc, in.OwnerID)
		if err != nil {
			return err
		}
		if in.GroupID == "" {
			in.GroupID = controlapi.DefaultGroupID
		}
		if err := checkName(in.Name); err != nil {
			return err
		}
		if err := in.Check(sc.IsOperator()); err != nil {
			return err
		}
		if _, err := t.group(in.GroupID); err != nil {
			return controlapi.Invalid("group_id", "there is no such group")
		}
		if err := t.mayOwnStream(of); err != nil {
			return err
		}
		spec, sources, err := t.columns(id, in.StreamSpec)
		if err != nil {
			return err
		}
		err = t.do(`INSERT INTO streams (id, owner_id, path, group_id, name, name_key, spec, sources, on_demand, replicas, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			id, of.id, of.path, in.GroupID, in.Name, nameKey(in.Name), spec, sources, in.OnDemand, in.Replicas, micros(t.now))
		if err := orExists(err, "stream", id); err != nil {
			return err
		}
		if err := t.do(`INSERT INTO assignments (stream_id) VALUES (?)`, id); err != nil {
			return err
		}
		if x, _, err = t.ownStream(sc, id); err != nil {
			return err
		}
		t.changed = true
		return t.audit(sc, of, "stream.create", "stream/"+id, nil, masked(x))
	})
	return x, err
}

// mayOwnStream tells whether an owner may have one more; its row is locked, so that two
// at once do not both take the last place.
func (t *tx) mayOwnStream(of tenant) error {
	if of.id == controlapi.OperatorID {
		return nil
	}
	var most, has int64
	if err := t.get(&most, `SELECT max_streams FROM resellers WHERE id = ? {lock}`, of.id); err != nil {
		return err
	}
	if err := t.get(&has, `SELECT COUNT(*) FROM streams WHERE owner_id = ?`, of.id); err != nil {
		return err
	}
	if has >= most {
		return controlapi.Errorf(controlapi.CodeConflict, "the reseller owns %d streams of %d that it may own; the operator can raise that", has, most)
	}
	return nil
}

// UpdateStream changes a stream.
func (s *Store) UpdateStream(ctx context.Context, sc controlapi.Scope, id string, version int64, in controlapi.StreamUpdate) (x controlapi.Stream, err error) {
	err = s.write(ctx, func(t *tx) error {
		before, of, err := t.ownStream(sc, id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "stream"); err != nil {
			return err
		}
		x = before
		set(&x.Name, in.Name)
		set(&x.StreamSpec, in.Spec)
		if err := checkName(x.Name); err != nil {
			return err
		}
		if err := x.Check(sc.IsOperator()); err != nil {
			return err
		}
		spec, sources, err := t.columns(id, x.StreamSpec)
		if err != nil {
			return err
		}
		n, err := t.exec(`UPDATE streams SET name = ?, name_key = ?, spec = ?, sources = ?, on_demand = ?, replicas = ?, version = version + 1 WHERE id = ? AND version = ?`,
			x.Name, nameKey(x.Name), spec, sources, x.OnDemand, x.Replicas, id, version)
		if err := changedRow(n, err, "stream"); err != nil {
			return err
		}
		x.Version++
		t.changed = true
		return t.audit(sc, of, "stream.update", "stream/"+id, masked(before), changedStream(before, x))
	})
	return x, err
}

// changedStream is a stream for the audit after a change. It tells that a password in
// the sources was changed, but not what it is.
func changedStream(before, now controlapi.Stream) any {
	was, is := masked(before), masked(now)
	return struct {
		controlapi.Stream
		Hidden bool `json:"hidden_part_changed,omitempty"`
	}{is, !slices.Equal(before.Sources, now.Sources) && slices.Equal(was.Sources, is.Sources)}
}

// DeleteStream takes a stream away, out of all bouquets and grants, too.
func (s *Store) DeleteStream(ctx context.Context, sc controlapi.Scope, id string, version int64) error {
	return s.write(ctx, func(t *tx) error {
		before, of, err := t.ownStream(sc, id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "stream"); err != nil {
			return err
		}
		n, err := t.exec(`DELETE FROM streams WHERE id = ? AND version = ?`, id, version)
		if err := changedRow(n, err, "stream"); err != nil {
			return err
		}
		t.changed = true
		return t.audit(sc, of, "stream.delete", "stream/"+id, masked(before), nil)
	})
}
