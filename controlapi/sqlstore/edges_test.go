package sqlstore

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// joined is an edge that has redeemed its join code.
func joined(t testing.TB, s *Store, id string) controlapi.Edge {
	t.Helper()
	_, code, err := s.CreateEdge(t.Context(), s.LocalOperator(), controlapi.EdgeCreate{ID: id, URL: "https://" + id + ".example"})
	if err != nil {
		t.Fatal(err)
	}
	e, _, err := s.RedeemJoinCode(t.Context(), code.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEdgeJoins(t *testing.T) {
	t.Parallel()
	for _, d := range []dialect{dialectSQLite, dialectPostgres} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			time0 := &clock{time.Unix(1_800_000_000, 0)}
			s := openTest(t, newDatabase(t, d), Options{Now: time0.now})
			ctx, op := t.Context(), s.LocalOperator()
			_, code, err := s.CreateEdge(ctx, op, controlapi.EdgeCreate{ID: "edge-1", URL: "https://edge-1.example", Location: &controlapi.Location{Latitude: 52, Longitude: 4}})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = s.CreateEdge(ctx, op, controlapi.EdgeCreate{ID: "edge-1", URL: "https://edge-1.example"})
			wantCode(t, err, controlapi.CodeExists)
			_, _, err = s.RedeemJoinCode(ctx, strings.Replace(code.Reveal(), code.Reveal()[13:15], "__", 1))
			wantCode(t, err, controlapi.CodeUnauthenticated)
			e, credential, err := s.RedeemJoinCode(ctx, code.Reveal())
			if err != nil || !e.Joined {
				t.Fatal(e, err)
			}
			_, _, err = s.RedeemJoinCode(ctx, code.Reveal())
			wantCode(t, err, controlapi.CodeUnauthenticated)
			who := must(s.AuthenticateEdge(ctx, credential.Reveal()))(t)
			if who.ID != "edge-1" || who.GroupID != controlapi.DefaultGroupID {
				t.Errorf("got %+v", who)
			}
			targets := must(s.ProbeTargets(ctx))(t)
			if len(targets) != 1 || !bytes.Equal(targets[0].ProbeKey, controlapi.ProbeKey(credential)) || targets[0].Location.Latitude != 52 {
				t.Errorf("got %+v", targets)
			}

			// What comes late takes nothing back.
			for _, a := range []controlapi.Ack{{Epoch: 1, Version: 5}, {Epoch: 1, Version: 4}, {Epoch: 1, Version: 6, Rejected: "stream \"x\" has\nno source"}} {
				wantCode(t, s.RecordAck(ctx, "edge-1", a), "")
			}
			r := must(s.Edge(ctx, op, "edge-1"))(t).Report
			if r.Version != 5 || r.RejectedVersion != 6 || r.RejectedReason != `stream "x" has no source` {
				t.Errorf("got %+v", r)
			}
			wantCode(t, s.RecordAck(ctx, "edge-1", controlapi.Ack{Epoch: 2, Version: 1}), "")
			if r := must(s.Edge(ctx, op, "edge-1"))(t).Report; r.Epoch != 2 || r.Version != 1 {
				t.Errorf("got %+v, want the new epoch's version", r)
			}

			e = must(s.RevokeEdge(ctx, op, e.ID, e.Version))(t)
			_, err = s.AuthenticateEdge(ctx, credential.Reveal())
			wantCode(t, err, controlapi.CodeUnauthenticated)
			e, code, err = s.NewJoinCode(ctx, op, e.ID, e.Version)
			if err != nil {
				t.Fatal(err)
			}
			time0.at = time0.at.Add(joinCodeLife + time.Second)
			_, _, err = s.RedeemJoinCode(ctx, code.Reveal())
			wantCode(t, err, controlapi.CodeUnauthenticated)
			_, code, err = s.NewJoinCode(ctx, op, e.ID, e.Version)
			if err != nil {
				t.Fatal(err)
			}
			if e, _, err = s.RedeemJoinCode(ctx, code.Reveal()); err != nil || e.State != controlapi.EdgeActive {
				t.Errorf("got %+v, %v, want it active again", e, err)
			}
			scope := as(t, s, newReseller(t, s, "").ID)
			_, err = s.Edge(ctx, scope, e.ID)
			wantCode(t, err, controlapi.CodeNotFound)
			wantCode(t, s.DeleteEdge(ctx, op, e.ID, e.Version), "")
		})
	}
}

