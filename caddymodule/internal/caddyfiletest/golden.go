// Package caddyfiletest runs golden files: what a Caddyfile becomes, or why it is
// refused. It is for tests.
package caddyfiletest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile" // the adapter
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what Caddyfiles become into their golden files")

// separator stands between a Caddyfile and what it becomes.
const separator = "----------\n"

// Run tests each *.caddyfiletest in the folder: a Caddyfile, a line of ten dashes,
// and either the JSON that it must become and that must be valid, or a part of
// the error that it must give, when it is read or when it is validated.
func Run(t *testing.T, folder string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.caddyfiletest"))
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d golden files in %s (%v), want some", len(files), folder, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) { run(t, file) })
	}
}

func run(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	caddyfile, want, found := strings.Cut(string(text), separator)
	if !found {
		t.Fatal("the file has no line of ten dashes")
	}
	got, err := adapt(caddyfile)
	if want = strings.TrimSpace(want); strings.HasPrefix(want, "{") || want == "" {
		compare(t, file, caddyfile, want, got, err)
		return
	}
	if err == nil {
		err = validate(got)
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one with %q", err, want)
	}
}

func compare(t *testing.T, file, caddyfile, want, got string, err error) {
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, []byte(caddyfile+separator+got+"\n"), 0o600); err != nil { //nolint:gosec // the golden file itself, named by the test
			t.Fatal(err)
		}
		want = got
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("JSON differs (-want +got); -update writes it down:\n%s", diff)
	}
	if err := validate(got); err != nil {
		t.Error(err)
	}
}

// adapt reads a Caddyfile, whose name in errors is "Caddyfile".
func adapt(caddyfile string) (string, error) {
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return "", err
	}
	var indented bytes.Buffer
	err = json.Indent(&indented, adapted, "", "\t")
	return indented.String(), err
}

// validate does what "caddy validate" does.
func validate(config string) error {
	var c caddy.Config
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	return caddy.Validate(&c)
}
