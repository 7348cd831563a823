package sqlstore

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/controlapi"
)

// TestEntitlement holds the snapshot's grants and the playback check to one rule: what
// each from the operator down to the reseller is granted.
func TestEntitlement(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx, op := t.Context(), s.LocalOperator()
		x := newShop(t, s, 0)
		more := newStream(t, s, op, "more") // in no plan
		child := newReseller(t, s, x.reseller.ID)
		user := must(s.CreateUser(ctx, x.scope, controlapi.UserCreate{Name: "Ann", PlanID: x.plan.ID, ResellerID: child.ID}))(t)
		entitled := func(t *testing.T, stream string, want bool) {
			t.Helper()
			g := must(s.Playback(ctx, x.scope, controlapi.PlaybackQuery{UserID: user.ID, StreamID: stream}))(t)
			if g.Entitled != want {
				t.Errorf("entitled to %s: got %v, want %v", stream, g.Entitled, want)
			}
			d := must(s.Document(ctx, controlapi.DefaultGroupID))(t)
			if err := d.Check(); err != nil {
				t.Error(err)
			}
			shows := false
			for _, id := range d.Grants[child.ID].Show {
				shows = shows || id == stream
			}
			if stream == x.stream.ID && shows != want {
				t.Errorf("the snapshot shows %s: got %v, want %v", stream, shows, want)
			}
		}
		grant := func(r controlapi.Reseller, l controlapi.GrantList) {
			t.Helper()
			r = must(s.Reseller(ctx, op, r.ID))(t)
			must(s.SetGrants(ctx, op, r.ID, r.Version, controlapi.Grants{Show: l}))(t)
		}
		entitled(t, x.stream.ID, false)
		grant(child, controlapi.GrantList{Streams: []string{x.stream.ID}})
		entitled(t, x.stream.ID, true)
		entitled(t, more.ID, false)
		entitled(t, "none", false)

		t.Run("what the parent loses, the child loses", func(t *testing.T) {
			grant(x.reseller, controlapi.GrantList{})
			entitled(t, x.stream.ID, false)
			grant(x.reseller, controlapi.GrantList{Streams: []string{x.stream.ID}})
			entitled(t, x.stream.ID, true)
		})
		t.Run("a bouquet grants what it holds at the time", func(t *testing.T) {
			grant(x.reseller, controlapi.GrantList{Bouquets: []string{x.bouquet.ID}})
			entitled(t, x.stream.ID, true)
			b := must(s.UpdateBouquet(ctx, op, x.bouquet.ID, x.bouquet.Version, controlapi.BouquetUpdate{Streams: &[]string{more.ID}}))(t)
			entitled(t, x.stream.ID, false)
			must(s.UpdateBouquet(ctx, op, b.ID, b.Version, controlapi.BouquetUpdate{Streams: &[]string{more.ID, x.stream.ID}}))(t)
			entitled(t, x.stream.ID, true)
		})
		t.Run("a bouquet is played by its name", func(t *testing.T) {
			q := controlapi.PlaybackQuery{UserID: user.ID, BouquetID: x.bouquet.ID}
			if g := must(s.Playback(ctx, x.scope, q))(t); !g.Entitled || g.Key.KeyID == "" {
				t.Errorf("got %+v, want it entitled and a key", g)
			}
			d := must(s.Document(ctx, controlapi.DefaultGroupID))(t)
			if diff := cmp.Diff([]string{x.stream.ID}, d.Grants[child.ID].Bouquets[x.bouquet.ID]); diff != "" {
				t.Errorf("the bouquet in the snapshot (-want +got):\n%s", diff)
			}
		})
		t.Run("one cannot give what one does not see", func(t *testing.T) {
			c := must(s.Reseller(ctx, op, child.ID))(t)
			secret := newStream(t, s, op, "secret")
			for _, id := range []string{secret.ID, "none"} {
				_, err := s.SetGrants(ctx, x.scope, c.ID, c.Version, controlapi.Grants{Publish: controlapi.GrantList{Streams: []string{id}}})
				wantCode(t, err, controlapi.CodeInvalid)
				_, err = s.Stream(ctx, x.scope, id)
				wantCode(t, err, controlapi.CodeNotFound)
				_, err = s.CreateBouquet(ctx, x.scope, controlapi.BouquetCreate{Name: "b", Streams: []string{id}})
				wantCode(t, err, controlapi.CodeInvalid)
			}
			own := must(s.Reseller(ctx, x.scope, x.reseller.ID))(t)
			_, err := s.SetGrants(ctx, x.scope, own.ID, own.Version, controlapi.Grants{Show: controlapi.GrantList{Streams: []string{x.stream.ID}}})
			wantCode(t, err, controlapi.CodeForbidden)
		})
		t.Run("a suspended reseller has nothing left, nor who is below it", func(t *testing.T) {
			r, yes, no := must(s.Reseller(ctx, op, x.reseller.ID))(t), true, false
			r = must(s.UpdateReseller(ctx, op, r.ID, r.Version, controlapi.ResellerUpdate{Suspended: &yes}))(t)
			d := must(s.Document(ctx, controlapi.DefaultGroupID))(t)
			for _, k := range d.Keys {
				if k.Reseller == r.ID || k.Reseller == child.ID {
					t.Errorf("key of %s is still there", k.Reseller)
				}
			}
			if _, there := d.Grants[child.ID]; there {
				t.Error("the child's grants are still there")
			}
			if g := must(s.Playback(ctx, op, controlapi.PlaybackQuery{UserID: user.ID, StreamID: x.stream.ID}))(t); !g.Halted {
				t.Error("the user is not halted")
			}
			must(s.UpdateReseller(ctx, op, r.ID, r.Version, controlapi.ResellerUpdate{Suspended: &no}))(t)
		})
		t.Run("a reseller's own streams are its own and of those above", func(t *testing.T) {
			_, err := s.CreateStream(ctx, x.scope, controlapi.StreamCreate{Name: "x", StreamSpec: controlapi.DefaultStreamSpec("push:")})
			wantCode(t, err, controlapi.CodeConflict)
			r, one := must(s.Reseller(ctx, op, x.reseller.ID))(t), 1
			must(s.UpdateReseller(ctx, op, r.ID, r.Version, controlapi.ResellerUpdate{MaxStreams: &one}))(t)
			_, err = s.CreateStream(ctx, x.scope, controlapi.StreamCreate{Name: "x", StreamSpec: controlapi.DefaultStreamSpec("file:/etc/passwd")})
			wantCode(t, err, controlapi.CodeInvalid)
			own := must(s.CreateStream(ctx, x.scope, controlapi.StreamCreate{Name: "x", StreamSpec: controlapi.DefaultStreamSpec("https://user:pass@origin.example/x?k=v")}))(t)
			_, err = s.CreateStream(ctx, x.scope, controlapi.StreamCreate{Name: "x", StreamSpec: controlapi.DefaultStreamSpec("push:")})
			wantCode(t, err, controlapi.CodeConflict)
			d := must(s.Document(ctx, controlapi.DefaultGroupID))(t)
			if got := d.Grants[x.reseller.ID].Publish; !cmp.Equal(got, []string{own.ID}) {
				t.Errorf("it may publish %v, want %v", got, own.ID)
			}
			childScope := as(t, s, child.ID)
			_, err = s.Stream(ctx, childScope, own.ID)
			wantCode(t, err, controlapi.CodeNotFound)
			grant(child, controlapi.GrantList{Streams: []string{own.ID}})
			got := must(s.Stream(ctx, childScope, own.ID))(t)
			if want := "https://origin.example/hidden"; got.Sources[0] != want || !got.SourcesMasked {
				t.Errorf("got %s, want %s", got.Sources[0], want)
			}
			_, err = s.UpdateStream(ctx, childScope, own.ID, own.Version, controlapi.StreamUpdate{})
			wantCode(t, err, controlapi.CodeForbidden)
			wantCode(t, s.DeleteStream(ctx, x.scope, own.ID, own.Version), "")
		})
	})
}

