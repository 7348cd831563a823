package token_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/controlapi/token"
)

// verdict is a token, a request, and what a verifier of world must say.
type verdict struct {
	name    string
	token   string
	request token.Request
	open    int // other sessions
	want    token.Reason
}

// verdicts has one case for each reason, and acceptance in both forms.
func verdicts(t testing.TB) []verdict {
	with := func(change func(*token.Claims)) string {
		c := viewer()
		change(&c)
		return mint(t, c, houseSecret)
	}
	good, full := mint(t, viewer(), houseSecret), request()
	full.Operation = token.CatchUp
	return []verdict{
		{"short form", mint(t, token.Claims{Short: true, ID: "news", Expires: now}, houseSecret), request(), 9, token.Accepted},
		{"long form", good, request(), 9, token.Accepted},
		{"every claim", mint(t, everyClaim(), houseSecret), full, 1, token.Accepted},
		{"bouquet", with(func(c *token.Claims) { c.Scope, c.ID = token.OneBouquet, "basic" }), request(), 0, token.Accepted},
		{"all streams", with(func(c *token.Claims) { c.Scope, c.ID = token.AllStreams, "" }), request(), 0, token.Accepted},
		{"malformed", strings.ToUpper(good), request(), 0, token.Malformed},
		{"unknown key", with(func(c *token.Claims) { c.Kid = "3" }), request(), 0, token.UnknownKey},
		{"bad signature", mint(t, viewer(), guestSecret), request(), 0, token.BadSignature},
		{"expired", with(func(c *token.Claims) { c.Expires = now - 1 }), request(), 0, token.Expired},
		{"not yet valid", with(func(c *token.Claims) { c.NotBefore = now + 61 }), request(), 0, token.NotYetValid},
		{"wrong operation", with(func(c *token.Claims) { c.Operation = token.Publish }), request(), 0, token.WrongOperation},
		{"wrong stream", with(func(c *token.Claims) { c.ID = "sport" }), request(), 0, token.WrongStream},
		{"not entitled", with(func(c *token.Claims) { c.ID = "foreign" }), asking("foreign"), 0, token.NotEntitled},
		{"wrong address", with(func(c *token.Claims) { c.Network = netip.MustParsePrefix("2001:db8::/32") }), request(), 0, token.WrongAddress},
		{"revoked", with(func(c *token.Claims) { c.User = "gone" }), request(), 0, token.Revoked},
		{"too many connections", with(func(c *token.Claims) { c.Max = 3 }), request(), 3, token.TooManyConnections},
	}
}

func asking(stream string) token.Request {
	r := request()
	r.Stream = stream
	return r
}

// decide is all that a caller does with a token.
func decide(v *token.Verifier, c verdict) token.Reason {
	claims, reason := v.Verify(c.token, c.request)
	if reason == token.Accepted && !claims.WithinMax(c.open) {
		return token.TooManyConnections
	}
	return reason
}

