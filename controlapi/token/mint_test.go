package token_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/headrace/headrace/controlapi/token"
)

// The examples of the contract, and its line of shell.
func TestMintExamples(t *testing.T) {
	const secret = "test-secret-eu-42-2-00000000000000000000"
	long := token.Claims{Kid: "2", Reseller: "42", User: "1007", ID: "501", Expires: 1893459600}
	bouquet, publish, full := long, long, long
	bouquet.Scope, bouquet.ID = token.OneBouquet, "sports"
	publish.Operation = token.Publish
	full.Max, full.Network, full.Operation = 2, netip.MustParsePrefix("203.0.113.0/24"), token.CatchUp
	full.NotBefore, full.Session = 1893448800, "7f3a9c21"
	for _, c := range []struct {
		name   string
		claims token.Claims
		want   string
	}{
		{
			"short form",
			token.Claims{Short: true, ID: "501", Expires: 1893459600},
			"501:1893459600:bce43512018950f48ecb510b6ac21013976f75b9d209f86363a3ecb12b83a212",
		},
		{
			"one stream", long,
			"1.k2.r42.u1007.s501:1893459600:d0a803c1af32781dc1af954e120b997c0a47053328115d675307fb84b2c5d889",
		},
		{
			"a bouquet", bouquet,
			"1.k2.r42.u1007.bsports:1893459600:fba571080fc33f2a7f13d93601c3dd5d70c2e59149347f6f0540689590c1f48d",
		},
		{
			"publish", publish,
			"1.k2.r42.u1007.s501.ow:1893459600:8c745a2419a3bade5ca7dc33c64729d5154e4aeadcb12e01bf42a0ae55ad4306",
		},
		{
			"every option", full,
			"1.k2.r42.u1007.s501.m2.n4cb0071.oc.t1893448800.j7f3a9c21:1893459600:37004ab64aeb8cc4fe3e84dfe1d5b6fa2cd2bfdcc8cf941c3c98fabae5a4e02f",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := mint(t, c.claims, secret); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestMintRefuses(t *testing.T) {
	prefix := netip.MustParsePrefix
	for name, change := range map[string]func(*token.Claims){
		"no key id":             func(c *token.Claims) { c.Kid = "" },
		"key id in upper case":  func(c *token.Claims) { c.Kid = "A" },
		"long key id":           func(c *token.Claims) { c.Kid = "123456789" },
		"dot in reseller":       func(c *token.Claims) { c.Reseller = "a.b" },
		"colon in user":         func(c *token.Claims) { c.User = "a:b" },
		"no user":               func(c *token.Claims) { c.User = "" },
		"long user":             func(c *token.Claims) { c.User = strings.Repeat("u", 33) },
		"no stream":             func(c *token.Claims) { c.ID = "" },
		"no bouquet":            func(c *token.Claims) { c.Scope, c.ID = token.OneBouquet, "" },
		"all with an id":        func(c *token.Claims) { c.Scope = token.AllStreams },
		"unknown scope":         func(c *token.Claims) { c.Scope = 3 },
		"unknown operation":     func(c *token.Claims) { c.Operation = 4 },
		"negative limit":        func(c *token.Claims) { c.Max = -1 },
		"limit of 1000":         func(c *token.Claims) { c.Max = 1000 },
		"network of 0 bits":     func(c *token.Claims) { c.Network = prefix("0.0.0.0/0") },
		"network of 20 bits":    func(c *token.Claims) { c.Network = prefix("203.0.0.0/20") },
		"network of one host":   func(c *token.Claims) { c.Network = prefix("203.0.113.9/24") },
		"network out of bounds": func(c *token.Claims) { c.Network = netip.PrefixFrom(netip.MustParseAddr("203.0.113.0"), 33) },
		"no expiry":             func(c *token.Claims) { c.Expires = 0 },
		"expiry of 11 digits":   func(c *token.Claims) { c.Expires = 10000000000 },
		"negative lower bound":  func(c *token.Claims) { c.NotBefore = -1 },
		"bound of 11 digits":    func(c *token.Claims) { c.NotBefore = 10000000000 },
		"newline in session":    func(c *token.Claims) { c.Session = "a\n" },
		"short with a user":     func(c *token.Claims) { c.Short = true },
		"short with a limit":    func(c *token.Claims) { *c = token.Claims{Short: true, ID: "news", Max: 1, Expires: now} },
		"short with no stream":  func(c *token.Claims) { *c = token.Claims{Short: true, Expires: now} },
	} {
		t.Run(name, func(t *testing.T) {
			c := viewer()
			change(&c)
			if got, err := token.Mint(c, houseSecret); err == nil {
				t.Errorf("got %s, want an error", got)
			}
		})
	}
	t.Run("bad secret", func(t *testing.T) {
		const secret = "too-short-but-still-a-secret"
		_, err := token.Mint(viewer(), secret)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("got %v, want an error without the secret", err)
		}
	})
}

// Whatever Mint makes, Parse reads back, and the signature is the one that
// crypto/hmac makes: for every length, so for every count of blocks.
func TestMintParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringMatching(`[A-Za-z0-9_-]{1,32}`)
		want := token.Claims{
			Kid:       rapid.StringMatching(`[0-9a-z]{1,8}`).Draw(t, "kid"),
			Reseller:  id.Draw(t, "reseller"),
			User:      id.Draw(t, "user"),
			Scope:     rapid.SampledFrom([]token.Scope{token.OneStream, token.OneBouquet, token.AllStreams}).Draw(t, "scope"),
			Max:       rapid.IntRange(0, 999).Draw(t, "max"),
			Network:   drawNetwork(t),
			Operation: token.Operation(rapid.IntRange(0, 3).Draw(t, "operation")),
			NotBefore: rapid.Int64Range(0, 9999999999).Draw(t, "not before"),
			Expires:   rapid.Int64Range(1, 9999999999).Draw(t, "expires"),
			Session:   rapid.OneOf(rapid.Just(""), id).Draw(t, "session"),
		}
		if want.Scope != token.AllStreams {
			want.ID = id.Draw(t, "id")
		}
		secret := rapid.StringMatching(`[A-Za-z0-9_-]{32,64}`).Draw(t, "secret")
		tok, err := token.Mint(want, secret)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := token.Parse(tok); !ok || got != want {
			t.Fatalf("%s: got %+v, want %+v", tok, got, want)
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(tok[:len(tok)-65]))
		if got, want := tok[len(tok)-64:], hex.EncodeToString(mac.Sum(nil)); got != want {
			t.Fatalf("signature: got %s, want %s", got, want)
		}
	})
}

