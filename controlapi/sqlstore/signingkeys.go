package sqlstore

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/keyring"
	"github.com/headrace/headrace/controlapi/token"
)

const signingKeyColumns = `SELECT reseller_id, group_id, kid, secret, state, not_after, since_version, created FROM signing_keys `

type signingKeyRow struct {
	ResellerID string `db:"reseller_id"`
	GroupID    string `db:"group_id"`
	KeyID      string `db:"kid"`
	Secret     *string
	State      string
	NotAfter   int64 `db:"not_after"`
	Since      int64 `db:"since_version"`
	Created    int64
}

// domain gives the key, with its secret if that is asked for and there.
func (r *signingKeyRow) domain(keys *keyring.Keyring, withSecret bool) (controlapi.SigningKey, error) {
	k := controlapi.SigningKey{
		ResellerID: r.ResellerID, GroupID: r.GroupID, KeyID: r.KeyID, State: controlapi.KeyState(r.State),
		NotAfter: fromMicros(r.NotAfter), Since: r.Since, CreatedAt: fromMicros(r.Created),
	}
	if withSecret && r.Secret != nil {
		secret, err := keys.Unseal(signingKeyPlace(r.ResellerID, r.GroupID, r.KeyID), *r.Secret)
		if err != nil {
			return k, fmt.Errorf("opening signing key %s/%s: %w", r.ResellerID, r.KeyID, err)
		}
		k.Secret = controlapi.Secret(secret)
	}
	return k, nil
}

func signingKeyPlace(reseller, group, kid string) keyring.Place {
	return keyring.Place{Table: "signing_keys", Row: reseller + "/" + group + "/" + kid, Column: "secret"}
}

// fillSigningKeys gives every pair of reseller and group its key that has none, the
// reserved reseller of the edges among them.
func (t *tx) fillSigningKeys() error {
	var pairs []struct {
		ResellerID string `db:"reseller_id"`
		GroupID    string `db:"group_id"`
	}
	if err := t.list(&pairs, `SELECT r.id AS reseller_id, g.id AS group_id
		FROM (SELECT id FROM resellers UNION ALL SELECT '`+token.EdgeReseller+`') r CROSS JOIN edge_groups g
		WHERE NOT EXISTS (SELECT 1 FROM signing_keys k WHERE k.reseller_id = r.id AND k.group_id = g.id AND k.state = 'current')`); err != nil {
		return err
	}
	for _, p := range pairs {
		if _, err := t.addSigningKey(p.ResellerID, p.GroupID); err != nil {
			return err
		}
	}
	return nil
}

// addSigningKey makes the pair's current key, unless somebody else has just done so. The
// version that shows it first is noted with it.
func (t *tx) addSigningKey(reseller, group string) (kid string, err error) {
	kid = controlapi.NewKeyID()
	sealed, err := t.s.keys.Seal(signingKeyPlace(reseller, group, kid), []byte(controlapi.NewSigningSecret().Reveal()))
	if err != nil {
		return "", err
	}
	n, err := t.exec(`INSERT INTO signing_keys (reseller_id, group_id, kid, secret, state, created) VALUES (?, ?, ?, ?, 'current', ?)
		ON CONFLICT DO NOTHING`, reseller, group, kid, sealed, micros(t.now))
	if err != nil || n == 0 {
		return kid, err
	}
	t.changed = true
	t.atVersion = append(t.atVersion, func(version int64) error {
		return t.do(`UPDATE signing_keys SET since_version = ? WHERE reseller_id = ? AND group_id = ? AND kid = ?`, version, reseller, group, kid)
	})
	return kid, nil
}

// signingTenant is whose keys they are; the edges' own are the operator's.
func (t *tx) signingTenant(sc controlapi.Scope, resellerID string) (tenant, error) {
	if resellerID == token.EdgeReseller {
		if !sc.IsOperator() {
			return tenant{}, controlapi.NotFound("reseller")
		}
		return tenant{token.EdgeReseller, operatorPath}, nil
	}
	return t.tenant(sc, resellerID)
}

// SigningKeys lists a reseller's keys in a group, the current one first. Those that have
// ended are listed without a secret; whoever may read them gets the secrets of the others.
func (s *Store) SigningKeys(ctx context.Context, sc controlapi.Scope, resellerID, groupID string) (keys []controlapi.SigningKey, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		of, err := t.signingTenant(sc, resellerID)
		if err != nil {
			return err
		}
		keys, err = t.signingKeys(of.id, groupID)
		return err
	})
	return keys, err
}

