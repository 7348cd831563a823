package sqlstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// shop is a plan with one bouquet of one stream, and a reseller that may show it.
type shop struct {
	plan     controlapi.Plan
	bouquet  controlapi.Bouquet
	stream   controlapi.Stream
	reseller controlapi.Reseller
	scope    controlapi.Scope
}

func newShop(t testing.TB, s *Store, price int64) shop {
	t.Helper()
	ctx, op := t.Context(), s.LocalOperator()
	var x shop
	x.stream = newStream(t, s, op, "")
	x.bouquet = must(s.CreateBouquet(ctx, op, controlapi.BouquetCreate{Name: "Basic", Streams: []string{x.stream.ID}}))(t)
	x.plan = must(s.CreatePlan(ctx, op, controlapi.PlanCreate{Name: "Month", Price: price, Duration: 720 * time.Hour, MaxConnections: 2, Bouquets: []string{x.bouquet.ID}}))(t)
	x.reseller = newReseller(t, s, "")
	must(s.SetGrants(ctx, op, x.reseller.ID, x.reseller.Version, controlapi.Grants{Show: controlapi.GrantList{Bouquets: []string{x.bouquet.ID}}}))(t)
	x.reseller = must(s.Reseller(ctx, op, x.reseller.ID))(t)
	x.scope = as(t, s, x.reseller.ID)
	return x
}

func newStream(t testing.TB, s *Store, sc controlapi.Scope, id string) controlapi.Stream {
	t.Helper()
	return must(s.CreateStream(t.Context(), sc, controlapi.StreamCreate{ID: id, Name: "News", StreamSpec: controlapi.DefaultStreamSpec("https://origin.example/news.m3u8")}))(t)
}