func drawNetwork(t *rapid.T) netip.Prefix {
	size := rapid.SampledFrom([]int{0, 4, 16}).Draw(t, "address size")
	if size == 0 {
		return netip.Prefix{}
	}
	octets := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "address")
	address, _ := netip.AddrFromSlice(octets)
	return netip.PrefixFrom(address, 8*rapid.IntRange(1, size).Draw(t, "octets")).Masked()
}

func TestKeyPrintsNoSecret(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		got := fmt.Sprintf(verb, world().Keys)
		if strings.Contains(got, houseSecret) || strings.Contains(got, hex.EncodeToString([]byte(houseSecret))) {
			t.Errorf("%s prints a secret", verb)
		}
		if !strings.Contains(got, "house/2") {
			t.Errorf("%s: got %s, want the keys' names", verb, got)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"play", "publish", "relay", "catchup"} {
		o, ok := token.ParseOperation(name)
		if !ok || o.String() != name {
			t.Errorf("operation %s: got %v, %v", name, o, ok)
		}
	}
	if o, ok := token.ParseOperation("op"); ok || o != token.Play {
		t.Errorf("unknown operation: got %v, %v", o, ok)
	}
	want := strings.Fields("accepted malformed unknown_key bad_signature expired not_yet_valid " +
		"wrong_operation wrong_stream not_entitled wrong_address revoked too_many_connections")
	var got []string
	for _, r := range token.Reasons() {
		got = append(got, r.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	if got := fmt.Sprint(token.Reason(200), token.Operation(200)); got != "unknown unknown" {
		t.Errorf("names of no reason and no operation: got %s", got)
	}
}
