package sqlstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/keyring"
)

// idempotencyLife is how long an answer is kept.
const idempotencyLife = 48 * time.Hour

// maxIdempotencyKey bounds a key.
const maxIdempotencyKey = 128

func idempotencyPlace(reseller, key string) keyring.Place {
	sum := sha256.Sum256([]byte(key))
	return keyring.Place{Table: "idempotency", Row: reseller + "/" + hex.EncodeToString(sum[:]), Column: "body"}
}

// Idempotent runs do in a transaction and keeps its answer in it, under the scope's
// reseller and the key: methods that are called with do's context are part of that
// transaction. If there is an answer already it is given, and do is not run. An error
// undoes all and is not kept, so that the request may be tried again.
//
// The error is of CodeIdempotencyKeyReused if the answer is that of another fingerprint,
// and of CodeIdempotencyKeyInFlight if the request is being carried out.
func (s *Store) Idempotent(ctx context.Context, sc controlapi.Scope, key, fingerprint string,
	do func(ctx context.Context) (status int, body []byte, err error),
) (status int, body []byte, replayed bool, err error) {
	switch {
	case key == "":
		return 0, nil, false, controlapi.Errorf(controlapi.CodeIdempotencyKeyMissing, "this request needs an Idempotency-Key, so that it can be sent again safely")
	case len(key) > maxIdempotencyKey:
		return 0, nil, false, controlapi.Invalid("Idempotency-Key", fmt.Sprintf("it has 1 to %d characters", maxIdempotencyKey))
	}
	if err := checkText("Idempotency-Key", key, 1, maxIdempotencyKey); err != nil {
		return 0, nil, false, err
	}
	err = s.write(ctx, func(t *tx) error {
		if status, body, replayed, err = t.answered(sc.ResellerID(), key, fingerprint); err != nil || replayed {
			return err
		}
		if status, body, err = do(context.WithValue(ctx, txKey{}, t)); err != nil {
			return err
		}
		sealed, err := s.keys.Seal(idempotencyPlace(sc.ResellerID(), key), body)
		if err != nil {
			return err
		}
		return t.do(`INSERT INTO idempotency (reseller_id, idem_key, fingerprint, status, body, created) VALUES (?, ?, ?, ?, ?, ?)`,
			sc.ResellerID(), key, fingerprint, status, sealed, micros(t.now))
	})
	return status, body, replayed, err
}

// answered gives the answer that is kept, and takes the key for this transaction if
// there is none. On SQLite writers come one after another, so it is free then.
func (t *tx) answered(reseller, key, fingerprint string) (status int, body []byte, replayed bool, err error) {
	if t.s.dialect == dialectPostgres {
		var free bool
		if err := t.get(&free, `SELECT pg_try_advisory_xact_lock(hashtextextended(?, 0))`, reseller+"\n"+key); err != nil {
			return 0, nil, false, err
		}
		if !free {
			return 0, nil, false, controlapi.Errorf(controlapi.CodeIdempotencyKeyInFlight, "the request with this key is being carried out; ask again in a second")
		}
	}
	var row struct {
		Fingerprint string
		Status      int
		Body        string
		Created     int64
	}
	err = t.get(&row, `SELECT fingerprint, status, body, created FROM idempotency WHERE reseller_id = ? AND idem_key = ?`, reseller, key)
	switch {
	case none(err):
		return 0, nil, false, nil
	case err != nil:
		return 0, nil, false, err
	case row.Created < micros(t.now.Add(-idempotencyLife)):
		return 0, nil, false, t.do(`DELETE FROM idempotency WHERE reseller_id = ? AND idem_key = ?`, reseller, key)
	case row.Fingerprint != fingerprint:
		return 0, nil, false, controlapi.Errorf(controlapi.CodeIdempotencyKeyReused, "this Idempotency-Key came with another request before; take a new one for a new request")
	}
	body, err = t.s.keys.Unseal(idempotencyPlace(reseller, key), row.Body)
	return row.Status, body, true, err
}
