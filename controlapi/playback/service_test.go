package playback_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/nodehealth"
	"github.com/headrace/headrace/controlapi/playback"
	"github.com/headrace/headrace/controlapi/routing"
	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/controlapi/token"
)

// verifier is what the edges of the group would check a token with.
func verifier(t testing.TB, x *shop) *token.Verifier {
	t.Helper()
	doc := must(x.store.Document(context.Background(), controlapi.DefaultGroupID))(t)
	return must(token.NewVerifier(configOf(doc)))(t)
}

func configOf(doc *snapshot.Document) token.Config {
	c := token.Config{Grants: make(map[string]token.Grant)}
	for _, k := range doc.Keys {
		c.Keys = append(c.Keys, token.Key{KeyRef: token.KeyRef{Reseller: k.Reseller, Kid: k.KeyID}, Secret: k.Secret, NotAfter: k.NotAfter})
	}
	for reseller, g := range doc.Grants {
		c.Grants[reseller] = token.Grant{Show: g.Show, Publish: g.Publish, Relay: g.Relay, Bouquets: g.Bouquets}
	}
	return c
}

func TestIssue(t *testing.T) {
	x := newShop(t, database(t, "sqlite"))
	s := playback.New(x.store, edges(edge("edge-1")), nil)
	ctx := t.Context()
	got := must(s.Issue(ctx, x.scope, playback.Request{UserID: x.user.ID, StreamID: shown}))(t)
	if want := "https://edge-1.example.com/live/" + got.Token + "/501/index.m3u8"; got.URL != want {
		t.Errorf("got %q, want %q", got.URL, want)
	}
	if got.EdgeID != "edge-1" || len(got.Why) != 1 || !got.Why[0].Chosen {
		t.Errorf("got %+v", got)
	}
	if left := time.Until(got.ExpiresAt); left < 2*time.Hour-time.Minute || left > 2*time.Hour {
		t.Errorf("the token lives for %v, want the plan's two hours", left)
	}
	v := verifier(t, x)
	claims, reason := v.Verify(got.Token, token.Request{Stream: shown, Client: dutch, Now: time.Now().Unix()})
	if reason != token.Accepted || claims.Max != 2 || claims.User != x.user.ID || claims.Reseller != x.reseller.ID || claims.Session == "" || claims.Network.IsValid() {
		t.Errorf("an edge says %v of %+v", reason, claims)
	}
	again := must(s.Issue(ctx, x.scope, playback.Request{UserID: x.user.ID, StreamID: shown}))(t)
	if c, _ := token.Parse(again.Token); c.Session == claims.Session {
		t.Error("two viewers have one session")
	}

	t.Run("a bouquet", func(t *testing.T) {
		got := must(s.Issue(ctx, x.scope, playback.Request{UserID: x.user.ID, BouquetID: x.bouquet.ID}))(t)
		if !strings.HasSuffix(got.URL, "/{stream}/index.m3u8") {
			t.Errorf("got %q", got.URL)
		}
		for stream, want := range map[string]token.Reason{shown: token.Accepted, hidden: token.WrongStream, pushed: token.WrongStream} {
			if _, reason := v.Verify(got.Token, token.Request{Stream: stream, Now: time.Now().Unix()}); reason != want {
				t.Errorf("stream %s: an edge says %v, want %v", stream, reason, want)
			}
		}
	})
	t.Run("bound to a network", func(t *testing.T) {
		got := must(s.Issue(ctx, x.scope, playback.Request{UserID: x.user.ID, StreamID: shown, Client: dutch, BindOctets: 3}))(t)
		for client, want := range map[string]token.Reason{"203.0.113.200": token.Accepted, "203.0.114.1": token.WrongAddress} {
			if _, reason := v.Verify(got.Token, token.Request{Stream: shown, Client: netip.MustParseAddr(client), Now: time.Now().Unix()}); reason != want {
				t.Errorf("%s: an edge says %v, want %v", client, reason, want)
			}
		}
	})
	t.Run("no longer than the subscription", func(t *testing.T) {
		u := must(x.store.User(ctx, x.scope, x.user.ID))(t)
		late := playback.New(x.store, edges(edge("edge-1")), nil)
		late.SetClock(func() time.Time { return u.ExpiresAt.Add(-time.Minute) })
		got := must(late.Issue(ctx, x.scope, playback.Request{UserID: x.user.ID, StreamID: shown}))(t)
		if want := u.ExpiresAt.Truncate(time.Second); !got.ExpiresAt.Equal(want) {
			t.Errorf("the token is good until %v, want %v", got.ExpiresAt, want)
		}
		late.SetClock(func() time.Time { return u.ExpiresAt.Add(time.Second) })
		_, err := late.Issue(ctx, x.scope, playback.Request{UserID: x.user.ID, StreamID: shown})
		wantError(t, err, controlapi.CodeForbidden, "ended")
	})
}