func TestVerifyReasons(t *testing.T) {
	v := newVerifier(t, world())
	seen := make(map[token.Reason]bool)
	for _, c := range verdicts(t) {
		t.Run(c.name, func(t *testing.T) {
			if got := decide(v, c); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
		seen[c.want] = true
	}
	for _, reason := range token.Reasons() {
		if !seen[reason] {
			t.Errorf("no case ends in %v", reason)
		}
	}
}

func TestVerifyDoesNotAllocate(t *testing.T) {
	v := newVerifier(t, world())
	for _, c := range verdicts(t) {
		t.Run(c.name, func(t *testing.T) {
			got := testing.AllocsPerRun(200, func() { decide(v, c) })
			if got > allowedAllocations {
				t.Errorf("got %v allocations, want %d", got, allowedAllocations)
			}
		})
	}
}

func TestVerifyFromManyGoroutines(t *testing.T) {
	v := newVerifier(t, world())
	var wg sync.WaitGroup
	for _, c := range verdicts(t) {
		wg.Go(func() {
			for range 300 {
				if got := decide(v, c); got != c.want {
					t.Errorf("%s: got %v, want %v", c.name, got, c.want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestVerifyReturnsClaims(t *testing.T) {
	short := token.Claims{Short: true, ID: "news", Expires: now + 3600}
	filled := short
	filled.Reseller, filled.Kid = "house", "2"
	denied := viewer()
	denied.User = "gone"
	for _, c := range []struct {
		name  string
		token string
		want  token.Claims
	}{
		{"long form", mint(t, viewer(), houseSecret), viewer()},
		{"short form has its default key", mint(t, short, houseSecret), filled},
		{"refused with a right signature", mint(t, denied, houseSecret), denied},
		{"bad signature", mint(t, viewer(), guestSecret), token.Claims{}},
		{"malformed", "news", token.Claims{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := newVerifier(t, world()).Verify(c.token, request())
			if got != c.want {
				t.Errorf("claims (-want +got):\n%s", cmp.Diff(c.want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })))
			}
		})
	}
}

// The clock's bounds are inclusive, and the key's own end is one of them.
func TestVerifyClock(t *testing.T) {
	old := viewer()
	old.Kid = "1"
	bounded := viewer()
	bounded.NotBefore = now
	none := world()
	none.SegmentGrace, none.NotBeforeLeeway = -1, -1
	long := world()
	long.SegmentGrace, long.NotBeforeLeeway = 5*time.Minute, 5*time.Minute
	for _, c := range []struct {
		name   string
		config token.Config
		claims token.Claims
		secret string
		kind   token.Kind
		second int64
		want   token.Reason
	}{
		{"playlist at the expiry", world(), viewer(), houseSecret, token.Playlist, now + 3600, token.Accepted},
		{"playlist after it", world(), viewer(), houseSecret, token.Playlist, now + 3601, token.Expired},
		{"segment at the end of the grace", world(), viewer(), houseSecret, token.Segment, now + 3660, token.Accepted},
		{"segment after it", world(), viewer(), houseSecret, token.Segment, now + 3661, token.Expired},
		{"segment at the expiry, no grace", none, viewer(), houseSecret, token.Segment, now + 3600, token.Accepted},
		{"segment after it, no grace", none, viewer(), houseSecret, token.Segment, now + 3601, token.Expired},
		{"segment in a longer grace", long, viewer(), houseSecret, token.Segment, now + 3900, token.Accepted},
		{"begin of the leeway", world(), bounded, houseSecret, token.Playlist, now - 60, token.Accepted},
		{"before the leeway", world(), bounded, houseSecret, token.Playlist, now - 61, token.NotYetValid},
		{"before the bound, no leeway", none, bounded, houseSecret, token.Playlist, now - 1, token.NotYetValid},
		{"in a longer leeway", long, bounded, houseSecret, token.Playlist, now - 300, token.Accepted},
		{"previous key at its end", world(), old, oldSecret, token.Playlist, now + 100, token.Accepted},
		{"previous key after it", world(), old, oldSecret, token.Playlist, now + 101, token.UnknownKey},
		{"previous key after it, segment", world(), old, oldSecret, token.Segment, now + 101, token.UnknownKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request()
			r.Kind, r.Now = c.kind, c.second
			_, got := newVerifier(t, c.config).Verify(mint(t, c.claims, c.secret), r)
			if got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestVerifyDenials(t *testing.T) {
	config := world()
	config.Denied = []token.Denial{
		{Reseller: "house", User: "1007", Until: now - 1},
		{Reseller: "house", User: "1007", Until: now}, // the longest counts
		{Reseller: "nobody", User: "1007", Until: now + 9},
	}
	guest := viewer()
	guest.Reseller = "guest"
	v := newVerifier(t, config)
	if _, got := v.Verify(mint(t, viewer(), houseSecret), request()); got != token.Revoked {
		t.Errorf("denied user: got %v, want %v", got, token.Revoked)
	}
	if _, got := v.Verify(mint(t, guest, guestSecret), request()); got != token.Accepted {
		t.Errorf("same user id at another reseller: got %v, want %v", got, token.Accepted)
	}
}

func TestVerifyWithoutAnyConfiguration(t *testing.T) {
	v := newVerifier(t, token.Config{})
	for _, c := range verdicts(t) {
		if got := decide(v, c); got != token.UnknownKey && got != token.Malformed {
			t.Errorf("%s: got %v, want a refusal", c.name, got)
		}
	}
}

func TestVerifyAddress(t *testing.T) {
	for _, c := range []struct {
		name    string
		network string
		client  netip.Addr
		want    token.Reason
	}{
		{"zone is dropped", "fe80::/16", netip.MustParseAddr("fe80::9%eth0"), token.Accepted},
		{"mapped client is IPv4", "203.0.113.0/24", netip.MustParseAddr("::ffff:203.0.113.9"), token.Accepted},
		{"mapped client is not IPv6", "::ffff:0:0/96", netip.MustParseAddr("::ffff:203.0.113.9"), token.WrongAddress},
		{"unknown client", "203.0.113.0/24", netip.Addr{}, token.WrongAddress},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims, r := viewer(), request()
			claims.Network, r.Client = netip.MustParsePrefix(c.network), c.client
			_, got := newVerifier(t, world()).Verify(mint(t, claims, houseSecret), r)
			if got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*token.Config)
		want   string // what the error must name
	}{
		"short secret":        {func(c *token.Config) { c.Keys[1].Secret = houseSecret[:31] }, "house/2"},
		"long secret":         {func(c *token.Config) { c.Keys[2].Secret = guestSecret + "0" }, "guest/2"},
		"secret with newline": {func(c *token.Config) { c.Keys[1].Secret = houseSecret + "\n" }, "house/2"},
		"no secret":           {func(c *token.Config) { c.Keys[1].Secret = "" }, "house/2"},
		"same key twice":      {func(c *token.Config) { c.Keys = append(c.Keys, c.Keys[1]) }, "house/2"},
		"third live key": {func(c *token.Config) {
			c.Keys = append(c.Keys, token.Key{KeyRef: token.KeyRef{Reseller: "house", Kid: "3"}, Secret: guestSecret})
		}, "house/3"},
		"secret as key id":         {func(c *token.Config) { c.Keys[1].Kid = houseSecret }, "key 2 of 4"},
		"reseller outside grammar": {func(c *token.Config) { c.Keys[0].Reseller = "a.b" }, "key 1 of 4"},
		"half a default key":       {func(c *token.Config) { c.DefaultKey.Kid = "" }, "default key"},
		"grants of no reseller":    {func(c *token.Config) { c.Grants[""] = token.Grant{} }, "reseller"},
		"shown stream":             {func(c *token.Config) { c.Grants["guest"] = token.Grant{Show: []string{"a b"}} }, `"a b"`},
		"published stream":         {func(c *token.Config) { c.Grants["guest"] = token.Grant{Publish: []string{"a/b"}} }, `"a/b"`},
		"bouquet": {func(c *token.Config) {
			c.Grants["guest"] = token.Grant{Bouquets: map[string][]string{"a:b": nil}}
		}, `"a:b"`},
		"stream of a bouquet": {func(c *token.Config) {
			c.Grants["guest"] = token.Grant{Bouquets: map[string][]string{"b": {"é"}}}
		}, `"é"`},
		"relay by a reseller": {func(c *token.Config) { c.Grants["guest"] = token.Grant{Relay: []string{"news"}} }, `"guest"`},
		"denied user":         {func(c *token.Config) { c.Denied[0].User = "" }, `"house"`},
	} {
		t.Run(name, func(t *testing.T) {
			config := world()
			c.change(&config)
			_, err := token.NewVerifier(config)
			if err == nil {
				t.Fatal("got no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want it to name %s", err, c.want)
			}
			for _, secret := range []string{houseSecret[:31], guestSecret} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q holds a secret", err)
				}
			}
		})
	}
}

func TestNewVerifierCountsLiveKeysAtNow(t *testing.T) {
	config := world()
	config.Keys = append(config.Keys, token.Key{KeyRef: token.KeyRef{Reseller: "house", Kid: "3"}, Secret: guestSecret})
	config.Now = now + 100
	if _, err := token.NewVerifier(config); err == nil {
		t.Error("three live keys: got no error")
	}
	config.Now = now + 101
	if _, err := token.NewVerifier(config); err != nil {
		t.Errorf("the oldest of three has ended: got %v", err)
	}
}

func TestWithinMax(t *testing.T) {
	for _, c := range []struct {
		name      string
		max, open int
		want      bool
	}{
		{"no limit", 0, 5000, true},
		{"first of one", 1, 0, true},
		{"second of one", 1, 1, false},
		{"last of 999", 999, 998, true},
		{"one too many", 999, 999, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := (token.Claims{Max: c.max}).WithinMax(c.open); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
