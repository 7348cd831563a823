package sqlstore

import (
	"context"
	"slices"

	"github.com/headrace/headrace/controlapi"
)

const assignmentColumns = `SELECT s.id, s.path, s.group_id, s.pin_primary, s.pin_relays, s.replicas, s.on_demand, s.created,
	a.rev, a.primary_edge, a.relays, a.min_msn, a.min_discontinuity, a.moved FROM streams s JOIN assignments a ON a.stream_id = s.id `

type assignmentRow struct {
	ID               string
	Path             string
	GroupID          string `db:"group_id"`
	PinPrimary       string `db:"pin_primary"`
	PinRelays        string `db:"pin_relays"`
	Replicas         int
	OnDemand         bool `db:"on_demand"`
	Created          int64
	Rev              int64
	Primary          string `db:"primary_edge"`
	Relays           string
	MinMSN           int64 `db:"min_msn"`
	MinDiscontinuity int64 `db:"min_discontinuity"`
	Moved            int64
}

func (r *assignmentRow) domain() (a controlapi.Assignment, err error) {
	a = controlapi.Assignment{
		StreamID: r.ID, GroupID: r.GroupID, Rev: r.Rev, Primary: r.Primary, MinMSN: r.MinMSN, MinDiscontinuity: r.MinDiscontinuity,
		Pin: controlapi.Pin{Primary: r.PinPrimary}, Replicas: r.Replicas, OnDemand: r.OnDemand, MovedAt: fromMicros(r.Moved),
	}
	if a.Relays, err = fromJSONList(r.Relays); err != nil {
		return a, err
	}
	a.Pin.Relays, err = fromJSONList(r.PinRelays)
	return a, err
}

// Assignment tells which edges carry a stream. It is the operator's.
func (s *Store) Assignment(ctx context.Context, sc controlapi.Scope, streamID string) (a controlapi.Assignment, err error) {
	err = s.read(ctx, func(t *tx) error {
		if err := operatorOnly(sc); err != nil {
			return err
		}
		var row assignmentRow
		if err := orNotFound(t.get(&row, assignmentColumns+`WHERE s.id = ?`, streamID), "stream"); err != nil {
			return err
		}
		a, err = row.domain()
		return err
	})
	return a, err
}

// Assignments lists them by the creation of their streams, those of one group if it is
// not empty. They are the operator's.
func (s *Store) Assignments(ctx context.Context, sc controlapi.Scope, groupID string, p controlapi.Page) (l controlapi.List[controlapi.Assignment], err error) {
	err = s.read(ctx, func(t *tx) error {
		if err := operatorOnly(sc); err != nil {
			return err
		}
		limit, err := limitOf(p)
		if err != nil {
			return err
		}
		c, err := parseCursor(p.After, 2)
		if err != nil {
			return err
		}
		created, err := c.number(0)
		if err != nil {
			return err
		}
		query, args := `WHERE (s.created, s.id) > (?, ?)`, []any{created, c[1]}
		if groupID != "" {
			query, args = query+` AND s.group_id = ?`, append(args, groupID)
		}
		var rows []assignmentRow
		if err := t.list(&rows, assignmentColumns+query+` ORDER BY s.created, s.id LIMIT ?`, append(args, limit+1)...); err != nil {
			return err
		}
		l, err = pageOf(rows, limit, (*assignmentRow).domain, func(r *assignmentRow) cursor { return cursor{text(r.Created), r.ID} })
		return err
	})
	return l, err
}

// AllAssignments gives those of every stream, by id.
func (s *Store) AllAssignments(ctx context.Context) (all []controlapi.Assignment, err error) {
	err = s.read(ctx, func(t *tx) error {
		var rows []assignmentRow
		if err := t.list(&rows, assignmentColumns+`ORDER BY s.id`); err != nil {
			return err
		}
		all = make([]controlapi.Assignment, len(rows))
		for i := range rows {
			if all[i], err = rows[i].domain(); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// CommitAssignment gives a stream to other edges, if its assignment is still at fromRev.
// False: somebody else was faster, or the stream is gone.
func (s *Store) CommitAssignment(ctx context.Context, streamID string, fromRev int64, primary string, relays []string) (done bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE assignments SET rev = rev + 1, primary_edge = ?, relays = ?, moved = ? WHERE stream_id = ? AND rev = ?`,
			primary, jsonList(relays), micros(t.now), streamID, fromRev)
		done = n > 0
		t.changed = t.changed || done
		return err
	})
	return done && err == nil, err
}

// RaiseNumbers notes the highest numbers that edges reported: a packager that finds
// nobody with the stream's window goes on above them. They never go back.
func (s *Store) RaiseNumbers(ctx context.Context, numbers []controlapi.Numbers) error {
	numbers = slices.Clone(numbers)
	slices.SortFunc(numbers, func(a, b controlapi.Numbers) int { // rows are locked in one order
		if a.StreamID < b.StreamID {
			return -1
		}
		return 1
	})
	return s.write(ctx, func(t *tx) error {
		for _, x := range numbers {
			n, err := t.exec(`UPDATE assignments SET min_msn = CASE WHEN min_msn < ? THEN ? ELSE min_msn END,
				min_discontinuity = CASE WHEN min_discontinuity < ? THEN ? ELSE min_discontinuity END
				WHERE stream_id = ? AND (min_msn < ? OR min_discontinuity < ?)`,
				x.MSN+1, x.MSN+1, x.Discontinuity+1, x.Discontinuity+1, x.StreamID, x.MSN+1, x.Discontinuity+1)
			if err != nil {
				return err
			}
			t.changed = t.changed || n > 0
		}
		return nil
	})
}

// PinStream fixes a stream's edges, or leaves them to the control plane again if the pin
// is the zero one. It is the operator's.
func (s *Store) PinStream(ctx context.Context, sc controlapi.Scope, streamID string, version int64, pin controlapi.Pin) (x controlapi.Stream, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := operatorOnly(sc); err != nil {
			return err
		}
		before, of, err := t.ownStream(sc, streamID)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "stream"); err != nil {
			return err
		}
		if err := t.checkPin(before.GroupID, pin); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE streams SET pin_primary = ?, pin_relays = ?, version = version + 1 WHERE id = ? AND version = ?`,
			pin.Primary, jsonList(pin.Relays), streamID, version)
		if err := changedRow(n, err, "stream"); err != nil {
			return err
		}
		if x, _, err = t.ownStream(sc, streamID); err != nil {
			return err
		}
		return t.audit(sc, of, "stream.pin", "stream/"+streamID, masked(before), masked(x))
	})
	return x, err
}

func (t *tx) checkPin(groupID string, pin controlapi.Pin) error {
	edges := slices.Clone(pin.Relays)
	if pin.Primary != "" {
		edges = append(edges, pin.Primary)
	} else if len(edges) > 0 {
		return controlapi.Invalid("primary", "relays are pinned together with a primary only")
	}
	if err := checkIDs("relays", "edge", edges, controlapi.MaxReplicas); err != nil {
		return err
	}
	var known int
	if err := t.get(&known, `SELECT COUNT(*) FROM {list} JOIN edges e ON e.id = j.value WHERE e.group_id = ?`, jsonList(edges), groupID); err != nil {
		return err
	}
	if known != len(edges) {
		return controlapi.Invalid("relays", "one of the edges is not in the stream's group")
	}
	return nil
}
