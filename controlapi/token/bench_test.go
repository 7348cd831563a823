package token_test

import (
	"testing"

	"github.com/headrace/headrace/controlapi/token"
)

// benchmarkTokens are what edges see most, and the longest.
func benchmarkTokens(b *testing.B) map[string]string {
	return map[string]string{
		"short": mint(b, token.Claims{Short: true, ID: "news", Expires: now + 3600}, houseSecret),
		"long":  mint(b, viewer(), houseSecret),
		"full":  mint(b, everyClaim(), houseSecret),
	}
}

func BenchmarkVerify(b *testing.B) {
	v, tokens := newVerifier(b, world()), benchmarkTokens(b)
	for _, name := range []string{"short", "long", "full"} {
		b.Run(name, func(b *testing.B) {
			r := request()
			if name == "full" {
				r.Operation = token.CatchUp
			}
			benchmarkVerdict(b, v, tokens[name], r, token.Accepted)
		})
	}
	for _, c := range verdicts(b) {
		if c.want != token.Accepted && c.want != token.TooManyConnections {
			b.Run(c.want.String(), func(b *testing.B) { benchmarkVerdict(b, v, c.token, c.request, c.want) })
		}
	}
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if _, reason := v.Verify(tokens["long"], request()); reason != token.Accepted {
					b.Error(reason)
				}
			}
		})
	})
}

func benchmarkVerdict(b *testing.B, v *token.Verifier, tok string, r token.Request, want token.Reason) {
	b.ReportAllocs()
	for b.Loop() {
		if _, got := v.Verify(tok, r); got != want {
			b.Fatalf("got %v, want %v", got, want)
		}
	}
}

// BenchmarkReference is what BenchmarkVerify is measured against: it checks no
// more than the signature.
func BenchmarkReference(b *testing.B) {
	tokens := benchmarkTokens(b)
	for _, name := range []string{"short", "long", "full"} {
		b.Run(name, func(b *testing.B) {
			secret := []byte(houseSecret)
			b.ReportAllocs()
			for b.Loop() {
				if !token.ValidateStreamToken(tokens[name], secret) {
					b.Fatal("refused")
				}
			}
		})
	}
}
