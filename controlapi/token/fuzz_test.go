package token_test

import (
	"strings"
	"testing"

	"github.com/headrace/headrace/controlapi/token"
)

// FuzzParse: a token has one spelling. Claims that were parsed mint the same
// text again, and an accepted token is one that the reference check accepts.
func FuzzParse(f *testing.F) {
	d := readVectors(f)
	for _, c := range append(d.Valid, d.Invalid...) {
		f.Add(c.Token)
	}
	v := newVerifier(f, world())
	secrets := map[token.KeyRef]string{}
	for _, k := range world().Keys {
		secrets[k.KeyRef] = k.Secret
	}
	f.Fuzz(func(t *testing.T, tok string) {
		claims, ok := token.Parse(tok)
		if !ok {
			if _, reason := v.Verify(tok, request()); reason != token.Malformed {
				t.Fatalf("%q: not parsed, but %v", tok, reason)
			}
			return
		}
		payload := tok[:len(tok)-64]
		again, err := token.Mint(claims, houseSecret)
		if err != nil {
			t.Fatalf("%q: parsed, but not minted: %v", tok, err)
		}
		if !strings.HasPrefix(again, payload) {
			t.Fatalf("%q: minted again as %q", tok, again)
		}
		// As nobody finds a signature by chance, sign what was found.
		secret := secrets[token.KeyRef{Reseller: claims.Reseller, Kid: claims.Kid}]
		if claims.Short {
			secret = houseSecret
		}
		if secret == "" {
			return
		}
		signed := mint(t, claims, secret)
		r := request()
		r.Stream, r.Operation, r.Now = claims.ID, claims.Operation, claims.Expires
		_, reason := v.Verify(signed, r)
		if reason == token.BadSignature {
			t.Fatalf("%q: refused as %v", signed, reason)
		}
		if reason == token.Accepted && !token.ValidateStreamToken(signed, []byte(secret)) {
			t.Fatalf("%q: accepted, but not by the reference check", signed)
		}
	})
}

// FuzzVerify: no edit of a valid token is accepted, whatever is asked, unless
// it is a valid token again.
func FuzzVerify(f *testing.F) {
	var genuine []string
	for _, c := range verdicts(f) {
		if c.want == token.Accepted {
			genuine = append(genuine, c.token)
		}
	}
	f.Add(uint8(0), uint16(3), uint8(1), "5")
	f.Add(uint8(1), uint16(20), uint8(0), ".a")
	f.Add(uint8(2), uint16(40), uint8(3), ".ow")
	f.Add(uint8(1), uint16(24), uint8(10), "9999999999")
	f.Add(uint8(1), uint16(99), uint8(1), "A")
	f.Add(uint8(3), uint16(500), uint8(0), "\x00")
	v := newVerifier(f, world())
	f.Fuzz(func(t *testing.T, which uint8, at uint16, remove uint8, insert string) {
		original := genuine[int(which)%len(genuine)]
		from := int(at) % (len(original) + 1)
		to := min(from+int(remove), len(original))
		edited := original[:from] + insert + original[to:]
		for _, g := range genuine {
			if edited == g {
				return
			}
		}
		for o := token.Play; o <= token.CatchUp; o++ {
			r := request()
			r.Operation, r.Kind = o, token.Segment
			if _, reason := v.Verify(edited, r); reason != token.Malformed && reason != token.UnknownKey && reason != token.BadSignature {
				t.Fatalf("%q, edited from %q: got %v", edited, original, reason)
			}
		}
	})
}
