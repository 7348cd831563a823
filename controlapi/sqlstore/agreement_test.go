package sqlstore

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/controlapi"
)

// TestGrantsAgree makes trees of resellers with streams, bouquets and grants at random,
// and takes some away again. The snapshot works out what is effective in Go, the lists in
// SQL: both must come to the same.
func TestGrantsAgree(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
				newWorld(t, s, seed).check(t)
			})
		}
	})
}

type world struct {
	s         *Store
	random    *rand.Rand
	group     string
	resellers []controlapi.Reseller // the operator is not among them
	streams   []string
	bouquets  []string
}

func newWorld(t *testing.T, s *Store, seed uint64) *world {
	t.Helper()
	ctx, op := t.Context(), s.LocalOperator()
	w := &world{s: s, random: rand.New(rand.NewPCG(seed, 0)), group: fmt.Sprintf("group-%d", seed)}
	must(s.CreateGroup(ctx, op, controlapi.GroupCreate{ID: w.group, Name: "Group"}))(t)
	ids := []string{controlapi.OperatorID}
	for range 5 {
		r := must(s.CreateReseller(ctx, op, controlapi.ResellerCreate{ParentID: ids[w.random.IntN(len(ids))], Name: "r", MaxStreams: 10}))(t)
		w.resellers, ids = append(w.resellers, r), append(ids, r.ID)
	}
	for range 8 {
		// Half of them are the operator's.
		owner := ids[max(0, w.random.IntN(2*len(ids))-len(ids))]
		x := must(s.CreateStream(ctx, op, controlapi.StreamCreate{OwnerID: owner, GroupID: w.group, Name: "x", StreamSpec: controlapi.DefaultStreamSpec("test:")}))(t)
		w.streams = append(w.streams, x.ID)
	}
	for range 4 {
		b := must(s.CreateBouquet(ctx, op, controlapi.BouquetCreate{Name: "b", Streams: w.some(w.streams)}))(t)
		w.bouquets = append(w.bouquets, b.ID)
	}
	granted := 0
	for range 30 {
		granted += w.grant(t)
	}
	if granted < 5 {
		t.Fatalf("only %d grants were made", granted)
	}
	return w
}

// grant sets the grants of somebody to something, which may be less than before.
func (w *world) grant(t *testing.T) int {
	t.Helper()
	op := w.s.LocalOperator()
	r := must(w.s.Reseller(t.Context(), op, w.resellers[w.random.IntN(len(w.resellers))].ID))(t)
	_, err := w.s.SetGrants(t.Context(), op, r.ID, r.Version, controlapi.Grants{
		Show:    controlapi.GrantList{Streams: w.some(w.streams), Bouquets: w.some(w.bouquets)},
		Publish: controlapi.GrantList{Streams: w.some(w.streams)},
	})
	if controlapi.CodeOf(err) == controlapi.CodeInvalid { // its parent cannot see that
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return 1
}

// some are a few of them.
func (w *world) some(ids []string) []string {
	few := []string{}
	for _, id := range ids {
		if w.random.IntN(4) == 0 {
			few = append(few, id)
		}
	}
	return few
}

func (w *world) check(t *testing.T) {
	t.Helper()
	d := must(w.s.Document(t.Context(), w.group))(t)
	if err := d.Check(); err != nil {
		t.Fatal(err)
	}
	for _, r := range w.resellers {
		scope := as(t, w.s, r.ID)
		listed, publishes := []string{}, []string{}
		for _, x := range must(w.s.Streams(t.Context(), scope, controlapi.StreamFilter{GroupID: w.group}, controlapi.Page{}))(t).Items {
			listed = append(listed, x.ID)
			if must(w.s.Publishing(t.Context(), scope, x.ID))(t).Granted {
				publishes = append(publishes, x.ID)
			}
		}
		g := d.Grants[r.ID]
		sees := append(slices.Clone(g.Show), g.Publish...)
		slices.Sort(sees)
		slices.Sort(listed)
		slices.Sort(publishes)
		if diff := cmp.Diff(slices.Compact(sees), listed); diff != "" {
			t.Errorf("what %s sees (-snapshot +list):\n%s", r.Path, diff)
		}
		if diff := cmp.Diff(g.Publish, publishes); diff != "" {
			t.Errorf("what %s publishes (-snapshot +check):\n%s", r.Path, diff)
		}
	}
}
