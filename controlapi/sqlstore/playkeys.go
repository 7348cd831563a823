package sqlstore

import (
	"context"
	"fmt"

	"github.com/headrace/headrace/controlapi"
)

type playKeyRow struct {
	ID      string
	UserID  string `db:"user_id"`
	Note    string
	Created int64
}

func (r *playKeyRow) domain() controlapi.PlayKey {
	return controlapi.PlayKey{ID: r.ID, UserID: r.UserID, Note: r.Note, CreatedAt: fromMicros(r.Created)}
}

// PlayKeys lists a user's.
func (s *Store) PlayKeys(ctx context.Context, sc controlapi.Scope, userID string) (keys []controlapi.PlayKey, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		if _, _, err := t.user(sc, userID); err != nil {
			return err
		}
		var rows []playKeyRow
		if err := t.list(&rows, `SELECT id, user_id, note, created FROM play_keys WHERE user_id = ? ORDER BY created, id`, userID); err != nil {
			return err
		}
		keys = make([]controlapi.PlayKey, len(rows))
		for i := range rows {
			keys[i] = rows[i].domain()
		}
		return nil
	})
	return keys, err
}

// CreatePlayKey makes a play key, which is to be had only now.
func (s *Store) CreatePlayKey(ctx context.Context, sc controlapi.Scope, userID, note string) (k controlapi.PlayKey, secret controlapi.Secret, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := checkText("note", note, 0, maxNote); err != nil {
			return err
		}
		_, of, err := t.user(sc, userID)
		if err != nil {
			return err
		}
		var n int64
		if err := t.get(&n, `SELECT COUNT(*) FROM play_keys WHERE user_id = ?`, userID); err != nil {
			return err
		}
		if n >= controlapi.MaxPlayKeys {
			return controlapi.Errorf(controlapi.CodeConflict, "the user has %d play keys, which is the most; delete one", n)
		}
		c := controlapi.NewCredential(controlapi.PlayKeyCredential)
		if err := t.do(`INSERT INTO play_keys (id, user_id, hash, note, created) VALUES (?, ?, ?, ?, ?)`, c.ID, userID, c.Hash[:], note, micros(t.now)); err != nil {
			return err
		}
		k, secret = controlapi.PlayKey{ID: c.ID, UserID: userID, Note: note, CreatedAt: t.now}, c.Text
		return t.audit(sc, of, "play_key.create", fmt.Sprintf("play_key/%s", c.ID), nil, k)
	})
	return k, secret, err
}

// DeletePlayKey ends a play key. Tokens that were issued for it live on until they end.
func (s *Store) DeletePlayKey(ctx context.Context, sc controlapi.Scope, userID, id string) error {
	return s.write(ctx, func(t *tx) error {
		_, of, err := t.user(sc, userID)
		if err != nil {
			return err
		}
		var row playKeyRow
		if err := t.get(&row, `SELECT id, user_id, note, created FROM play_keys WHERE id = ? AND user_id = ?`, id, userID); err != nil {
			return orNotFound(err, "play key")
		}
		if err := t.do(`DELETE FROM play_keys WHERE id = ? AND user_id = ?`, id, userID); err != nil {
			return err
		}
		return t.audit(sc, of, "play_key.delete", "play_key/"+id, row.domain(), nil)
	})
}
