package sqlstore

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/keyring"
)

// TestManyStart: of eight that start on one empty database, one migrates, and all find it whole.
func TestManyStart(t *testing.T) {
	t.Parallel()
	for _, d := range []dialect{dialectSQLite, dialectPostgres} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			database, keys := newDatabase(t, d), testKeys(t)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					s, err := Open(context.Background(), database, keys, Options{MaxConnections: 4})
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := s.CreateReseller(t.Context(), s.LocalOperator(), controlapi.ResellerCreate{Name: "x"}); err != nil {
						t.Error(err)
					}
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			s := openWith(t, database, keys, Options{})
			if l := must(s.Resellers(t.Context(), s.LocalOperator(), "", controlapi.Page{}))(t); len(l.Items) != 9 {
				t.Errorf("got %d resellers, want 9", len(l.Items))
			}
			keysOf := must(s.SigningKeys(t.Context(), s.LocalOperator(), controlapi.OperatorID, controlapi.DefaultGroupID))(t)
			if len(keysOf) != 1 {
				t.Errorf("got %d signing keys of the operator, want 1", len(keysOf))
			}
			wantCode(t, s.VerifyAudit(t.Context(), s.LocalOperator()), "")
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	const canary = "canary-password"
	for _, tt := range []struct{ name, database string }{
		{"another database", "mysql://user:" + canary + "@host/db"},
		{"a URL that is none", "postgres://user:" + canary + "@host:port:5/db?%zz"},
		{"a server that is not there", "postgres://user:" + canary + "@127.0.0.1:1/db"},
		{"nothing", ""},
		{"a folder", t.TempDir()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(t.Context(), tt.database, testKeys(t), Options{})
			if err == nil || strings.Contains(err.Error(), canary) {
				t.Errorf("got %v, want an error without the password", err)
			}
		})
	}
}

// TestNoSecretInDump: whoever takes the database, without the key file, has no secret.
func TestNoSecretInDump(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx, op := t.Context(), s.LocalOperator()
		const canary = "canary-4711"
		spec := controlapi.DefaultStreamSpec("https://user:" + canary + "@origin.example/x?token=" + canary)
		spec.Sources = append(spec.Sources, "rtmp://origin.example/app/"+canary, "udp://"+canary+"@239.0.0.1:1234")
		x := must(s.CreateStream(ctx, op, controlapi.StreamCreate{Name: "News", StreamSpec: spec}))(t)
		spec.Sources[0] = "https://user:" + canary + "-2@origin.example/x?token=" + canary
		x = must(s.UpdateStream(ctx, op, x.ID, x.Version, controlapi.StreamUpdate{Spec: &spec}))(t)
		plan := must(s.CreatePlan(ctx, op, controlapi.PlanCreate{Name: "Free", Duration: time.Hour}))(t)
		u := must(s.CreateUser(ctx, op, controlapi.UserCreate{Name: "Ann", PlanID: plan.ID}))(t)
		_, code, err := s.CreateEdge(ctx, op, controlapi.EdgeCreate{ID: "edge-1", URL: "https://edge-1.example"})
		if err != nil {
			t.Fatal(err)
		}
		_, credential, err := s.RedeemJoinCode(ctx, code.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		_, apiKey, err := s.CreateAPIKey(ctx, op, controlapi.APIKeyCreate{Name: "k", Permissions: controlapi.Permissions()})
		if err != nil {
			t.Fatal(err)
		}
		var playKey controlapi.Secret
		if _, _, _, err := s.Idempotent(ctx, op, "key", "f", func(ctx context.Context) (int, []byte, error) {
			_, playKey, err = s.CreatePlayKey(ctx, op, u.ID, "tv")
			return 201, []byte(playKey.Reveal()), err
		}); err != nil {
			t.Fatal(err)
		}
		signing := must(s.RotateSigningKey(ctx, op, controlapi.OperatorID, controlapi.DefaultGroupID))(t)
		secrets := []string{canary, signing.Secret.Reveal(), string(controlapi.ProbeKey(credential))}
		for _, c := range []controlapi.Secret{code, credential, apiKey, playKey} {
			secrets = append(secrets, c.Reveal()[13:])
		}
		text := dump(t, s)
		if !strings.Contains(text, x.ID) {
			t.Fatal("the dump holds nothing")
		}
		for i, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("secret %d is in the dump", i)
			}
		}
		if !strings.Contains(text, "hidden_part_changed") {
			t.Error("the audit does not tell that the password was changed")
		}
	})
}