func (t *tx) signingKeys(resellerID, groupID string) ([]controlapi.SigningKey, error) {
	var rows []signingKeyRow
	if err := t.list(&rows, signingKeyColumns+`WHERE reseller_id = ? AND group_id = ?
		ORDER BY CASE state WHEN 'current' THEN 0 WHEN 'previous' THEN 1 ELSE 2 END, created DESC, kid LIMIT 100`, resellerID, groupID); err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, controlapi.NotFound("group") // every pair that exists has a key
	}
	keys := make([]controlapi.SigningKey, len(rows))
	for i := range rows {
		var err error
		if keys[i], err = rows[i].domain(t.s.keys, true); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// RotateSigningKey makes a new current key. The one before it stays good for KeyOverlap,
// and signs until the edges have the new one (PickSigningKey); the next rotation waits
// for its end.
func (s *Store) RotateSigningKey(ctx context.Context, sc controlapi.Scope, resellerID, groupID string) (k controlapi.SigningKey, err error) {
	err = s.write(ctx, func(t *tx) error {
		of, err := t.signingTenant(sc, resellerID)
		if err != nil {
			return err
		}
		keys, err := t.signingKeys(of.id, groupID)
		if err != nil {
			return err
		}
		for _, old := range keys {
			if old.State != controlapi.KeyPrevious {
				continue
			}
			if t.now.Before(old.NotAfter) {
				return controlapi.Errorf(controlapi.CodeConflict, "key %s of the last rotation is good until %s; wait for that, or end it", old.KeyID, old.NotAfter.Format(time.RFC3339))
			}
			if err := t.endSigningKey(old); err != nil {
				return err
			}
		}
		n, err := t.exec(`UPDATE signing_keys SET state = 'previous', not_after = ? WHERE reseller_id = ? AND group_id = ? AND kid = ? AND state = 'current'`,
			micros(t.now.Add(controlapi.KeyOverlap)), of.id, groupID, keys[0].KeyID)
		if err := raced(n, err); err != nil {
			return err
		}
		if k, err = t.newCurrent(of.id, groupID); err != nil {
			return err
		}
		return t.audit(sc, of, "signing_key.rotate", "signing_key/"+of.id+"/"+groupID+"/"+k.KeyID, nil, k)
	})
	return k, err
}

func raced(n int64, err error) error {
	if err == nil && n == 0 || err != nil && faultOf(err) == faultUnique {
		return controlapi.Errorf(controlapi.CodeConflict, "somebody else rotates this key at the same time; look at the keys again")
	}
	return err
}

// newCurrent makes the pair's key and reads it back.
func (t *tx) newCurrent(reseller, group string) (controlapi.SigningKey, error) {
	kid, err := t.addSigningKey(reseller, group)
	if err != nil {
		return controlapi.SigningKey{}, err
	}
	var row signingKeyRow
	if err := t.get(&row, signingKeyColumns+`WHERE reseller_id = ? AND group_id = ? AND kid = ?`, reseller, group, kid); err != nil {
		if none(err) {
			return controlapi.SigningKey{}, raced(0, nil)
		}
		return controlapi.SigningKey{}, err
	}
	return row.domain(t.s.keys, true)
}

func (t *tx) endSigningKey(k controlapi.SigningKey) error {
	t.changed = true
	return t.do(`UPDATE signing_keys SET state = 'revoked', secret = NULL WHERE reseller_id = ? AND group_id = ? AND kid = ?`, k.ResellerID, k.GroupID, k.KeyID)
}

// EndSigningKey ends a key at once, because its secret has leaked: every token that it
// signed is refused. If it is the current one, a new one takes its place.
func (s *Store) EndSigningKey(ctx context.Context, sc controlapi.Scope, resellerID, groupID, kid string) (k controlapi.SigningKey, err error) {
	err = s.write(ctx, func(t *tx) error {
		of, err := t.signingTenant(sc, resellerID)
		if err != nil {
			return err
		}
		var row signingKeyRow
		if err := orNotFound(t.get(&row, signingKeyColumns+`WHERE reseller_id = ? AND group_id = ? AND kid = ?`, of.id, groupID, kid), "signing key"); err != nil {
			return err
		}
		before, err := row.domain(t.s.keys, false)
		if err != nil {
			return err
		}
		if before.State == controlapi.KeyRevoked {
			k = before
			return nil
		}
		if err := t.endSigningKey(before); err != nil {
			return err
		}
		if before.State == controlapi.KeyCurrent {
			if _, err := t.newCurrent(of.id, groupID); err != nil {
				return err
			}
		}
		k = before
		k.State = controlapi.KeyRevoked
		return t.audit(sc, of, "signing_key.end", "signing_key/"+of.id+"/"+groupID+"/"+kid, before, k)
	})
	return k, err
}

// SigningKey gives the key that signs a reseller's tokens in a group now.
func (s *Store) SigningKey(ctx context.Context, resellerID, groupID string) (k controlapi.SigningKey, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		k, err = t.signingKey(resellerID, groupID)
		return err
	})
	return k, err
}

// signingKey is the key that signs now; its KeyID is empty where the pair has none.
func (t *tx) signingKey(resellerID, groupID string) (k controlapi.SigningKey, err error) {
	var rows []signingKeyRow
	if err := t.list(&rows, signingKeyColumns+`WHERE reseller_id = ? AND group_id = ? AND state IN ('current', 'previous')`, resellerID, groupID); err != nil {
		return k, err
	}
	var acked *int64
	if err := t.get(&acked, `SELECT `+lowestAcked+` FROM (SELECT CAST(? AS TEXT) AS id) g`, groupID); err != nil {
		return k, err
	}
	return t.pick(rows, acked)
}

// lowestAcked is the lowest version that the edges of group g which take viewers have
// acknowledged; NULL: there are none.
const lowestAcked = `(SELECT MIN(CASE WHEN e.applied_epoch = v.epoch THEN e.applied_version ELSE 0 END)
	FROM edges e CROSS JOIN config_version v WHERE e.group_id = g.id AND e.state = 'active' AND e.credential_id IS NOT NULL)`

// pick opens the key that signs now.
func (t *tx) pick(rows []signingKeyRow, acked *int64) (controlapi.SigningKey, error) {
	keys := make([]controlapi.SigningKey, len(rows))
	for i := range rows {
		var err error
		if keys[i], err = rows[i].domain(t.s.keys, false); err != nil {
			return controlapi.SigningKey{}, err
		}
	}
	lowest := int64(math.MaxInt64)
	if acked != nil {
		lowest = *acked
	}
	k, ok := controlapi.PickSigningKey(keys, lowest, t.now)
	if !ok {
		return k, nil
	}
	for i := range rows {
		if rows[i].KeyID == k.KeyID {
			return rows[i].domain(t.s.keys, true)
		}
	}
	return k, nil
}
