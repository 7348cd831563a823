package edge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/zap"
)

// Whatever is accepted is a configuration: it has a JSON form that says the same,
// and can be judged. Whatever is refused is refused with a place.
func FuzzUnmarshalCaddyfile(f *testing.F) {
	goldens, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(goldens) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, golden := range goldens {
		text, err := os.ReadFile(golden)
		if err != nil {
			f.Fatal(err)
		}
		block, _, _ := strings.Cut(string(text), "----------")
		block = strings.TrimPrefix(strings.TrimSpace(block), "{") // the global options' own braces
		f.Add(strings.TrimSuffix(block, "}"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(text), "Caddyfile")
		if err != nil || len(tokens) == 0 {
			return
		}
		got := new(App)
		if err := got.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
			if !strings.Contains(err.Error(), "Caddyfile:") {
				t.Errorf("the error has no file and line: %v", err)
			}
			return
		}
		config, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		again := new(App)
		if err := caddy.StrictUnmarshalJSON(config, again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, again, cmpopts.IgnoreUnexported(App{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("through JSON (-before +after):\n%s", diff)
		}
		got.logger = zap.NewNop()
		got.setDefaults()
		_ = got.Validate() // an answer, whichever
	})
}