func TestIssueRefuses(t *testing.T) {
	x := newShop(t, database(t, "sqlite"))
	other := must(x.store.CreateReseller(t.Context(), x.operator, controlapi.ResellerCreate{Name: "Other"}))(t)
	_, secret, err := x.store.CreateAPIKey(t.Context(), x.operator, controlapi.APIKeyCreate{ResellerID: other.ID, Name: "test", Permissions: []controlapi.Permission{controlapi.PermissionPlayback}})
	if err != nil {
		t.Fatal(err)
	}
	stranger := must(x.store.Authenticate(t.Context(), secret))(t)
	all := edges(edge("edge-1"))
	for _, tt := range []struct {
		name    string
		scope   controlapi.Scope
		request playback.Request
		nodes   *nodes
		code    controlapi.Code
		text    string
	}{
		{"neither stream nor bouquet", x.scope, playback.Request{UserID: x.user.ID}, all, controlapi.CodeInvalid, "one of them"},
		{"both", x.scope, playback.Request{UserID: x.user.ID, StreamID: shown, BouquetID: "sports"}, all, controlapi.CodeInvalid, "one of them"},
		{"bound without an address", x.scope, playback.Request{UserID: x.user.ID, StreamID: shown, BindOctets: 3}, all, controlapi.CodeInvalid, "address"},
		{"bound to more than there is", x.scope, playback.Request{UserID: x.user.ID, StreamID: shown, Client: dutch, BindOctets: 5}, all, controlapi.CodeInvalid, "4 octets"},
		{"no such user", x.scope, playback.Request{UserID: "nobody", StreamID: shown}, all, controlapi.CodeNotFound, "user"},
		{"a user out of scope", stranger, playback.Request{UserID: x.user.ID, StreamID: shown}, all, controlapi.CodeNotFound, "user"},
		{"a stream that the reseller may not show", x.scope, playback.Request{UserID: x.user.ID, StreamID: hidden}, all, controlapi.CodeForbidden, "include"},
		{"a stream that the plan does not have", x.scope, playback.Request{UserID: x.user.ID, StreamID: pushed}, all, controlapi.CodeForbidden, "include"},
		{"no such stream", x.scope, playback.Request{UserID: x.user.ID, StreamID: "x"}, all, controlapi.CodeForbidden, "include"},
		{"no such bouquet", x.scope, playback.Request{UserID: x.user.ID, BouquetID: "x"}, all, controlapi.CodeForbidden, "include"},
		{"no edge has it", x.scope, playback.Request{UserID: x.user.ID, StreamID: shown}, edges(edge("edge-1", without(shown))), controlapi.CodeUnavailable, "no edge"},
		{"no edge at all", x.scope, playback.Request{UserID: x.user.ID, StreamID: shown}, edges(), controlapi.CodeUnavailable, "no edge"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := playback.New(x.store, tt.nodes, nil).Issue(t.Context(), tt.scope, tt.request)
			wantError(t, err, tt.code, tt.text)
		})
	}
	ask := func() error {
		_, err := playback.New(x.store, all, nil).Issue(t.Context(), x.scope, playback.Request{UserID: x.user.ID, StreamID: shown})
		return err
	}
	yes, no := true, false
	must(x.store.UpdateUser(t.Context(), x.scope, x.user.ID, x.user.Version, controlapi.UserUpdate{Suspended: &yes}))(t)
	wantError(t, ask(), controlapi.CodeForbidden, "account is suspended")
	u := must(x.store.User(t.Context(), x.scope, x.user.ID))(t)
	must(x.store.UpdateUser(t.Context(), x.scope, x.user.ID, u.Version, controlapi.UserUpdate{Suspended: &no}))(t)
	if err := ask(); err != nil {
		t.Errorf("after the suspension: %v", err)
	}
	r := must(x.store.Reseller(t.Context(), x.operator, x.reseller.ID))(t)
	must(x.store.UpdateReseller(t.Context(), x.operator, x.reseller.ID, r.Version, controlapi.ResellerUpdate{Suspended: &yes}))(t)
	wantError(t, ask(), controlapi.CodeForbidden, "provider")
}

func wantError(t *testing.T, err error, code controlapi.Code, text string) {
	t.Helper()
	if controlapi.CodeOf(err) != code || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %s and %q in it", err, code, text)
	}
}

