// Package ledger puts the credits of the control plane under many hands at once, on real
// databases, and judges what they were told by a model.
package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/keyring"
	"github.com/headrace/headrace/controlapi/sqlstore"
	"github.com/headrace/headrace/test/postgres"
)

func TestMain(m *testing.M) { postgres.Main(m) }

const (
	workers  = 64
	families = 32 // a parent and a child each; two workers move credits within each
	moves    = 10_000
	start    = 500 // credits of a parent: so little that movements are refused now and then
	limit    = 40 * time.Second
)

// TestScenario28 lets 64 workers move credits 10,000 times through two instances, breaks
// requests off at random, and sends those again with the same keys.
func TestScenario28(t *testing.T) {
	for _, tt := range []struct {
		name      string
		database  func(*testing.T) string
		instances int
	}{
		{"sqlite", func(t *testing.T) string { return filepath.Join(t.TempDir(), "ledger.db") }, 1},
		{"two instances on postgres", func(t *testing.T) string { return postgres.New(t) }, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHistory(t, tt.database(t), tt.instances)
			began := time.Now()
			h.run(t)
			took := time.Since(began)
			h.judge(t)
			t.Logf("%d movements by %d workers in %v (%.0f/s); broken off and sent again: %d; refused: %d", moves, workers, took, moves/took.Seconds(), h.again.Load(), h.refused.Load())
			if took > limit {
				t.Errorf("took %v, want up to %v", took, limit)
			}
		})
	}
}

// step is what a worker asks for: amount credits from the parent to the child, or back
// if it is negative.
type step struct {
	family int
	amount int64
}

// outcome is what it was told: the balances afterwards, or that the credits do not suffice.
type outcome struct {
	Refused       bool
	Parent, Child int64
}

type history struct {
	stores          []*sqlstore.Store
	parents, childs [families]string
	mu              sync.Mutex
	operations      []porcupine.Operation
	again, refused  atomic.Int64
}

