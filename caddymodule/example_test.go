package caddymodule_test

import (
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/headrace/headrace/caddymodule"
)

// The example must be good as it is, on a machine that has none of the files,
// variables and hosts that it names.
func TestCaddyfileExample(t *testing.T) {
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"HEADRACE_KEY", "SPORT_URL"} {
		if !strings.Contains(string(example), "{env."+name+"}") {
			t.Errorf("the example does not use %s any more", name)
		}
		t.Setenv(name, "") // so that it comes back after the test
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	if formatted := caddyfile.Format(example); string(formatted) != string(example) {
		t.Error("the example is not formatted: edge fmt --overwrite Caddyfile.example")
	}
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(example, map[string]any{"filename": "Caddyfile.example"})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Errorf("warning: %s", w)
	}
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(adapted, &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&config); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"/var/lib/headrace", "/run/headrace/admin.sock"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is there; either validating made it, or an edge runs here", path)
		}
	}
}
