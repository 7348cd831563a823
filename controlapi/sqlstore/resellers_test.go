package sqlstore

import (
	"testing"

	"github.com/headrace/headrace/controlapi"
)

func TestResellers(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx, op := t.Context(), s.LocalOperator()
		a := newReseller(t, s, "")
		b := newReseller(t, s, "")
		child := newReseller(t, s, a.ID)
		if want := a.Path + child.ID + "/"; child.Path != want || child.ParentID != a.ID {
			t.Errorf("got path %s below %s, want %s", child.Path, child.ParentID, want)
		}
		scope := as(t, s, a.ID)

		t.Run("a scope ends at its subtree", func(t *testing.T) {
			for _, id := range []string{b.ID, controlapi.OperatorID, "none"} {
				_, err := s.Reseller(ctx, scope, id)
				wantCode(t, err, controlapi.CodeNotFound)
				_, err = s.CreateReseller(ctx, scope, controlapi.ResellerCreate{ParentID: id, Name: "x"})
				wantCode(t, err, controlapi.CodeNotFound)
			}
			must(s.Reseller(ctx, scope, child.ID))(t)
		})
		t.Run("pages hold all, each once", func(t *testing.T) {
			seen := map[string]int{}
			p := controlapi.Page{Limit: 1}
			for {
				l := must(s.Resellers(ctx, op, "", p))(t)
				for _, r := range l.Items {
					seen[r.ID]++
				}
				if p.After = l.Next; l.Next == "" {
					break
				}
			}
			if len(seen) != 4 {
				t.Errorf("got %d resellers, want 4", len(seen))
			}
			for id, n := range seen {
				if n != 1 {
					t.Errorf("%s is listed %d times", id, n)
				}
			}
			if l := must(s.Resellers(ctx, scope, "", controlapi.Page{}))(t); len(l.Items) != 2 {
				t.Errorf("got %d in the subtree, want 2", len(l.Items))
			}
		})
		t.Run("limits are the operator's", func(t *testing.T) {
			limit := int64(5)
			_, err := s.UpdateReseller(ctx, scope, child.ID, child.Version, controlapi.ResellerUpdate{CreditLimit: &limit})
			wantCode(t, err, controlapi.CodeForbidden)
			got := must(s.UpdateReseller(ctx, op, child.ID, child.Version, controlapi.ResellerUpdate{CreditLimit: &limit}))(t)
			if got.CreditLimit != 5 || got.Version != child.Version+1 {
				t.Errorf("got %+v", got)
			}
			_, err = s.UpdateReseller(ctx, op, child.ID, child.Version, controlapi.ResellerUpdate{CreditLimit: &limit})
			wantCode(t, err, controlapi.CodePreconditionFailed)
			_, err = s.UpdateReseller(ctx, op, child.ID, 0, controlapi.ResellerUpdate{CreditLimit: &limit})
			wantCode(t, err, controlapi.CodePreconditionRequired)
		})
		t.Run("suspending stops all below", func(t *testing.T) {
			key, secret, err := s.CreateAPIKey(ctx, op, controlapi.APIKeyCreate{ResellerID: child.ID, Name: "k", Permissions: []controlapi.Permission{controlapi.PermissionRead}})
			if err != nil {
				t.Fatal(err)
			}
			yes, no := true, false
			r := must(s.UpdateReseller(ctx, op, a.ID, a.Version, controlapi.ResellerUpdate{Suspended: &yes}))(t)
			if c := must(s.Reseller(ctx, op, child.ID))(t); !c.Halted || c.Suspended {
				t.Errorf("got %+v, want it halted", c)
			}
			_, err = s.Authenticate(ctx, secret)
			wantCode(t, err, controlapi.CodeForbidden)
			must(s.UpdateReseller(ctx, op, a.ID, r.Version, controlapi.ResellerUpdate{Suspended: &no}))(t)
			must(s.Authenticate(ctx, secret))(t)
			must(s.RevokeAPIKey(ctx, op, key.ID, key.Version))(t)
			_, err = s.Authenticate(ctx, secret)
			wantCode(t, err, controlapi.CodeUnauthenticated)
		})
		t.Run("one with nothing left can be deleted", func(t *testing.T) {
			r := newReseller(t, s, b.ID)
			must(s.Credit(ctx, op, controlapi.Movement{ResellerID: r.ID, Amount: 5, Reason: "test"}))(t)
			wantCode(t, s.DeleteReseller(ctx, op, b.ID, b.Version), controlapi.CodeConflict)
			wantCode(t, s.DeleteReseller(ctx, op, r.ID, r.Version), controlapi.CodeConflict)
			must(s.Credit(ctx, op, controlapi.Movement{ResellerID: r.ID, Amount: -5, Reason: "test"}))(t)
			wantCode(t, s.DeleteReseller(ctx, op, r.ID, r.Version), "")
			_, err := s.Reseller(ctx, op, r.ID)
			wantCode(t, err, controlapi.CodeNotFound)
		})
		wantCode(t, s.VerifyAudit(ctx, op), "")
		wantCode(t, s.VerifyLedger(ctx, op), "")
	})
}

func TestDepth(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		parent := ""
		for range controlapi.MaxResellerDepth {
			parent = newReseller(t, s, parent).ID
		}
		_, err := s.CreateReseller(t.Context(), s.LocalOperator(), controlapi.ResellerCreate{ParentID: parent, Name: "too deep"})
		wantCode(t, err, controlapi.CodeInvalid)
	})
}