func TestUsers(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx, op := t.Context(), s.LocalOperator()
		x := newShop(t, s, 10)
		_, err := s.CreateUser(ctx, x.scope, controlapi.UserCreate{Name: "Ann", PlanID: x.plan.ID})
		wantCode(t, err, controlapi.CodeInsufficientCredits)
		if l := must(s.Users(ctx, x.scope, controlapi.UserFilter{}, controlapi.Page{}))(t); len(l.Items) != 0 {
			t.Fatalf("got %d users after a charge that failed, want none", len(l.Items))
		}
		must(s.Credit(ctx, op, controlapi.Movement{ResellerID: x.reseller.ID, Amount: 25, Reason: "paid"}))(t)
		u := must(s.CreateUser(ctx, x.scope, controlapi.UserCreate{Name: "Ann", PlanID: x.plan.ID}))(t)

		t.Run("renewing adds to what is paid for", func(t *testing.T) {
			got := must(s.RenewUser(ctx, x.scope, u.ID, ""))(t)
			if want := u.ExpiresAt.Add(x.plan.Duration); !got.ExpiresAt.Equal(want) {
				t.Errorf("got %v, want %v", got.ExpiresAt, want)
			}
			_, err := s.RenewUser(ctx, x.scope, u.ID, "")
			wantCode(t, err, controlapi.CodeInsufficientCredits)
			if r := must(s.Reseller(ctx, x.scope, x.reseller.ID))(t); r.Balance != 5 {
				t.Errorf("got a balance of %d, want 5", r.Balance)
			}
			l := must(s.Ledger(ctx, x.scope, x.reseller.ID, controlapi.Page{}))(t)
			if len(l.Items) != 3 || l.Items[0].Balance != 5 || l.Items[0].Kind != controlapi.LedgerCharge {
				t.Errorf("got %+v", l.Items)
			}
		})
		t.Run("the plan bounds the connections", func(t *testing.T) {
			three, two := 3, 2
			u := must(s.User(ctx, x.scope, u.ID))(t)
			_, err := s.UpdateUser(ctx, x.scope, u.ID, u.Version, controlapi.UserUpdate{MaxConnections: &three})
			wantCode(t, err, controlapi.CodeInvalid)
			must(s.UpdateUser(ctx, x.scope, u.ID, u.Version, controlapi.UserUpdate{MaxConnections: &two}))(t)
		})
		t.Run("others do not see it", func(t *testing.T) {
			other := as(t, s, newReseller(t, s, "").ID)
			_, err := s.User(ctx, other, u.ID)
			wantCode(t, err, controlapi.CodeNotFound)
			_, err = s.RenewUser(ctx, other, u.ID, "")
			wantCode(t, err, controlapi.CodeNotFound)
			wantCode(t, s.DeleteUser(ctx, other, u.ID, u.Version), controlapi.CodeNotFound)
			_, err = s.CreateUser(ctx, other, controlapi.UserCreate{Name: "x", PlanID: x.plan.ID, ResellerID: x.reseller.ID})
			wantCode(t, err, controlapi.CodeNotFound)
			_, err = s.Users(ctx, other, controlapi.UserFilter{ResellerID: x.reseller.ID}, controlapi.Page{})
			wantCode(t, err, controlapi.CodeNotFound)
		})
		t.Run("a suspended user is denied, and no more when it is not", func(t *testing.T) {
			yes, no := true, false
			_, before, err := s.ConfigVersion(ctx)
			if err != nil {
				t.Fatal(err)
			}
			changed := s.Changed()
			u := must(s.User(ctx, x.scope, u.ID))(t)
			u = must(s.UpdateUser(ctx, x.scope, u.ID, u.Version, controlapi.UserUpdate{Suspended: &yes}))(t)
			<-changed
			d := must(s.Document(ctx, controlapi.DefaultGroupID))(t)
			if len(d.Denied) != 1 || d.Denied[0].User != u.ID || d.Version != before+1 {
				t.Errorf("got %+v in version %d, want the user in version %d", d.Denied, d.Version, before+1)
			}
			must(s.UpdateUser(ctx, x.scope, u.ID, u.Version, controlapi.UserUpdate{Suspended: &no}))(t)
			if d := must(s.Document(ctx, controlapi.DefaultGroupID))(t); len(d.Denied) != 0 {
				t.Errorf("got %+v, want nobody denied", d.Denied)
			}
		})
		t.Run("play keys are shown once", func(t *testing.T) {
			k, secret, err := s.CreatePlayKey(ctx, x.scope, u.ID, "tv")
			if err != nil {
				t.Fatal(err)
			}
			g := must(s.PlaybackByKey(ctx, controlapi.PlaybackQuery{PlayKey: secret, StreamID: x.stream.ID}))(t)
			if g.UserID != u.ID || !g.Entitled {
				t.Errorf("got %+v", g)
			}
			wrong := secret[:len(secret)-1] + "_"
			_, err = s.PlaybackByKey(ctx, controlapi.PlaybackQuery{PlayKey: wrong, StreamID: x.stream.ID})
			wantCode(t, err, controlapi.CodeUnauthenticated)
			if keys := must(s.PlayKeys(ctx, x.scope, u.ID))(t); len(keys) != 1 || keys[0].ID != k.ID {
				t.Errorf("got %+v", keys)
			}
			wantCode(t, s.DeletePlayKey(ctx, x.scope, u.ID, k.ID), "")
			_, err = s.PlaybackByKey(ctx, controlapi.PlaybackQuery{PlayKey: secret, StreamID: x.stream.ID})
			wantCode(t, err, controlapi.CodeUnauthenticated)
		})
		t.Run("names are found, in capitals or not", func(t *testing.T) {
			free := must(s.CreatePlan(ctx, op, controlapi.PlanCreate{Name: "Free", Duration: time.Hour}))(t)
			for i := range 5 {
				must(s.CreateUser(ctx, x.scope, controlapi.UserCreate{Name: fmt.Sprintf("Zoë_%d", i), PlanID: free.ID}))(t)
			}
			for _, f := range []controlapi.UserFilter{{NamePrefix: "zOË_"}, {NamePrefix: "zoë", ResellerID: x.reseller.ID}} {
				p, n := controlapi.Page{Limit: 2}, 0
				for {
					l := must(s.Users(ctx, x.scope, f, p))(t)
					n += len(l.Items)
					if p.After = l.Next; l.Next == "" {
						break
					}
				}
				if n != 5 {
					t.Errorf("%+v: got %d, want 5", f, n)
				}
			}
		})
		u = must(s.User(ctx, x.scope, u.ID))(t)
		wantCode(t, s.DeleteUser(ctx, x.scope, u.ID, u.Version), "")
		if d := must(s.Document(ctx, controlapi.DefaultGroupID))(t); len(d.Denied) != 1 {
			t.Errorf("got %+v, want the deleted user denied", d.Denied)
		}
		wantCode(t, s.VerifyLedger(ctx, op), "")
		wantCode(t, s.VerifyAudit(ctx, op), "")
	})
}
