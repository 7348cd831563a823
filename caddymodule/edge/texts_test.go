package edge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestSecrets(t *testing.T) {
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("HEADRACE_TEST_SECRET", "from-the-environment")
	for _, tt := range []struct {
		name    string
		key     Key
		want    string
		wantErr string
	}{
		{"literal", Key{Secret: "literal"}, "literal", ""},
		{"variable", Key{Secret: "{env.HEADRACE_TEST_SECRET}"}, "from-the-environment", ""},
		{"variable without a value", Key{Secret: "{env.HEADRACE_TEST_UNSET}"}, "", "{env.HEADRACE_TEST_UNSET} is empty; set it for the process of the edge"},
		{"unknown placeholder", Key{Secret: "{vault.key}"}, "", "unrecognized placeholder {vault.key}"},
		{"file", Key{SecretFile: file("in-a-file")}, "in-a-file", ""},
		{"file with a newline", Key{SecretFile: file("in-a-file\n")}, "in-a-file", ""},
		{"file with a line of Windows", Key{SecretFile: file("in-a-file\r\n")}, "in-a-file", ""},
		{"file with two newlines", Key{SecretFile: file("in-a-file\n\n")}, "in-a-file\n", ""}, // refused by the verifier
		{"empty file", Key{SecretFile: file("\n")}, "", "is empty"},
		{"no file", Key{SecretFile: "/nonexistent/secret"}, "", "reading the secret: open /nonexistent/secret"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := newEnvironment().secret(tt.key)
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("got error %v, want one with %q", err, tt.wantErr)
			}
		})
	}
}

func TestWarnOfLiteralSecrets(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	a := &App{logger: zap.New(core), Keys: []Key{
		{KeyName: KeyName{"r1", "k1"}, Secret: "{env.KEY}"},
		{KeyName: KeyName{"r1", "k2"}, Secret: "hunter2-hunter2"},
		{KeyName: KeyName{"r2", "k1"}, SecretFile: "/secret"},
	}}
	a.warnOfLiteralSecrets()
	if logged.Len() != 1 {
		t.Fatalf("got %d warnings, want 1", logged.Len())
	}
	fields := logged.All()[0].ContextMap()
	if fields["reseller"] != "r1" || fields["kid"] != "k2" {
		t.Errorf("got %v, want the name of the key", fields)
	}
	for _, v := range fields {
		if strings.Contains(v.(string), "hunter2") {
			t.Error("the warning tells the secret")
		}
	}
}
