// Package edge runs the real edge as tests need it: the built program with a
// configuration of its own, in a folder of its own, on a port of its own. It can
// be asked, reloaded, stopped, killed and started again, and leaves nothing behind.
//
// Only processes whose ids were recorded here are ever signalled.
package edge

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// BinaryVariable names the environment variable that holds the edge to test. Main
// sets it for as long as the tests run, if nobody has.
const BinaryVariable = "HEADRACE_EDGE"

// buildTime bounds the build of the edge, with cold caches.
const buildTime = 10 * time.Minute

// Main runs a package's tests with an edge to test: the one that BinaryVariable
// names, else one that is built now. It raises the limit of open files, which
// loads need, and returns the exit code.
func Main(m *testing.M) int {
	if err := raiseFileLimit(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if os.Getenv(BinaryVariable) != "" {
		return m.Run()
	}
	folder, err := os.MkdirTemp("", "headrace-edge-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a folder for the edge:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary := filepath.Join(folder, "edge")
	if err := build(binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := os.Setenv(BinaryVariable, binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(binary string) error {
	ctx, cancel := context.WithTimeout(context.Background(), buildTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "nobadger,nomysql,nopgx", "-o", binary, "github.com/headrace/headrace/caddymodule/cmd/edge")
	var words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &words, &words
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building the edge: %w\n%s", err, words.Bytes())
	}
	return nil
}

// raiseFileLimit lets this process, and those that it starts, open as many files
// as the machine allows.
func raiseFileLimit() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("asking for the limit of open files: %w", err)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("raising the limit of open files to %d: %w", l.Max, err)
	}
	return nil
}