func newHistory(t *testing.T, database string, instances int) *history {
	t.Helper()
	keys, err := keyring.Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	h := &history{}
	for range instances {
		s, err := sqlstore.Open(t.Context(), database, keys, sqlstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		h.stores = append(h.stores, s)
	}
	s, op := h.stores[0], h.stores[0].LocalOperator()
	for i := range families {
		p, err := s.CreateReseller(t.Context(), op, controlapi.ResellerCreate{Name: "parent"})
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.CreateReseller(t.Context(), op, controlapi.ResellerCreate{ParentID: p.ID, Name: "child"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Credit(t.Context(), op, controlapi.Movement{ResellerID: p.ID, Amount: start, Reason: "start"}); err != nil {
			t.Fatal(err)
		}
		h.parents[i], h.childs[i] = p.ID, c.ID
	}
	return h
}

func (h *history) run(t *testing.T) {
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(28, uint64(w)))
			for i := range moves / workers {
				x := step{family: w % families, amount: random.Int64N(200) + 1}
				if random.IntN(2) == 0 {
					x.amount = -x.amount
				}
				if err := h.carryOut(x, w, fmt.Sprintf("%d-%d", w, i), random); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// carryOut sends a movement until it is told what became of it. The operation lasts from
// the first time to the answer.
func (h *history) carryOut(x step, worker int, key string, random *rand.Rand) error {
	operation := porcupine.Operation{ClientId: worker, Input: x, Call: time.Now().UnixNano()}
	for {
		ctx, cancel := context.WithCancel(context.Background())
		if random.IntN(4) == 0 {
			time.AfterFunc(time.Duration(random.Int64N(int64(30*time.Millisecond))), cancel)
		}
		out, err := h.try(ctx, h.stores[random.IntN(len(h.stores))], x, key)
		if ctx.Err() != nil {
			// Whoever hung up is not told what became of it, even if it was carried out.
			h.again.Add(1)
			continue
		}
		cancel()
		switch code := controlapi.CodeOf(err); code {
		case "":
		case controlapi.CodeUnavailable, controlapi.CodeIdempotencyKeyInFlight:
			h.again.Add(1)
			continue
		default:
			return fmt.Errorf("moving %+v: %w", x, err)
		}
		if out.Refused {
			h.refused.Add(1)
		}
		operation.Output, operation.Return = out, time.Now().UnixNano()
		h.mu.Lock()
		h.operations = append(h.operations, operation)
		h.mu.Unlock()
		return nil
	}
}

func (h *history) try(ctx context.Context, s *sqlstore.Store, x step, key string) (outcome, error) {
	op := s.LocalOperator()
	_, body, _, err := s.Idempotent(ctx, op, key, fmt.Sprint(x), func(ctx context.Context) (int, []byte, error) {
		m := controlapi.Movement{ResellerID: h.childs[x.family], Amount: x.amount, Reason: "scenario 28"}
		move := s.Transfer
		if x.amount < 0 {
			m.Amount, move = -x.amount, s.Reclaim
		}
		done, err := move(ctx, op, m)
		if err != nil {
			return 0, nil, err
		}
		body, err := json.Marshal(done)
		return 200, body, err
	})
	if controlapi.CodeOf(err) == controlapi.CodeInsufficientCredits {
		return outcome{Refused: true}, nil
	}
	if err != nil {
		return outcome{}, err
	}
	var done controlapi.LedgerTx
	if err := json.Unmarshal(body, &done); err != nil {
		return outcome{}, err
	}
	if len(done.Entries) != 2 {
		return outcome{}, errors.New("a movement without two entries")
	}
	var out outcome
	for _, e := range done.Entries {
		if e.AccountID == h.childs[x.family] {
			out.Child = e.Balance
		} else {
			out.Parent = e.Balance
		}
	}
	return out, nil
}

// judge holds the answers against the model, and the database against its own invariants.
func (h *history) judge(t *testing.T) {
	model := porcupine.Model{
		Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
			parts := make([][]porcupine.Operation, families)
			for _, o := range all {
				f := o.Input.(step).family
				parts[f] = append(parts[f], o)
			}
			return parts
		},
		Init: func() any { return int64(start) }, // the parent's credits; the child has the rest
		Step: func(state, input, output any) (bool, any) {
			parent, x, out := state.(int64), input.(step), output.(outcome)
			covers := parent
			if x.amount < 0 {
				covers = start - parent
			}
			if amount := max(x.amount, -x.amount); amount > covers {
				return out.Refused, parent
			}
			parent -= x.amount
			return !out.Refused && out.Parent == parent && out.Child == start-parent, parent
		},
	}
	if got := porcupine.CheckOperationsTimeout(model, h.operations, 30*time.Second); got != porcupine.Ok {
		t.Errorf("the answers do not fit any order of the movements: %v", got)
	}
	if len(h.operations) != moves/workers*workers {
		t.Errorf("got %d answers, want %d", len(h.operations), moves/workers*workers)
	}
	s, op := h.stores[0], h.stores[0].LocalOperator()
	for _, err := range []error{s.VerifyLedger(t.Context(), op), s.VerifyAudit(t.Context(), op)} {
		if err != nil {
			t.Error(err)
		}
	}
	done := int64(0)
	for i := range families {
		for _, id := range []string{h.parents[i], h.childs[i]} {
			r, err := s.Reseller(t.Context(), op, id)
			if err != nil {
				t.Fatal(err)
			}
			if r.Balance < 0 {
				t.Errorf("reseller %s is overdrawn: %d", id, r.Balance)
			}
		}
		// Each movement that was told done is on the statement, and no other.
		done += h.lines(t, h.childs[i])
	}
	if want := int64(len(h.operations)) - h.refused.Load(); done != want {
		t.Errorf("got %d movements in the ledger, want the %d that were told done", done, want)
	}
}

func (h *history) lines(t *testing.T, account string) (n int64) {
	t.Helper()
	p := controlapi.Page{Limit: controlapi.MaxPageLimit}
	for {
		l, err := h.stores[0].Ledger(t.Context(), h.stores[0].LocalOperator(), account, p)
		if err != nil {
			t.Fatal(err)
		}
		n += int64(len(l.Items))
		if p.After = l.Next; l.Next == "" {
			return n
		}
	}
}
