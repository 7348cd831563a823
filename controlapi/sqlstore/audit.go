package sqlstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/headrace/headrace/controlapi"
)

// tenant is in whose subtree a thing is.
type tenant struct{ id, path string }

// operatorPath is the root's; every path begins with it.
const operatorPath = "/" + controlapi.OperatorID + "/"

// auditRecord is a record that will get its place in the chain at the end of the transaction.
type auditRecord struct {
	scope             controlapi.Scope
	of                tenant
	operation, object string
	diff              []byte
}

// audit notes a change: before is nil for what is new, after for what is gone. Their
// JSON must hold no secret.
func (t *tx) audit(sc controlapi.Scope, of tenant, operation, object string, before, after any) error {
	diff, err := diffOf(before, after)
	if err != nil {
		return fmt.Errorf("writing down %s: %w", operation, err)
	}
	t.records = append(t.records, auditRecord{sc, of, operation, object, diff})
	return nil
}

// diffOf gives the members that differ as {"name": [before, after]}.
func diffOf(before, after any) ([]byte, error) {
	b, err := membersOf(before)
	if err != nil {
		return nil, err
	}
	a, err := membersOf(after)
	if err != nil {
		return nil, err
	}
	diff := make(map[string][2]json.RawMessage)
	for name, value := range b {
		if !bytes.Equal(value, a[name]) {
			diff[name] = [2]json.RawMessage{value, a[name]}
		}
	}
	for name, value := range a {
		if _, ok := b[name]; !ok {
			diff[name] = [2]json.RawMessage{nil, value}
		}
	}
	return json.Marshal(diff)
}

func membersOf(x any) (map[string]json.RawMessage, error) {
	if x == nil {
		return nil, nil
	}
	text, err := json.Marshal(x)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	return members, json.Unmarshal(text, &members)
}

type auditRow struct {
	Seq        int64
	Created    int64
	Actor      string
	ResellerID string `db:"reseller_id"`
	Path       string
	Operation  string
	Object     string
	Diff       string
	RequestID  string `db:"request_id"`
	PrevHash   string `db:"prev_hash"`
	Hash       string
}

// sum is the record's hash: over all of it but the hash itself, each member with its
// length, so that nothing can move from one member to the next.
func (r *auditRow) sum() string {
	h := sha256.New()
	for _, member := range []string{text(r.Seq), text(r.Created), r.Actor, r.ResellerID, r.Path, r.Operation, r.Object, r.Diff, r.RequestID, r.PrevHash} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(member), member)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (t *tx) writeAudit() error {
	if len(t.records) == 0 {
		return nil
	}
	var head struct {
		Seq  int64
		Hash string
	}
	if err := t.get(&head, `UPDATE audit_head SET seq = seq + ? WHERE id = 1 RETURNING seq, hash`, len(t.records)); err != nil {
		return fmt.Errorf("locking the audit: %w", err)
	}
	first := head.Seq - int64(len(t.records)) + 1
	for i, rec := range t.records {
		r := auditRow{
			Seq: first + int64(i), Created: micros(t.now), Actor: rec.scope.Actor(), ResellerID: rec.of.id, Path: rec.of.path,
			Operation: rec.operation, Object: rec.object, Diff: string(rec.diff), RequestID: rec.scope.RequestID(), PrevHash: head.Hash,
		}
		r.Hash = r.sum()
		head.Hash = r.Hash
		if err := t.do(`INSERT INTO audit (seq, created, actor, reseller_id, path, operation, object, diff, request_id, prev_hash, hash)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.Seq, r.Created, r.Actor, r.ResellerID, r.Path, r.Operation, r.Object, r.Diff, r.RequestID, r.PrevHash, r.Hash); err != nil {
			return fmt.Errorf("writing the audit: %w", err)
		}
	}
	t.records = nil
	return nil
}

// Audit lists the changes in scope, newest first.
func (s *Store) Audit(ctx context.Context, sc controlapi.Scope, p controlapi.Page) (l controlapi.List[controlapi.AuditRecord], err error) {
	err = s.read(ctx, func(t *tx) error {
		limit, err := limitOf(p)
		if err != nil {
			return err
		}
		c, err := parseCursor(p.After, 1)
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
		var rows []auditRow
		const columns = `SELECT seq, created, actor, reseller_id, path, operation, object, diff, request_id, prev_hash, hash FROM audit WHERE seq < ? `
		if sc.IsOperator() {
			err = t.list(&rows, columns+`ORDER BY seq DESC LIMIT ?`, before, limit+1)
		} else {
			err = t.list(&rows, columns+`AND path >= ? AND path < ? ORDER BY seq DESC LIMIT ?`, before, sc.Path(), after(sc.Path()), limit+1)
		}
		if err != nil {
			return err
		}
		l, err = pageOf(rows, limit, func(r *auditRow) (controlapi.AuditRecord, error) { return r.domain(), nil },
			func(r *auditRow) cursor { return cursor{text(r.Seq)} })
		return err
	})
	return l, err
}

func (r *auditRow) domain() controlapi.AuditRecord {
	return controlapi.AuditRecord{
		Seq: r.Seq, Time: fromMicros(r.Created), Actor: r.Actor, ResellerID: r.ResellerID, Path: r.Path, Operation: r.Operation, Object: r.Object,
		Diff: json.RawMessage(r.Diff), RequestID: r.RequestID, PrevHash: r.PrevHash, Hash: r.Hash,
	}
}

// VerifyAudit reads the whole chain and tells the first record that is not what was
// written; nil if there is none. It is the operator's.
func (s *Store) VerifyAudit(ctx context.Context, sc controlapi.Scope) error {
	return s.snapshot(ctx, func(t *tx) error {
		if err := operatorOnly(sc); err != nil {
			return err
		}
		var head struct {
			Seq  int64
			Hash string
		}
		if err := t.get(&head, `SELECT seq, hash FROM audit_head WHERE id = 1`); err != nil {
			return err
		}
		seq, prev := int64(0), ""
		for {
			var rows []auditRow
			if err := t.list(&rows, `SELECT seq, created, actor, reseller_id, path, operation, object, diff, request_id, prev_hash, hash
				FROM audit WHERE seq > ? ORDER BY seq LIMIT 1000`, seq); err != nil {
				return err
			}
			for _, r := range rows {
				if r.Seq != seq+1 || r.PrevHash != prev || r.Hash != r.sum() {
					return controlapi.Errorf(controlapi.CodeConflict, "the audit is broken behind record %d: a record was changed, added or taken out", seq)
				}
				seq, prev = r.Seq, r.Hash
			}
			if len(rows) == 0 {
				break
			}
		}
		if seq != head.Seq || prev != head.Hash {
			return controlapi.Errorf(controlapi.CodeConflict, "the audit ends at record %d, but %d were written", seq, head.Seq)
		}
		return nil
	})
}
