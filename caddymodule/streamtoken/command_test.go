package streamtoken

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/controlapi/token"
)

// The contract's test secret and the examples signed with it.
const (
	exampleSecret = "test-secret-eu-42-2-00000000000000000000"
	exampleShort  = "501:1893459600:bce43512018950f48ecb510b6ac21013976f75b9d209f86363a3ecb12b83a212"
	exampleFull   = "1.k2.r42.u1007.s501.m2.n4cb0071.oc.t1893448800.j7f3a9c21:1893459600:" +
		"37004ab64aeb8cc4fe3e84dfe1d5b6fa2cd2bfdcc8cf941c3c98fabae5a4e02f"
	exampleBouquet = "1.k2.r42.u1007.bsports:1893459600:fba571080fc33f2a7f13d93601c3dd5d70c2e59149347f6f0540689590c1f48d"
)

func writeFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// run runs the command as its parent would, and returns what it prints.
func run(cmd *cobra.Command, stdin string, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

func TestMintCommand(t *testing.T) {
	key := []string{"--secret-file", writeFile(t, exampleSecret+"\n")}
	viewer := append([]string{"--reseller", "42", "--kid", "2", "--user", "1007"}, key...)
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"short", append([]string{"--short", "--stream", "501", "--expires", "1893459600"}, key...), exampleShort},
		{"bouquet", append([]string{"--bouquet", "sports", "--expires", "2030-01-01T01:00:00Z"}, viewer...), exampleBouquet},
		{
			"every option",
			append([]string{
				"--stream", "501", "--max", "2", "--network", "203.0.113.0/24", "--operation", "catchup",
				"--not-before", "1893448800", "--session", "7f3a9c21", "--expires", "2030-01-01T02:00:00+01:00",
			}, viewer...),
			exampleFull,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, stderr, err := run(mintCommand(), "", c.args...)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want+"\n" || stderr != "" {
				t.Errorf("got %q and %q, want %q and nothing", got, stderr, c.want+"\n")
			}
		})
	}
}

func TestMintCommandAll(t *testing.T) {
	got, _, err := run(mintCommand(), "", "--all", "--operation", "publish", "--reseller", "42", "--kid", "2", "--user", "u",
		"--secret-file", writeFile(t, exampleSecret))
	if err != nil {
		t.Fatal(err)
	}
	claims, ok := token.Parse(strings.TrimSuffix(got, "\n"))
	if !ok || claims.Scope != token.AllStreams || claims.Operation != token.Publish {
		t.Errorf("got %q, %+v", got, claims)
	}
}

func TestMintCommandExpiresIn(t *testing.T) {
	lifetime := func(args ...string) int64 {
		t.Helper()
		args = append(args, "--short", "--stream", "501", "--not-before", "", "--secret-file", writeFile(t, exampleSecret+"\r\n"))
		got, _, err := run(mintCommand(), "", args...)
		if err != nil {
			t.Fatal(err)
		}
		claims, _ := token.Parse(strings.TrimSuffix(got, "\n"))
		return claims.Expires
	}
	hour, day, again := lifetime("--expires-in", "1h"), lifetime(), lifetime("--expires-in", "1h")
	if day < hour+23*3600 || day > again+23*3600 {
		t.Errorf("got %d for a day, want 23 hours more than an hour's %d to %d", day, hour, again)
	}
}

func TestMintCommandSecretFromEnvironment(t *testing.T) {
	t.Setenv("HEADRACE_KEY", exampleSecret)
	t.Setenv("TEST_HEADRACE_OTHER_KEY", strings.Repeat("k", 32))
	args := []string{"--short", "--stream", "501", "--expires", "1893459600"}
	got, _, err := run(mintCommand(), "", args...)
	if err != nil || got != exampleShort+"\n" {
		t.Errorf("got %q, %v, want %q", got, err, exampleShort+"\n")
	}
	got, _, err = run(mintCommand(), "", append(args, "--secret-env", "TEST_HEADRACE_OTHER_KEY")...)
	if err != nil || !token.ValidateStreamToken(strings.TrimSuffix(got, "\n"), []byte(strings.Repeat("k", 32))) {
		t.Errorf("other variable: got %q, %v, want a token of its secret", got, err)
	}
}

