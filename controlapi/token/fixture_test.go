package token_test

import (
	"net/netip"
	"testing"

	"github.com/headrace/headrace/controlapi/token"
)

// The world of these tests: one edge, three resellers, one second.
const (
	now          = 1893456000
	houseSecret  = "house-secret-0000000000000000000"
	oldSecret    = "house-previous-secret-00000000000000000"
	guestSecret  = "guest-secret-00000000000000000000000000000000000000000000000000-"
	edgesSecret  = "edge_secret_00000000000000000000000000000000"
	clientOctets = "203.0.113.9"
)

func world() token.Config {
	return token.Config{
		Keys: []token.Key{
			{KeyRef: token.KeyRef{Reseller: "house", Kid: "1"}, Secret: oldSecret, NotAfter: now + 100},
			{KeyRef: token.KeyRef{Reseller: "house", Kid: "2"}, Secret: houseSecret},
			{KeyRef: token.KeyRef{Reseller: "guest", Kid: "2"}, Secret: guestSecret},
			{KeyRef: token.KeyRef{Reseller: token.EdgeReseller, Kid: "2"}, Secret: edgesSecret},
		},
		DefaultKey: token.KeyRef{Reseller: "house", Kid: "2"},
		Grants: map[string]token.Grant{
			"house": {
				Show: []string{"news", "sport"}, Publish: []string{"news"},
				Bouquets: map[string][]string{"basic": {"news", "foreign"}},
			},
			"guest":            {Show: []string{"news"}},
			token.EdgeReseller: {Relay: []string{"news"}},
		},
		Denied: []token.Denial{{Reseller: "house", User: "gone", Until: now}, {Reseller: "house", User: "back", Until: now - 1}},
	}
}

func newVerifier(t testing.TB, c token.Config) *token.Verifier {
	t.Helper()
	v, err := token.NewVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// viewer is what an ordinary viewer's token says.
func viewer() token.Claims {
	return token.Claims{Kid: "2", Reseller: "house", User: "1007", ID: "news", Expires: now + 3600}
}

// everyClaim is a viewer's token with all options.
func everyClaim() token.Claims {
	c := viewer()
	c.Max, c.Network, c.Operation = 2, netip.MustParsePrefix("203.0.113.0/24"), token.CatchUp
	c.NotBefore, c.Session = now-7200, "7f3a9c21"
	return c
}

// request is what an ordinary viewer asks.
func request() token.Request {
	return token.Request{Stream: "news", Client: netip.MustParseAddr(clientOctets), Now: now}
}

func mint(t testing.TB, c token.Claims, secret string) string {
	t.Helper()
	tok, err := token.Mint(c, secret)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}
