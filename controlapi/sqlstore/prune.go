package sqlstore

import (
	"context"
	"time"
)

// EventLife is how long events are kept.
const EventLife = 30 * 24 * time.Hour

// Prune takes away what has lost its use: denials and answers to requests that are past
// their time, secrets of keys that have ended, old events, instances that are gone.
func (s *Store) Prune(ctx context.Context) error {
	return s.write(ctx, func(t *tx) error {
		for _, old := range []struct {
			query string
			until time.Time
		}{
			{`DELETE FROM denials WHERE until < ?`, t.now},
			{`DELETE FROM idempotency WHERE created < ?`, t.now.Add(-idempotencyLife)},
			{`DELETE FROM events WHERE created < ?`, t.now.Add(-EventLife)},
			{`DELETE FROM instances WHERE until < ?`, t.now.Add(-time.Hour)},
			{`UPDATE edges SET join_id = NULL, join_hash = NULL, join_expires = 0 WHERE join_expires <> 0 AND join_expires < ?`, t.now},
			{`UPDATE signing_keys SET state = 'revoked', secret = NULL WHERE state = 'previous' AND not_after < ?`, t.now},
		} {
			if err := t.do(old.query, micros(old.until)); err != nil {
				return err
			}
		}
		return nil
	})
}
