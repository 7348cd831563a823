package sqlstore

import (
	"context"
	"encoding/json"

	"github.com/headrace/headrace/controlapi"
)

type eventRow struct {
	ID         string
	Created    int64
	Kind       string
	Subject    string
	ResellerID string `db:"reseller_id"`
	Reason     string
	Data       string
}

func (r *eventRow) domain() (controlapi.Event, error) {
	return controlapi.Event{
		ID: r.ID, Time: fromMicros(r.Created), Kind: r.Kind, Subject: r.Subject, ResellerID: r.ResellerID, Reason: r.Reason, Data: json.RawMessage(r.Data),
	}, nil
}

// AddEvent notes what happened. Its id and time are set here; an empty reseller is the operator.
func (s *Store) AddEvent(ctx context.Context, e controlapi.Event) error {
	return s.write(ctx, func(t *tx) error {
		if e.ResellerID == "" {
			e.ResellerID = controlapi.OperatorID
		}
		if len(e.Data) == 0 {
			e.Data = json.RawMessage("{}")
		}
		n, err := t.exec(`INSERT INTO events (id, created, kind, subject, reseller_id, path, reason, data)
			SELECT ?, ?, ?, ?, r.id, r.path, ?, ? FROM resellers r WHERE r.id = ?`,
			controlapi.NewID(), micros(t.now), cut(e.Kind, maxName), cut(e.Subject, maxName), cut(e.Reason, controlapi.MaxReason), string(e.Data), e.ResellerID)
		if err == nil && n == 0 {
			err = controlapi.NotFound("reseller")
		}
		return err
	})
}

// Events lists what happened in scope, newest first.
func (s *Store) Events(ctx context.Context, sc controlapi.Scope, f controlapi.EventFilter, p controlapi.Page) (l controlapi.List[controlapi.Event], err error) {
	err = s.read(ctx, func(t *tx) error {
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
		query, args := `WHERE (created, id) < (?, ?)`, []any{before, c[1]}
		if !sc.IsOperator() {
			query, args = query+` AND path >= ? AND path < ?`, append(args, sc.Path(), after(sc.Path()))
		}
		if f.Subject != "" {
			query, args = query+` AND subject = ?`, append(args, f.Subject)
		}
		var rows []eventRow
		if err := t.list(&rows, `SELECT id, created, kind, subject, reseller_id, reason, data FROM events `+query+` ORDER BY created DESC, id DESC LIMIT ?`,
			append(args, limit+1)...); err != nil {
			return err
		}
		l, err = pageOf(rows, limit, (*eventRow).domain, func(r *eventRow) cursor { return cursor{text(r.Created), r.ID} })
		return err
	})
	return l, err
}