func TestMintCommandRefuses(t *testing.T) {
	t.Setenv("HEADRACE_KEY", "")
	key := []string{"--secret-file", writeFile(t, exampleSecret)}
	short := append([]string{"--short", "--stream", "501"}, key...)
	viewer := append([]string{"--reseller", "42", "--kid", "2", "--user", "1007"}, key...)
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no scope", viewer, "stream bouquet all"},
		{"two scopes", append([]string{"--stream", "501", "--all"}, viewer...), "stream bouquet all"},
		{"nobody", append([]string{"--stream", "501"}, key...), "--short"},
		{"no user", append([]string{"--stream", "501", "--reseller", "42", "--kid", "2"}, key...), "--user"},
		{"no secret", []string{"--short", "--stream", "501"}, "HEADRACE_KEY"},
		{"two secrets", append([]string{"--secret-env", "HOME"}, short...), "secret-env"},
		{"secret in an argument", append([]string{"--secret", exampleSecret}, short...), "unknown flag"},
		{"no such file", []string{"--short", "--stream", "501", "--secret-file", filepath.Join(t.TempDir(), "none")}, "reading the secret"},
		{"bad secret", []string{"--short", "--stream", "501", "--secret-file", writeFile(t, exampleSecret+"\n\n")}, "32 to 64"},
		{"two expiries", append([]string{"--expires", "1893459600", "--expires-in", "1h"}, short...), "expires-in"},
		{"no lifetime", append([]string{"--expires-in", "0s"}, short...), "--expires-in"},
		{"bad expiry", append([]string{"--expires", "tomorrow"}, short...), "2030-01-01T00:00:00Z"},
		{"bad lower bound", append([]string{"--not-before", "x", "--stream", "501"}, viewer...), "--not-before"},
		{"bad operation", append([]string{"--operation", "w", "--stream", "501"}, viewer...), "catchup"},
		{"bad network", append([]string{"--network", "203.0.113.9", "--stream", "501"}, viewer...), "203.0.113.0/24"},
		{"host bits", append([]string{"--network", "203.0.113.9/24", "--stream", "501"}, viewer...), "203.0.113.0/24"},
		{"bad id", append([]string{"--stream", "a.b"}, viewer...), "A-Za-z0-9_-"},
		{"option of the long form", append([]string{"--max", "2"}, short...), "long form"},
		{"argument", append([]string{"501"}, short...), "501"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, stderr, err := run(mintCommand(), "", c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got error %v, want one with %q", err, c.want)
			}
			if got != "" {
				t.Errorf("got %q on standard output, want nothing", got)
			}
			if strings.Contains(stderr, exampleSecret) {
				t.Errorf("%q holds the secret", stderr)
			}
		})
	}
}

// checkCase is a file with one case under that list.
func checkCase(list string) string {
	return `{"` + list + `": [{"name": "mine", "token": "` + exampleShort + `", "request": {"stream": "501"}}]}`
}

func TestCheckCommand(t *testing.T) {
	published := filepath.Join("..", "..", "controlapi", "token", "testdata", "token_vectors.json")
	for _, c := range []struct {
		name, file, stdin, want string
		fails                   bool
	}{
		{"published vectors", published, "", "462 passed, 0 failed\n", false},
		{"standard input", "-", checkCase("valid"), "1 passed, 0 failed\n", false},
		{"file", writeFile(t, checkCase("valid")), "", "1 passed, 0 failed\n", false},
		{"failure", writeFile(t, checkCase("invalid")), "", "mine: got accepted, want refused\n0 passed, 1 failed\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, stderr, err := run(checkCommand(), c.stdin, c.file)
			if got != c.want || stderr != "" {
				t.Errorf("got %q and %q, want %q and nothing", got, stderr, c.want)
			}
			if errors.Is(err, errDisagrees) != c.fails || (err != nil) != c.fails {
				t.Errorf("got error %v, want a failure: %v", err, c.fails)
			}
		})
	}
}

func TestCheckCommandRefuses(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.json")
	bad := writeFile(t, `{"vaild": []}`)
	for _, c := range []struct{ name, file, want string }{
		{"no such file", missing, missing},
		{"unknown member", bad, bad},
		{"unknown member by name", bad, `"vaild"`},
		{"folder", t.TempDir(), "directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, stderr, err := run(checkCommand(), "", c.file)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(stderr, c.want) {
				t.Errorf("got error %v and %q, want both to name %q", err, stderr, c.want)
			}
			if got != "" {
				t.Errorf("got %q on standard output, want nothing", got)
			}
		})
	}
	if _, _, err := run(checkCommand(), ""); err == nil {
		t.Error("no file: got no error")
	}
}