func TestIssueChoosesAnEdge(t *testing.T) {
	x := newShop(t, database(t, "sqlite"))
	amsterdam, boston := located(52.37, 4.90), located(42.36, -71.06)
	state := func(s nodehealth.State) func(*nodehealth.Node) { return func(n *nodehealth.Node) { n.State = s } }
	for _, tt := range []struct {
		name   string
		client netip.Addr
		edges  []nodehealth.Node
		want   string
	}{
		{"the near one", dutch, []nodehealth.Node{edge("edge-1", amsterdam), edge("edge-2", boston)}, "edge-1"},
		{"the near one, from the other side", yankee, []nodehealth.Node{edge("edge-1", amsterdam), edge("edge-2", boston)}, "edge-2"},
		{"the one that has the stream", dutch, []nodehealth.Node{edge("edge-1", amsterdam, without(shown)), edge("edge-2", boston)}, "edge-2"},
		{"a degraded one only where no healthy one can", dutch, []nodehealth.Node{edge("edge-1", amsterdam, state(nodehealth.Degraded)), edge("edge-2", boston)}, "edge-2"},
		{"the degraded one, where no healthy one can", dutch, []nodehealth.Node{edge("edge-1", state(nodehealth.Degraded)), edge("edge-2", state(nodehealth.Down))}, "edge-1"},
		{"one of its own group", dutch, []nodehealth.Node{edge("edge-1", func(n *nodehealth.Node) { n.GroupID = "other" }), edge("edge-2")}, "edge-2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := playback.New(x.store, edges(tt.edges...), atlas{})
			got := must(s.Issue(t.Context(), x.scope, playback.Request{UserID: x.user.ID, StreamID: shown, Client: tt.client}))(t)
			if got.EdgeID != tt.want {
				t.Errorf("got %s, want %s: %+v", got.EdgeID, tt.want, got.Why)
			}
			why := must(s.Route(t.Context(), x.scope, shown, x.user.ID, tt.client))(t)
			for _, e := range why {
				if e.Chosen != (e.Edge == tt.want) {
					t.Errorf("the route explains %+v", e)
				}
			}
		})
	}
	s := playback.New(x.store, edges(edge("edge-1")), nil)
	_, err := s.Route(t.Context(), x.scope, "x", "", nowhere)
	wantError(t, err, controlapi.CodeNotFound, "stream")
}

// TestCrowd sends more viewers than one edge can carry within a moment, before any probe
// can show them.
func TestCrowd(t *testing.T) {
	x := newShop(t, database(t, "sqlite"))
	// Each has room for ten viewers of 4 Mbit/s; the score prefers the first by far.
	room := func(score int) func(*nodehealth.Node) {
		return func(n *nodehealth.Node) { n.Capacity.Egress, n.Score = 40e6, score }
	}
	s := playback.New(x.store, edges(edge("edge-1", room(100)), edge("edge-2", room(40))), nil)
	now := time.Now()
	s.SetClock(func() time.Time { return now })
	counts := map[string]int{}
	issue := func() error {
		got, err := s.Issue(t.Context(), x.scope, playback.Request{UserID: x.user.ID, StreamID: shown})
		counts[got.EdgeID]++
		return err
	}
	for range 20 {
		if err := issue(); err != nil {
			t.Fatal(err)
		}
	}
	if counts["edge-1"] != 10 || counts["edge-2"] != 10 {
		t.Errorf("got %v, want both edges full", counts)
	}
	wantError(t, issue(), controlapi.CodeUnavailable, "no edge")
	now = now.Add(3 * time.Second) // by now they would show in a probe
	if err := issue(); err != nil {
		t.Errorf("after 3 s: %v", err)
	}
}

