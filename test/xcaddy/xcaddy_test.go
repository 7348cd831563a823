// Package xcaddy builds edges as operators do who combine plugins: from xcaddy.json
// with our xbuild, and with the real xcaddy.
package xcaddy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// modules are what every edge must have.
var modules = []string{"edge", "http.matchers.stream_token", "http.handlers.hls", "http.handlers.edge_status", "admin.api.edge"}

func TestBuilds(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	xcaddy := filepath.Join(root, "bin", "xcaddy")
	if _, err := os.Stat(xcaddy); err != nil {
		t.Fatalf("xcaddy is not built: %v; run make bin/xcaddy", err)
	}
	for _, tt := range []struct {
		name string
		args func(output string) []string
	}{
		{"xbuild from xcaddy.json", func(output string) []string {
			return []string{"go", "run", "./caddymodule/cmd/xbuild", "-output", output}
		}},
		{"xcaddy with our module", func(output string) []string {
			return []string{
				xcaddy, "build", "v2.11.9", "--output", output,
				"--with", "github.com/headrace/headrace/caddymodule", "--replace", "github.com/headrace/headrace=" + root,
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			output := filepath.Join(t.TempDir(), "edge")
			args := tt.args(output)
			cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
			cmd.Dir, cmd.Env = root, environment(t)
			if said, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("building: %v\n%s", err, said)
			}
			listed, err := exec.CommandContext(t.Context(), output, "list-modules").Output()
			if err != nil {
				t.Fatalf("asking for the modules: %v", err)
			}
			for _, m := range modules {
				if !strings.Contains("\n"+string(listed), "\n"+m+"\n") {
					t.Errorf("the edge lacks the module %s", m)
				}
			}
		})
	}
}

// environment has Go take modules from its cache, which holds all that this module
// needs. xcaddy asks for our package by its path, as if it were published; a proxy
// that answers such a question with anything but "not found" would end the build.
func environment(t *testing.T) []string {
	t.Helper()
	if said, err := exec.CommandContext(t.Context(), "go", "mod", "download").CombinedOutput(); err != nil {
		t.Fatalf("filling the module cache: %v\n%s", err, said)
	}
	cache, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "GOPROXY=file://"+filepath.Join(strings.TrimSpace(string(cache)), "cache", "download"), "GOSUMDB=off")
}
