package sqlstore

import (
	"context"
	"crypto/subtle"
	"strings"
	"unicode/utf8"

	"github.com/headrace/headrace/controlapi"
)

// NewJoinCode gives an edge a new join code in place of the last one. Its credential, if
// it has one, stays good until the code is redeemed.
func (s *Store) NewJoinCode(ctx context.Context, sc controlapi.Scope, id string, version int64) (e controlapi.Edge, code controlapi.Secret, err error) {
	err = s.write(ctx, func(t *tx) error {
		before, err := t.edge(sc, id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "edge"); err != nil {
			return err
		}
		join := controlapi.NewCredential(controlapi.JoinCode)
		n, err := t.exec(`UPDATE edges SET join_id = ?, join_hash = ?, join_expires = ?, version = version + 1 WHERE id = ? AND version = ?`,
			join.ID, join.Hash[:], micros(t.now.Add(joinCodeLife)), id, version)
		if err := changedRow(n, err, "edge"); err != nil {
			return err
		}
		if e, err = t.edge(sc, id); err != nil {
			return err
		}
		code = join.Text
		return t.audit(sc, operatorTenant, "edge.join_code", "edge/"+id, before, e)
	})
	return e, code, err
}

// RedeemJoinCode turns a join code into the edge's credential, once. A revoked edge is
// active again by it.
func (s *Store) RedeemJoinCode(ctx context.Context, code string) (e controlapi.Edge, credential controlapi.Secret, err error) {
	id, hash, ok := controlapi.ParseCredential(controlapi.JoinCode, code)
	if !ok {
		return e, "", errJoinCode
	}
	err = s.write(ctx, func(t *tx) error {
		var row struct {
			ID      string
			Hash    []byte `db:"join_hash"`
			Expires int64  `db:"join_expires"`
		}
		if err := ignoreNone(t.get(&row, `SELECT id, join_hash, join_expires FROM edges WHERE join_id = ?`, id)); err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(row.Hash, hash[:]) != 1 || micros(t.now) > row.Expires {
			return errJoinCode
		}
		c := controlapi.NewCredential(controlapi.EdgeCredential)
		probe, err := t.s.keys.Seal(probeKeyPlace(row.ID), controlapi.ProbeKey(c.Text))
		if err != nil {
			return err
		}
		// Of two that redeem it at once, one finds it there.
		n, err := t.exec(`UPDATE edges SET credential_id = ?, credential_hash = ?, probe_key = ?, join_id = NULL, join_hash = NULL, join_expires = 0,
			state = CASE state WHEN 'revoked' THEN 'active' ELSE state END,
			applied_epoch = 0, applied_version = 0, applied_at = 0, version = version + 1 WHERE join_id = ?`, c.ID, c.Hash[:], probe, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return errJoinCode
		}
		if e, err = t.edge(s.LocalOperator(), row.ID); err != nil {
			return err
		}
		credential = c.Text
		t.changed = true
		actor := controlapi.NewScope("edge/"+row.ID, controlapi.OperatorID, operatorPath, nil)
		return t.audit(actor, operatorTenant, "edge.join", "edge/"+row.ID, nil, map[string]string{"credential_id": c.ID})
	})
	return e, credential, err
}

var errJoinCode = controlapi.Errorf(controlapi.CodeUnauthenticated, "the join code is not known, has expired or was used; make a new one for the edge")

// RecordAck notes what an edge says of a version that it was given.
func (s *Store) RecordAck(ctx context.Context, edgeID string, a controlapi.Ack) error {
	return s.write(ctx, func(t *tx) error {
		var n int64
		var err error
		if a.Rejected == "" {
			// One that comes late does not take back what was applied since.
			n, err = t.exec(`UPDATE edges SET applied_version = CASE WHEN applied_epoch < ? OR applied_version < ? THEN ? ELSE applied_version END,
				applied_epoch = CASE WHEN applied_epoch < ? THEN ? ELSE applied_epoch END, applied_at = ? WHERE id = ?`,
				a.Epoch, a.Version, a.Version, a.Epoch, a.Epoch, micros(t.now), edgeID)
		} else {
			n, err = t.exec(`UPDATE edges SET rejected_epoch = ?, rejected_version = ?, rejected_reason = ?, rejected_at = ? WHERE id = ?`,
				a.Epoch, a.Version, cut(a.Rejected, controlapi.MaxReason), micros(t.now), edgeID)
		}
		if err == nil && n == 0 {
			err = controlapi.NotFound("edge")
		}
		return err
	})
}

// cut shortens a text to so many octets, and to what can be shown.
func cut(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// likeEscape keeps a text from being read as a pattern; ids hold one such character.
var likeEscape = strings.NewReplacer("_", `\_`)