// dump is every value of every table as text.
func dump(t *testing.T, s *Store) string {
	t.Helper()
	tables := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if s.dialect == dialectPostgres {
		tables = `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`
	}
	var names []string
	if err := s.reader.Select(&names, tables); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range names {
		rows, err := s.reader.Queryx(`SELECT * FROM ` + name)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values, err := rows.SliceScan()
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				switch v := v.(type) {
				case string:
					b.WriteString(v)
				case []byte:
					b.Write(v)
				}
				b.WriteByte('\n')
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestRewrapAndBackup(t *testing.T) {
	t.Parallel()
	for _, d := range []dialect{dialectSQLite, dialectPostgres} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			folder, database := t.TempDir(), newDatabase(t, d)
			file := filepath.Join(folder, "keys")
			s := openWith(t, database, must(keyring.Open(file))(t), Options{})
			ctx, op := t.Context(), s.LocalOperator()
			x := newStream(t, s, op, "news")
			joined(t, s, "edge-1")
			if _, _, _, err := s.Idempotent(ctx, op, "a", "f", func(context.Context) (int, []byte, error) { return 200, []byte("kept"), nil }); err != nil {
				t.Fatal(err)
			}
			rotated := openWith(t, database, must(keyring.Rotate(file))(t), Options{})
			// The stream, the probe key, the answer, and the keys of the operator and the edges.
			if n := must(rotated.Rewrap(ctx, op))(t); n != 5 {
				t.Errorf("got %d sealed anew, want 5", n)
			}
			if n := must(rotated.Rewrap(ctx, op))(t); n != 0 {
				t.Errorf("got %d sealed anew the second time, want none", n)
			}
			retired := openWith(t, database, must(keyring.Retire(file))(t), Options{})
			if got := must(retired.Stream(ctx, op, x.ID))(t); got.Sources[0] != x.Sources[0] {
				t.Errorf("got %v", got.Sources)
			}
			must(retired.Document(ctx, controlapi.DefaultGroupID))(t)
			must(retired.ProbeTargets(ctx))(t)

			path := filepath.Join(folder, "backup.db")
			err := retired.Backup(ctx, op, path)
			if d == dialectPostgres {
				wantCode(t, err, controlapi.CodeConflict)
				return
			}
			wantCode(t, err, "")
			if mode := must(os.Stat(path))(t).Mode().Perm(); mode != 0o600 {
				t.Errorf("got mode %o, want 600", mode)
			}
			wantCode(t, retired.Backup(ctx, op, path), controlapi.CodeExists)
			restored := openWith(t, path, must(keyring.Open(file))(t), Options{})
			must(restored.Stream(ctx, op, x.ID))(t)
			wantCode(t, restored.VerifyAudit(ctx, op), "")
			if epoch := must(restored.RaiseEpoch(ctx, op))(t); epoch != 2 {
				t.Errorf("got epoch %d, want 2", epoch)
			}
		})
	}
}

// TestAppendOnly: what was written of credits and changes cannot be rewritten, and the
// chain tells if it was all the same.
func TestAppendOnly(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		op := s.LocalOperator()
		r := newReseller(t, s, "")
		must(s.Credit(t.Context(), op, controlapi.Movement{ResellerID: r.ID, Amount: 5, Reason: "paid"}))(t)
		for _, statement := range []string{
			`UPDATE ledger_entries SET amount = 1`, `DELETE FROM ledger_entries`, `UPDATE ledger_txs SET reason = ''`,
			`DELETE FROM ledger_txs`, `UPDATE audit SET actor = ''`, `DELETE FROM audit`,
		} {
			if _, err := s.writer.Exec(statement); err == nil {
				t.Errorf("%s: got no error", statement)
			}
		}
		drop := `DROP TRIGGER audit_update`
		if s.dialect == dialectPostgres {
			drop = `DROP TRIGGER audit_append_only ON audit`
		}
		for _, statement := range []string{drop, `UPDATE audit SET actor = 'somebody' WHERE seq = 1`} {
			if _, err := s.writer.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		wantCode(t, s.VerifyAudit(t.Context(), op), controlapi.CodeConflict)
		if _, err := s.writer.Exec(`UPDATE accounts SET balance = 6 WHERE id = '` + r.ID + `'`); err != nil {
			t.Fatal(err)
		}
		wantCode(t, s.VerifyLedger(t.Context(), op), controlapi.CodeConflict)
	})
}