func TestPlaybackSigningKey(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx, op := t.Context(), s.LocalOperator()
		x := newShop(t, s, 0)
		user := must(s.CreateUser(ctx, x.scope, controlapi.UserCreate{Name: "Ann", PlanID: x.plan.ID}))(t)
		edge := joined(t, s, "edge-1")
		signs := func() controlapi.SigningKey {
			t.Helper()
			return must(s.Playback(ctx, x.scope, controlapi.PlaybackQuery{UserID: user.ID, StreamID: x.stream.ID}))(t).Key
		}
		ack := func() {
			t.Helper()
			epoch, version, err := s.ConfigVersion(ctx)
			if err != nil {
				t.Fatal(err)
			}
			wantCode(t, s.RecordAck(ctx, edge.ID, controlapi.Ack{Epoch: epoch, Version: version}), "")
		}
		ack()
		old := signs()
		k := must(s.RotateSigningKey(ctx, x.scope, x.reseller.ID, controlapi.DefaultGroupID))(t)
		if got := signs(); got.KeyID != old.KeyID || got.Secret != old.Secret || k.Secret == old.Secret {
			t.Errorf("got key %s, want the old one until the edge has the new one", got.KeyID)
		}
		d := must(s.Document(ctx, controlapi.DefaultGroupID))(t)
		live := 0
		for _, key := range d.Keys {
			if key.Reseller == x.reseller.ID {
				live++
			}
		}
		if live != 2 {
			t.Errorf("got %d keys in the snapshot, want 2", live)
		}
		ack()
		if got := signs(); got.KeyID != k.KeyID || got.Secret != k.Secret {
			t.Errorf("got key %s, want the new one", got.KeyID)
		}
		_, err := s.RotateSigningKey(ctx, x.scope, x.reseller.ID, controlapi.DefaultGroupID)
		wantCode(t, err, controlapi.CodeConflict)
		must(s.EndSigningKey(ctx, x.scope, x.reseller.ID, controlapi.DefaultGroupID, old.KeyID))(t)
		must(s.EndSigningKey(ctx, x.scope, x.reseller.ID, controlapi.DefaultGroupID, k.KeyID))(t)
		third := signs()
		if third.KeyID == k.KeyID || third.KeyID == old.KeyID || third.KeyID == "" {
			t.Errorf("got key %q, want a new one after the current one was ended", third.KeyID)
		}
		keys := must(s.SigningKeys(ctx, x.scope, x.reseller.ID, controlapi.DefaultGroupID))(t)
		if len(keys) != 3 || keys[0].KeyID != third.KeyID || keys[1].Secret != "" || keys[2].Secret != "" {
			t.Errorf("got %+v, want one live key and two without secrets", keys)
		}
		_, err = s.SigningKeys(ctx, x.scope, "edge", controlapi.DefaultGroupID)
		wantCode(t, err, controlapi.CodeNotFound)
		if relay := must(s.SigningKeys(ctx, op, "edge", controlapi.DefaultGroupID))(t); len(relay) != 1 {
			t.Errorf("got %d relay keys, want 1", len(relay))
		}
	})
}

func TestPickSigningKeyRollout(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	keys := []controlapi.SigningKey{
		{KeyID: "new", State: controlapi.KeyCurrent, Since: 10},
		{KeyID: "old", State: controlapi.KeyPrevious, NotAfter: now.Add(controlapi.KeyOverlap)},
	}
	for _, tt := range []struct {
		name  string
		keys  []controlapi.SigningKey
		acked int64
		after time.Duration
		want  string
	}{
		{"an edge lacks the new key", keys, 9, 0, "old"},
		{"every edge has it", keys, 10, 0, "new"},
		{"an edge lacks it for too long", keys, 9, controlapi.KeyRollout, "new"},
		{"there is one key", keys[:1], 0, 0, "new"},
		{"there is none", nil, 0, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := controlapi.PickSigningKey(tt.keys, tt.acked, now.Add(tt.after)); got.KeyID != tt.want {
				t.Errorf("got %q, want %q", got.KeyID, tt.want)
			}
		})
	}
}
