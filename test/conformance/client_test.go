package conformance

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestClientIsGenerated holds the client in version control to the document.
func TestClientIsGenerated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "client.gen.go")
	text, err := os.ReadFile("oapi-codegen.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, bytes.Replace(text, []byte("output: client.gen.go"), []byte("output: "+file), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "tool", "oapi-codegen", "-config", config, document).CombinedOutput(); err != nil {
		t.Fatalf("generating: %v\n%s", err, out)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("client.gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("client.gen.go is not what the document gives: go generate ./...")
	}
}