func TestAssignments(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx, op := t.Context(), s.LocalOperator()
		e1, e2 := joined(t, s, "edge_1"), joined(t, s, "edge_2")
		x := newStream(t, s, op, "news")
		if done := must(s.CommitAssignment(ctx, x.ID, 0, e1.ID, []string{e2.ID}))(t); !done {
			t.Error("the first was refused")
		}
		if done := must(s.CommitAssignment(ctx, x.ID, 0, e2.ID, nil))(t); done {
			t.Error("one that came late was taken")
		}
		wantCode(t, s.RaiseNumbers(ctx, []controlapi.Numbers{{StreamID: x.ID, MSN: 99, Discontinuity: 3}, {StreamID: "gone", MSN: 1}}), "")
		wantCode(t, s.RaiseNumbers(ctx, []controlapi.Numbers{{StreamID: x.ID, MSN: 50, Discontinuity: 4}}), "")
		d := must(s.Document(ctx, controlapi.DefaultGroupID))(t)
		if got := d.Streams[0]; got.Primary != e1.ID || got.AssignmentRev != 1 || got.MinMSN != 100 || got.MinDiscontinuity != 5 || len(got.Relays) != 1 {
			t.Errorf("got %+v", got)
		}
		// Of one moment, whoever builds it and whenever.
		if again := must(s.Document(ctx, controlapi.DefaultGroupID))(t); d.IssuedAt != again.IssuedAt || time.Since(time.Unix(d.IssuedAt, 0)) > time.Minute {
			t.Errorf("got issued_at %d and then %d", d.IssuedAt, again.IssuedAt)
		}
		must(s.RevokeEdge(ctx, op, e1.ID, e1.Version))(t)
		d = must(s.Document(ctx, controlapi.DefaultGroupID))(t)
		if err := d.Check(); err != nil || d.Streams[0].Primary != "" || len(d.Edges) != 1 {
			t.Errorf("got %v, primary %q, want a revoked edge out of the snapshot", err, d.Streams[0].Primary)
		}
		_, err := s.PinStream(ctx, op, x.ID, x.Version, controlapi.Pin{Primary: "none"})
		wantCode(t, err, controlapi.CodeInvalid)
		x = must(s.PinStream(ctx, op, x.ID, x.Version, controlapi.Pin{Primary: e2.ID}))(t)
		wantCode(t, s.DeleteEdge(ctx, op, e2.ID, e2.Version), controlapi.CodeConflict)
		all := must(s.AllAssignments(ctx))(t)
		if len(all) != 1 || all[0].Pin.Primary != e2.ID || all[0].Replicas != 2 {
			t.Errorf("got %+v", all)
		}
		must(s.PinStream(ctx, op, x.ID, x.Version, controlapi.Pin{}))(t)
		wantCode(t, s.DeleteEdge(ctx, op, e2.ID, e2.Version), "")
	})
}

func TestVotes(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		joined(t, s, "edge-1")
		cast := func(instance string, down ...string) (int, int) {
			t.Helper()
			n, others, err := s.CastVotes(ctx, instance, down, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			return n, others["edge-1"]
		}
		if n, down := cast("a", "edge-1", "gone"); n != 1 || down != 0 {
			t.Errorf("got %d instances and %d votes of others, want 1 and 0", n, down)
		}
		if n, down := cast("b"); n != 2 || down != 1 {
			t.Errorf("got %d instances and %d votes of others, want 2 and 1", n, down)
		}
		cast("a")
		if _, down := cast("b"); down != 0 {
			t.Errorf("got %d votes, want the vote taken back", down)
		}
	})
}
