// Package law holds the project to its import law: which room may know which.
package law

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/headrace/headrace"

// rule forbids the packages under from to import those under any of to, at any
// depth of dependencies, except through what is allowed.
type rule struct {
	from   string   // package prefix within the module; "" is the whole module
	except []string // package prefixes that the rule does not bind
	deny   []string // import path prefixes
	allow  []string // import path prefixes that are allowed all the same
	direct bool     // looks at direct imports only
	why    string
}

var rules = []rule{
	{
		from: "ingest", deny: []string{"github.com/caddyserver", "github.com/hashicorp/consul", "database/sql", "github.com/jmoiron/sqlx", "github.com/danielgtaylor/huma", module + "/controlapi", module + "/caddymodule"},
		// An interface there is named by google/uuid, which gortmplib takes with it.
		allow: []string{"database/sql/driver"},
		why:   "the media engine is told what to do; it must build and be tested without Caddy, Consul, SQL and the control plane",
	},
	{
		from: "controlapi", deny: []string{module + "/ingest", module + "/caddymodule", "github.com/caddyserver"},
		why: "the control plane and the edges share documents and tokens, not code: either must go on when the other is gone",
	},
	{
		from: "caddymodule", deny: []string{module + "/controlapi"}, allow: []string{module + "/controlapi/token", module + "/controlapi/snapshot", module + "/controlapi/probe"}, direct: true,
		why: "an edge knows of the control plane what both must spell alike: the token, the snapshot and the signatures of a probe",
	},
	{
		from: "", except: []string{"controlapi/sqlstore", "test/postgres"}, direct: true,
		deny: []string{"database/sql", "github.com/jmoiron/sqlx", "github.com/jackc/pgx", "github.com/pressly/goose", "modernc.org/sqlite"},
		why:  "SQL is spoken in one place",
	},
	{
		from: "", except: []string{"controlapi/httpapi", "controlapi/cmd"}, deny: []string{"github.com/danielgtaylor/huma"}, direct: true,
		why: "the API framework stays behind the one package that maps codes to HTTP",
	},
	{
		from: "", except: []string{"controlapi/nodehealth", "caddymodule/presence"}, deny: []string{"github.com/hashicorp/consul"}, direct: true,
		why: "Consul is one opinion on who lives; it is asked and told in one place each",
	},
	{
		from: "caddymodule/follower", deny: []string{"github.com/caddyserver"},
		why: "following the snapshot must be testable without a server",
	},
	{
		from: "caddymodule/presence", deny: []string{"github.com/caddyserver"},
		why: "registering must be testable without a server",
	},
	leaf("ingest/segment"), leaf("ingest/playlist"), leaf("ingest/ffmpeg"), leaf("ingest/process"),
	leaf("controlapi/token"), leaf("controlapi/snapshot"), leaf("controlapi/probe"),
}

// leaf is the rule of a package that imports nothing of the project but what lies
// below itself.
func leaf(pkg string) rule {
	return rule{
		from: pkg, deny: []string{module}, allow: []string{module + "/" + pkg},
		why: "it is a leaf: others build on it, so it builds on nothing of the project",
	}
}

// listed is what "go list -json" tells of a package.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

func TestImportLaw(t *testing.T) {
	packages := list(t)
	for _, r := range rules {
		bound := 0
		for _, p := range packages {
			if !r.binds(p.ImportPath) {
				continue
			}
			bound++
			for _, dep := range r.broken(p) {
				t.Errorf("%s imports %s, which it must not: %s", p.ImportPath, dep, r.why)
			}
		}
		if bound == 0 && exists(packages, r.from) {
			t.Errorf("the rule for %q binds no package", r.from)
		}
	}
}

// TestRuleFindsBreach shows that the law can be broken and that this is seen.
func TestRuleFindsBreach(t *testing.T) {
	p := listed{ImportPath: module + "/ingest/segment", Imports: []string{module + "/ingest"}, Deps: []string{"fmt", module + "/ingest", "github.com/caddyserver/caddy/v2"}}
	for _, tt := range []struct {
		name string
		rule rule
		want int
	}{
		{"a leaf that imports the project", leaf("ingest/segment"), 1},
		{"the engine that imports Caddy", rules[0], 1},
		{"a rule for another package", leaf("ingest/playlist"), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := 0
			if tt.rule.binds(p.ImportPath) {
				got = len(tt.rule.broken(p))
			}
			if got != tt.want {
				t.Errorf("got %d breaches, want %d", got, tt.want)
			}
		})
	}
}

func (r rule) binds(path string) bool {
	for _, e := range r.except {
		if under(path, module+"/"+e) {
			return false
		}
	}
	if r.from == "" {
		return under(path, module)
	}
	return under(path, module+"/"+r.from)
}

func (r rule) broken(p listed) []string {
	deps := p.Deps
	if r.direct {
		deps = p.Imports
	}
	var bad []string
	for _, dep := range deps {
		if anyUnder(dep, r.deny) && !anyUnder(dep, r.allow) {
			bad = append(bad, dep)
		}
	}
	return bad
}

func under(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

func anyUnder(path string, prefixes []string) bool {
	for _, p := range prefixes {
		if under(path, p) {
			return true
		}
	}
	return false
}

func exists(packages []listed, from string) bool {
	for _, p := range packages {
		if under(p.ImportPath, module+"/"+from) {
			return true
		}
	}
	return false
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Standard,Imports,Deps", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing the packages: %v\n%s", err, stderr.String())
	}
	var packages []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("reading the list of packages: %v", err)
		}
		packages = append(packages, p)
	}
}
