package caddymodule_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
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
	validate(t, "Caddyfile.example", example)
	for _, path := range []string{"/var/lib/headrace", "/run/headrace/admin.sock"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is there; either validating made it, or an edge runs here", path)
		}
	}
}

// What the README shows is good as well, and names only commands that there are.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HEADRACE_KEY", "")
	blocks := strings.Split(string(readme), "```")
	caddyfiles := 0
	for i := 1; i < len(blocks); i += 2 {
		if block, ok := strings.CutPrefix(blocks[i], "\n{"); ok {
			caddyfiles++
			validate(t, "README.md", []byte("{"+block))
		}
		for line := range strings.Lines(blocks[i]) {
			words := strings.Fields(line)
			command := !strings.HasPrefix(line, "\t") && len(words) > 1 && (words[0] == "bin/edge" || words[0] == "edge")
			if command && caddycmd.Commands()[words[1]].Name == "" {
				t.Errorf("there is no command %q: %s", words[1], line)
			}
		}
	}
	if caddyfiles == 0 {
		t.Error("the README shows no Caddyfile")
	}
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range regexp.MustCompile("`?make ([a-z]+)").FindAllStringSubmatch(string(readme), -1) {
		if !strings.Contains(string(makefile), "\n"+target[1]+":") {
			t.Errorf("the README names the target %q, which the Makefile does not have", target[1])
		}
	}
}

func validate(t *testing.T, name string, text []byte) {
	t.Helper()
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": name})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Errorf("%s: warning: %s", name, w)
	}
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(adapted, &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&config); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}
