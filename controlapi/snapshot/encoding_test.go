package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// full is a document that uses every member.
func full() *Document {
	d := document()
	d.Epoch, d.Version, d.IssuedAt, d.SteerURL = 3, 41, 1_790_000_000, "https://control.example"
	d.Edges[0].URL = "https://edge-1.example"
	d.Keys = []Key{{Reseller: "r1", KeyID: "k2", Secret: "canary-22222222222222222222222222"}, {Reseller: "r1", KeyID: "k1", Secret: "canary-11111111111111111111111111", NotAfter: 1_800_000_000}}
	d.Grants = map[string]Grant{"r1": {Show: []string{"news"}, Publish: []string{"news"}, Bouquets: map[string][]string{"all": {"news"}}}, "edge": {Relay: []string{"news"}}}
	d.Denied = []Denial{{Reseller: "r1", User: "u1", Until: 1_800_000_000}}
	return d
}

func encode(t testing.TB, d *Document) []byte {
	t.Helper()
	b, err := Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// seal puts a right checksum on JSON without one.
func seal(body string) []byte {
	sum := sha256.Sum256([]byte(body))
	return []byte(body[:len(body)-1] + checksumStart + hex.EncodeToString(sum[:]) + checksumEnd)
}

// body is an encoded document without its checksum.
func body(b []byte) string { return string(b[:len(b)-checksumTail]) + "}" }

func TestEncodeDecode(t *testing.T) {
	want := full()
	b := encode(t, want)
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	order := cmpopts.SortSlices(func(a, b Key) bool { return a.KeyID < b.KeyID })
	if diff := cmp.Diff(want, got, order, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
	if again := encode(t, got); !bytes.Equal(again, b) {
		t.Errorf("got other octets the second time:\n%s\n%s", b, again)
	}
	if want.Keys[0].KeyID != "k2" {
		t.Error("encoding changed the document")
	}
}

// The order of rows in a database must not make another document.
func TestEncodeIsCanonical(t *testing.T) {
	d := full()
	second := d.Streams[0]
	second.ID = "sport"
	d.Streams = append(d.Streams, second)
	d.Edges = append(d.Edges, Edge{ID: "edge-2"})
	g := d.Grants["r1"]
	g.Show = []string{"news", "sport"}
	d.Grants["r1"] = g
	want := encode(t, d)

	g.Show = []string{"sport", "news"}
	d.Grants["r1"] = g
	d.Streams[0], d.Streams[1] = d.Streams[1], d.Streams[0]
	d.Edges[0], d.Edges[1] = d.Edges[1], d.Edges[0]
	d.Keys[0], d.Keys[1] = d.Keys[1], d.Keys[0]
	if got := encode(t, d); !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	whole := body(encode(t, full()))
	replace := func(old, new string) []byte {
		t.Helper()
		if !strings.Contains(whole, old) {
			t.Fatalf("the document does not hold %s", old)
		}
		return seal(strings.Replace(whole, old, new, 1))
	}
	for _, tt := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, ErrChecksum.Error()},
		{"no checksum", []byte(whole), ErrChecksum.Error()},
		{"a checksum alone", []byte(checksumStart + strings.Repeat("0", 64) + checksumEnd), ErrChecksum.Error()},
		{"a checksum in capitals", bytes.ToUpper(encode(t, full())), ErrChecksum.Error()},
		{"something behind it", append(encode(t, full()), '\n'), ErrChecksum.Error()},
		{"no JSON", seal(`{"epoch":}`), "no JSON object"},
		{"nothing but a checksum", seal(`{}`), "no JSON object"},
		{"an object of something else", seal(`{"x":1}`), `member "epoch" is missing`},
		{"no version", replace(`"version":41,`, ``), `member "version" is missing`},
		{"no end of a key", replace(`,"not_after":1800000000`, ``), `member "keys[0].not_after" is missing`},
		{"a stream without limits", replace(`"pids":0`, `"pid":0`), `member "streams[0].limits.pids" is missing`},
		{"null for a list", replace(`"denied":[`, `"denied":null,"x":[`), `member "denied" is missing`},
		{"a grant without a list", replace(`"relay":["news"],`, ``), `member "grants.edge.relay" is missing`},
		{"a word for a number", replace(`"window":8`, `"window":"canary"`), `member "streams.window": a string stands where a int belongs`},
		{"a number for a secret", replace(`"canary-11111111111111111111111111"`, `4711`), `a number stands where a string belongs`},
		{"an unknown stream in a grant", replace(`"publish":["news"]`, `"publish":["olds"]`), `grants of reseller "r1": stream "olds" is not in the document`},
		{"an unknown stream in a bouquet", replace(`"all":["news"]`, `"all":["olds"]`), `bouquet "all": stream "olds"`},
		{"an edge that is not listed", replace(`"primary":"edge-1"`, `"primary":"edge-9"`), `edge "edge-9", which the document does not list`},
		{"a negative version", replace(`"version":41`, `"version":-1`), "cannot be negative"},
		{"too large", make([]byte, MaxBytes+1), ErrTooLarge.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode(tt.b)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got error %v, want one with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "4711") {
				t.Errorf("the error tells a value: %v", err)
			}
		})
	}
}

// What a newer control plane adds must not lock an older edge out.
func TestDecodeIgnoresUnknownMembers(t *testing.T) {
	b := seal(strings.Replace(body(encode(t, full())), `"window":8`, `"window":8,"parts":true`, 1))
	d, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if d.Streams[0].Window != 8 {
		t.Errorf("got window %d, want 8", d.Streams[0].Window)
	}
}

// Scenario 20: neither a changed bit nor a cut end is ever accepted.
func TestDecodeRefusesDamage(t *testing.T) {
	whole := encode(t, full())
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		b := bytes.Clone(whole)
		b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		if _, err := Decode(b); !errors.Is(err, ErrChecksum) {
			t.Fatalf("got error %v for a changed bit, want %v:\n%s", err, ErrChecksum, b)
		}
	}
	for range 64 {
		if _, err := Decode(whole[:random.IntN(len(whole))]); !errors.Is(err, ErrChecksum) {
			t.Fatalf("got error %v for a part, want %v", err, ErrChecksum)
		}
	}
}

func TestNothingSecretIsPrinted(t *testing.T) {
	d := full()
	d.Streams[0].Sources = []string{"https://user:canary@origin.example/"}
	for _, v := range []any{
		d, *d, d.Keys, d.Keys[0], &d.Keys[0], d.Streams, d.Streams[0], &d.Streams[0],
		Joined{EdgeID: "e", Credential: "canary"},
		JoinCode{Secret: "canary"},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, "canary") {
				t.Errorf("%s of a %T tells a secret: %s", verb, v, got)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(body(encode(f, full())))
	f.Add(body(encode(f, document())))
	f.Add(`{}`)
	f.Add(`{"epoch":1,"streams":[{}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := Decode([]byte(text)); err == nil && !json.Valid([]byte(text)) {
			t.Fatal("accepts what is not JSON")
		}
		if text == "" {
			return
		}
		d, err := Decode(seal(text))
		if err != nil {
			return
		}
		again, err := Decode(encode(t, d))
		if err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if diff := cmp.Diff(encode(t, d), encode(t, again)); diff != "" {
			t.Fatal(diff)
		}
	})
}
