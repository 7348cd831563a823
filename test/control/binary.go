// Package control runs the real control plane as tests need it: the built program with
// a database of its own, in a folder of its own. It can be asked, stopped, killed and
// started again at the same address, and leaves nothing behind.
package control

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BinaryVariable names the environment variable that holds the control plane to test.
// Main sets it for as long as the tests run, if nobody has.
const BinaryVariable = "HEADRACE_CONTROLAPI"

// buildTime bounds the build, with cold caches.
const buildTime = 10 * time.Minute

// Main runs a package's tests with a control plane to test: the one that BinaryVariable
// names, else one that is built now. It returns the exit code.
func Main(m *testing.M) int { return With(m.Run) }

// With is Main for those who have more to prepare.
func With(run func() int) int {
	if os.Getenv(BinaryVariable) != "" {
		return run()
	}
	folder, err := os.MkdirTemp("", "headrace-controlapi-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a folder for the control plane:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary := filepath.Join(folder, "controlapi")
	if err := build(binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := os.Setenv(BinaryVariable, binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run()
}

func build(binary string) error {
	ctx, cancel := context.WithTimeout(context.Background(), buildTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/headrace/headrace/controlapi/cmd/controlapi")
	var words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &words, &words
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building the control plane: %w\n%s", err, words.Bytes())
	}
	return nil
}
