package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/xcaddy"
	"github.com/google/go-cmp/cmp"
)

const root = "../../.."

// The manifest and go.mod must speak of the same Caddy, and of packages that are there.
func TestManifestIsInStep(t *testing.T) {
	b, err := readManifest(filepath.Join(root, "xcaddy.json"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if want := find(t, mod, `github\.com/caddyserver/caddy/v2 (\S+)`); b.CaddyVersion != want {
		t.Errorf("got caddy_version %q, want go.mod's %q", b.CaddyVersion, want)
	}
	module := find(t, mod, `^module (\S+)`)
	folder, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []xcaddy.Replace{xcaddy.NewReplace(module, folder)}
	if diff := cmp.Diff(want, b.Replacements); diff != "" {
		t.Errorf("replacements (-want +got):\n%s", diff)
	}
	if len(b.Plugins) == 0 {
		t.Error("the manifest lists no plugin")
	}
	for _, p := range b.Plugins {
		inside, ours := strings.CutPrefix(p.PackagePath, module+"/")
		if !ours {
			continue
		}
		if files, err := filepath.Glob(filepath.Join(root, inside, "*.go")); err != nil || len(files) == 0 {
			t.Errorf("plugin %s is no package of ours", p.PackagePath)
		}
	}
}

func find(t *testing.T, text []byte, pattern string) string {
	t.Helper()
	match := regexp.MustCompile(`(?m)` + pattern).FindSubmatch(text)
	if match == nil {
		t.Fatalf("nothing matches %s", pattern)
	}
	return string(match[1])
}

func TestReadManifest(t *testing.T) {
	folder := t.TempDir()
	for _, tt := range []struct {
		name, text string
		want       xcaddy.Builder
		wantErr    string
	}{
		{
			"everything",
			`{"caddy_version": "v2.11.9", "plugins": [{"module_path": "example.com/a/b", "version": "v1.0.0"}],
			  "replacements": [{"old": "example.com/a", "new": "."}, {"old": "example.com/b", "new": "../b"},
			    {"old": "example.com/c", "new": "/c"}, {"old": "example.com/d", "new": "example.com/e v1.2.3"}]}`,
			xcaddy.Builder{
				CaddyVersion: "v2.11.9",
				Plugins:      []xcaddy.Dependency{{PackagePath: "example.com/a/b", Version: "v1.0.0"}},
				Replacements: []xcaddy.Replace{
					xcaddy.NewReplace("example.com/a", folder), xcaddy.NewReplace("example.com/b", filepath.Join(filepath.Dir(folder), "b")),
					xcaddy.NewReplace("example.com/c", "/c"), xcaddy.NewReplace("example.com/d", "example.com/e v1.2.3"),
				},
			},
			"",
		},
		{"unknown key", `{"caddy_version": "v2.11.9", "plugin": []}`, xcaddy.Builder{}, `unknown field "plugin"`},
		{"unknown key of a plugin", `{"caddy_version": "v2.11.9", "plugins": [{"path": "x"}]}`, xcaddy.Builder{}, `unknown field "path"`},
		{"no version", `{"plugins": []}`, xcaddy.Builder{}, "caddy_version is missing"},
		{"two manifests", `{"caddy_version": "v2.11.9"} {}`, xcaddy.Builder{}, "something stands behind the manifest"},
		{"no JSON", `caddy_version: v2.11.9`, xcaddy.Builder{}, "invalid character"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(folder, "xcaddy.json")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readManifest(path)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("got error %v, want one with %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunRefusesArguments(t *testing.T) {
	err := run(t.Context(), "xcaddy.json", "edge", []string{"build"})
	if err == nil || !strings.Contains(err.Error(), `"build" is one argument too many`) {
		t.Errorf("got error %v, want one that names the argument", err)
	}
}
