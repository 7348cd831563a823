package sqlstore

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
)

func TestIdempotent(t *testing.T) {
	t.Parallel()
	for _, d := range []dialect{dialectSQLite, dialectPostgres} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			at := &clock{time.Unix(1_800_000_000, 0)}
			s := openTest(t, newDatabase(t, d), Options{Now: at.now})
			ctx, op := t.Context(), s.LocalOperator()
			r := newReseller(t, s, "")
			credit := func(key, fingerprint string, amount int64, fail error) (string, bool, error) {
				_, body, replayed, err := s.Idempotent(ctx, op, key, fingerprint, func(ctx context.Context) (int, []byte, error) {
					m, err := s.Credit(ctx, op, controlapi.Movement{ResellerID: r.ID, Amount: amount, Reason: "paid"})
					return 201, []byte(m.ID), errors.Join(err, fail)
				})
				return string(body), replayed, err
			}
			balance := func(want int64) {
				t.Helper()
				if got := must(s.Reseller(ctx, op, r.ID))(t).Balance; got != want {
					t.Errorf("got a balance of %d, want %d", got, want)
				}
			}

			first, replayed, err := credit("a", "f", 5, nil)
			if err != nil || replayed || first == "" {
				t.Fatal(first, replayed, err)
			}
			again, replayed, err := credit("a", "f", 5, nil)
			if err != nil || !replayed || again != first {
				t.Errorf("got %q, %v, %v, want the first answer %q", again, replayed, err, first)
			}
			balance(5)
			_, _, err = credit("a", "g", 5, nil)
			wantCode(t, err, controlapi.CodeIdempotencyKeyReused)
			_, _, err = credit("", "f", 5, nil)
			wantCode(t, err, controlapi.CodeIdempotencyKeyMissing)
			balance(5)

			t.Run("an error undoes all and is not kept", func(t *testing.T) {
				_, _, err := credit("b", "f", 7, controlapi.Errorf(controlapi.CodeConflict, "no"))
				wantCode(t, err, controlapi.CodeConflict)
				balance(5)
				_, replayed, err := credit("b", "f", 7, nil)
				if err != nil || replayed {
					t.Errorf("got replayed %v, %v", replayed, err)
				}
				balance(12)
			})
			t.Run("an error that is swallowed undoes all as well", func(t *testing.T) {
				_, _, _, err := s.Idempotent(ctx, op, "c", "f", func(ctx context.Context) (int, []byte, error) {
					if _, err := s.Credit(ctx, op, controlapi.Movement{ResellerID: r.ID, Amount: 1, Reason: "x"}); err != nil {
						return 0, nil, err
					}
					_, _ = s.Credit(ctx, op, controlapi.Movement{ResellerID: r.ID, Amount: -100, Reason: "too much"})
					return 200, nil, nil
				})
				wantCode(t, err, controlapi.CodeInsufficientCredits)
				balance(12)
			})
			t.Run("of many at once, one is carried out", func(t *testing.T) {
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						if _, _, err := credit("d", "f", 1, nil); err != nil && controlapi.CodeOf(err) != controlapi.CodeIdempotencyKeyInFlight {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				balance(13)
			})
			t.Run("keys belong to a tenant", func(t *testing.T) {
				_, _, replayed, err := s.Idempotent(ctx, as(t, s, r.ID), "a", "other", func(context.Context) (int, []byte, error) { return 200, nil, nil })
				if err != nil || replayed {
					t.Errorf("got replayed %v, %v", replayed, err)
				}
			})
			t.Run("an answer is kept for two days", func(t *testing.T) {
				at.at = at.at.Add(idempotencyLife + time.Second)
				if _, replayed, err := credit("a", "f", 5, nil); err != nil || replayed {
					t.Errorf("got replayed %v, %v", replayed, err)
				}
				wantCode(t, s.Prune(ctx), "")
				var left int
				if err := s.reader.Get(&left, `SELECT COUNT(*) FROM idempotency`); err != nil || left != 1 {
					t.Errorf("got %d answers left, %v, want 1", left, err)
				}
			})
			wantCode(t, s.VerifyLedger(ctx, op), "")
		})
	}
}