func TestEnter(t *testing.T) {
	x := newShop(t, database(t, "sqlite"))
	s := playback.New(x.store, edges(edge("edge-1")), nil)
	ctx := t.Context()
	_, key, err := x.store.CreatePlayKey(ctx, x.scope, x.user.ID, "tv")
	if err != nil {
		t.Fatal(err)
	}
	url := must(s.EnterByKey(ctx, shown, key, dutch))(t)
	v := verifier(t, x)
	if _, reason := v.Verify(tokenOf(t, url), token.Request{Stream: shown, Now: time.Now().Unix()}); reason != token.Accepted {
		t.Errorf("an edge says %v", reason)
	}
	_, err = s.EnterByKey(ctx, shown, "hpk_00000000_0000000000000000000000000000000000000000000", dutch)
	wantError(t, err, controlapi.CodeUnauthenticated, "")
	_, err = s.EnterByKey(ctx, hidden, key, dutch)
	wantError(t, err, controlapi.CodeForbidden, "include")

	text := tokenOf(t, url)
	if again := must(s.EnterByToken(ctx, shown, text, dutch))(t); again != url {
		t.Errorf("got %q, want %q", again, url)
	}
	short := must(token.Mint(token.Claims{Short: true, ID: shown, Expires: time.Now().Unix() + 60}, strings.Repeat("s", 43)))(t)
	if got := must(s.EnterByToken(ctx, shown, short, dutch))(t); !strings.HasSuffix(got, "/live/"+short+"/501/index.m3u8") {
		t.Errorf("got %q", got)
	}
	expired := must(token.Mint(token.Claims{Short: true, ID: shown, Expires: time.Now().Unix() - 1}, strings.Repeat("s", 43)))(t)
	publish := must(token.Mint(token.Claims{Kid: "1", Reseller: "r", User: "u", ID: shown, Operation: token.Publish, Expires: time.Now().Unix() + 60}, strings.Repeat("s", 43)))(t)
	every := must(token.Mint(token.Claims{Kid: "1", Reseller: "r", User: "u", Scope: token.AllStreams, Expires: time.Now().Unix() + 60}, strings.Repeat("s", 43)))(t)
	for _, tt := range []struct {
		name, stream, token string
		code                controlapi.Code
	}{
		{"no token", shown, "x", controlapi.CodeUnauthenticated},
		{"a token for another stream", hidden, text, controlapi.CodeUnauthenticated},
		{"an expired token", shown, expired, controlapi.CodeUnauthenticated},
		{"an encoder's token", shown, publish, controlapi.CodeUnauthenticated},
		{"a stream that no edge knows", "x", every, controlapi.CodeNotFound},
	} {
		_, err := s.EnterByToken(ctx, tt.stream, tt.token, dutch)
		if got := controlapi.CodeOf(err); got != tt.code {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.code)
		}
		if err != nil && strings.Contains(err.Error(), tt.token) && len(tt.token) > 1 {
			t.Errorf("%s: the error holds the token", tt.name)
		}
	}
	must(s.EnterByToken(ctx, hidden, every, dutch))(t)
}

func TestPublish(t *testing.T) {
	x := newShop(t, database(t, "sqlite"))
	old := func(n *nodehealth.Node) {
		n.Streams[pushed] = nodehealth.Stream{ID: pushed, State: "live", Role: "primary", AssignmentRev: 0}
	}
	relay := func(n *nodehealth.Node) {
		n.Streams[pushed] = nodehealth.Stream{ID: pushed, State: "live", Role: "relay", AssignmentRev: 9}
	}
	s := playback.New(x.store, edges(edge("edge-1", old), edge("edge-2"), edge("edge-3", relay)), nil)
	got := must(s.Publish(t.Context(), x.scope, pushed, time.Hour))(t)
	text, found := strings.CutPrefix(got.StreamKey, pushed+"?token=")
	if got.Server != "rtmp://edge-2.example.com:1935/live" || got.EdgeID != "edge-2" || !found {
		t.Errorf("got %+v", got)
	}
	v := verifier(t, x)
	if _, reason := v.Verify(text, token.Request{Stream: pushed, Operation: token.Publish, Now: time.Now().Unix()}); reason != token.Accepted {
		t.Errorf("an edge says %v", reason)
	}
	if _, reason := v.Verify(text, token.Request{Stream: pushed, Now: time.Now().Unix()}); reason != token.WrongOperation {
		t.Errorf("to a player an edge says %v", reason)
	}
	for _, tt := range []struct {
		name   string
		scope  controlapi.Scope
		stream string
		nodes  *nodes
		code   controlapi.Code
	}{
		{"a stream that the reseller may only show", x.scope, shown, edges(edge("edge-1")), controlapi.CodeForbidden},
		{"a stream that it does not see", x.scope, hidden, edges(edge("edge-1")), controlapi.CodeNotFound},
		{"a stream that is pulled", x.operator, shown, edges(edge("edge-1")), controlapi.CodeConflict},
		{"no edge has it", x.scope, pushed, edges(edge("edge-1", relay)), controlapi.CodeUnavailable},
	} {
		_, err := playback.New(x.store, tt.nodes, nil).Publish(t.Context(), tt.scope, tt.stream, time.Hour)
		if got := controlapi.CodeOf(err); got != tt.code {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.code)
		}
	}
}

// TestReportedEdge is an edge that cannot be probed: what it carries is what it was given.
func TestReportedEdge(t *testing.T) {
	x := newShop(t, database(t, "sqlite"))
	silent := func(n *nodehealth.Node) { n.Streams = nil }
	s := playback.New(x.store, edges(edge("edge-1", silent), edge("edge-2", silent)), nil)
	_, err := s.Issue(t.Context(), x.scope, playback.Request{UserID: x.user.ID, StreamID: shown})
	wantError(t, err, controlapi.CodeUnavailable, "no edge")
	if done := must(x.store.CommitAssignment(t.Context(), shown, 0, "edge-2", nil))(t); !done {
		t.Fatal("the assignment was not committed")
	}
	got := must(s.Issue(t.Context(), x.scope, playback.Request{UserID: x.user.ID, StreamID: shown}))(t)
	if got.EdgeID != "edge-2" || got.Why[0].Refused != routing.RefusedSnapshot {
		t.Errorf("got %+v", got)
	}
}
