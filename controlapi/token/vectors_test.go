package token_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/controlapi/token/vectors"
)

func readVectors(t testing.TB) *vectors.Document {
	t.Helper()
	text, err := os.ReadFile("testdata/token_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	d, err := vectors.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestVectors(t *testing.T) {
	d := readVectors(t)
	results, err := d.Check()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(results), 462; got != want {
		t.Errorf("got %d cases, want %d", got, want)
	}
	for _, r := range results {
		t.Run(r.Case, func(t *testing.T) {
			if !r.Agrees() {
				t.Errorf("got %s, want %s", r.Got, r.Want)
			}
		})
	}
}

// Minting what a valid token says gives that token again, and the reference
// check accepts it.
func TestVectorsMintAgain(t *testing.T) {
	d := readVectors(t)
	for _, c := range d.Valid {
		t.Run(c.Name, func(t *testing.T) {
			claims, ok := token.Parse(c.Token)
			if !ok {
				t.Fatal("not parsed")
			}
			got, err := token.Mint(claims, d.Secrets[*c.Secret])
			if err != nil {
				t.Fatal(err)
			}
			if got != c.Token {
				t.Errorf("got %s, want %s", got, c.Token)
			}
			if !token.ValidateStreamToken(got, []byte(d.Secrets[*c.Secret])) {
				t.Error("the reference check refuses it")
			}
		})
	}
}

// What the vectors package fills in where a file leaves something out is what
// the published file says.
func TestVectorsWorld(t *testing.T) {
	var published, bare map[string]json.RawMessage
	for name, members := range map[string]*map[string]json.RawMessage{
		"testdata/token_vectors.json": &published, "vectors/world.json": &bare,
	} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, members); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"now", "edge", "secrets", "keys", "grants", "denied"} {
		if !bytes.Equal(bare[name], published[name]) {
			t.Errorf("%s: got %s, want %s", name, bare[name], published[name])
		}
	}
}
