package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Times that waits are given unless a test says otherwise.
const (
	serveTime = 30 * time.Second // from exec until it serves, on a loaded machine
	stopTime  = 20 * time.Second
	pollTime  = 10 * time.Millisecond
)

// Config is what differs between the control planes of tests.
type Config struct {
	// Database is a postgres URL; empty: an SQLite file in the node's folder.
	Database string
	// KeyFile is one that instances on one database share; empty: one of the node's own.
	KeyFile string
	// Key is the operator's API key where another instance has made it; empty: it is
	// made.
	Key string
	// Options are further options of "controlapi serve".
	Options []string
}

// Node is one control plane on this machine. It belongs to one test, and its methods
// fail that test where they return no error.
type Node struct {
	t       testing.TB
	folder  string
	config  Config
	key     string
	address string // once it has served
	process *process
}

// process is one life of it.
type process struct {
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when it was waited for
	err  error
}

// New prepares a node without starting it. When the test ends, what runs is killed and
// the folder removed; a failed test's folder stays, with the log.
func New(t testing.TB, c Config) *Node {
	t.Helper()
	folder, err := os.MkdirTemp("", "headrace-control-")
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{t: t, folder: folder, config: c, key: c.Key}
	t.Cleanup(n.cleanUp)
	if n.key == "" {
		n.key = strings.TrimSpace(n.Run("init"))
	}
	return n
}

// Start makes a node and starts it, and returns when it serves.
func Start(t testing.TB, c Config) *Node {
	t.Helper()
	n := New(t, c)
	n.Launch()
	n.AwaitServing()
	return n
}

// Beside starts another instance on the node's database, and returns when it serves.
func (n *Node) Beside() *Node {
	n.t.Helper()
	c := n.config
	c.KeyFile, c.Key = n.KeyFile(), n.key
	return Start(n.t, c)
}

// Folder is where the node keeps its files.
func (n *Node) Folder() string { return n.folder }

// Key is the operator's API key.
func (n *Node) Key() string { return n.key }

// KeyFile holds the keys that seal secrets in the database.
func (n *Node) KeyFile() string {
	if n.config.KeyFile != "" {
		return n.config.KeyFile
	}
	return n.path("control.keys")
}

// URL is the base URL.
func (n *Node) URL() string { return "http://" + n.address }

// PID is that of the running process, or of the last one.
func (n *Node) PID() int { return n.process.cmd.Process.Pid }

func (n *Node) path(name string) string { return filepath.Join(n.folder, name) }

func (n *Node) command(args ...string) *exec.Cmd {
	binary := os.Getenv(BinaryVariable)
	if binary == "" {
		n.t.Fatalf("no control plane to test: call control.Main in TestMain, or set %s", BinaryVariable)
	}
	cmd := exec.Command(binary, append(args, "--data", n.folder, "--key-file", n.KeyFile())...)
	cmd.Env = os.Environ()
	if n.config.Database != "" {
		cmd.Env = append(cmd.Env, "HEADRACE_DATABASE="+n.config.Database)
	}
	return cmd
}

// Run runs a subcommand and returns what it prints.
func (n *Node) Run(args ...string) string {
	n.t.Helper()
	cmd := n.command(args...)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		n.t.Fatalf("controlapi %v: %v\n%s", args, err, words.Bytes())
	}
	return out.String()
}

// Launch executes the control plane and does not wait for anything. Later lives are at
// the address of the first.
func (n *Node) Launch() {
	n.t.Helper()
	listen := n.address
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	log, err := os.OpenFile(n.path("log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	p := &process{cmd: n.command(append([]string{"serve", "--listen", listen}, n.config.Options...)...), log: log, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		_ = log.Close()
		n.t.Fatal("starting the control plane:", err)
	}
	n.process = p
	go func() {
		p.err = p.cmd.Wait()
		_ = log.Close()
		close(p.done)
	}()
}

// AwaitServing waits until it answers.
func (n *Node) AwaitServing() {
	n.t.Helper()
	n.await("the control plane to serve", func() bool {
		if n.address == "" {
			n.address = n.said()
			return false
		}
		status, _ := n.ask("GET", "/healthz", nil, nil)
		return status == 200
	})
}

// said is the address that the log tells of; empty: none yet.
func (n *Node) said() string {
	lines := bufio.NewScanner(bytes.NewReader(n.Log()))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Msg, URL string
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "control plane serves" {
			if u, err := url.Parse(line.URL); err == nil {
				return u.Host
			}
		}
	}
	return ""
}

func (n *Node) await(what string, holds func() bool) {
	n.t.Helper()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for end := time.Now().Add(serveTime); !holds(); <-tick.C {
		select {
		case <-n.process.done:
			n.t.Fatalf("the control plane ended: %v\n%s", n.process.err, n.LogTail())
		default:
		}
		if time.Now().After(end) {
			n.t.Fatalf("waited %v for %s\n%s", serveTime, what, n.LogTail())
		}
	}
}

// Restart launches the control plane again with the same files and waits until it
// serves.
func (n *Node) Restart() {
	n.t.Helper()
	n.Launch()
	n.AwaitServing()
}

// Signal sends a signal to the process.
func (n *Node) Signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.process.cmd.Process.Signal(s); err != nil {
		n.t.Fatalf("sending %v to the control plane: %v", s, err)
	}
}

// Kill ends the process as a crash would, and waits for it.
func (n *Node) Kill() {
	n.t.Helper()
	n.Signal(syscall.SIGKILL)
	select {
	case <-n.process.done:
	case <-time.After(stopTime):
		n.t.Fatalf("the control plane still runs %v after SIGKILL", stopTime)
	}
}

// Log is all that it has written.
func (n *Node) Log() []byte {
	n.t.Helper()
	b, err := os.ReadFile(n.path("log"))
	if err != nil {
		n.t.Fatal(err)
	}
	return b
}

// LogTail is the last lines of the log.
func (n *Node) LogTail() string {
	lines := strings.Split(strings.TrimRight(string(n.Log()), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

func (n *Node) cleanUp() {
	if p := n.process; p != nil {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	if n.t.Failed() {
		if n.process != nil {
			n.t.Logf("the control plane's folder is kept: %s\nits log ends with\n%s", n.folder, n.LogTail())
		}
		return
	}
	if err := os.RemoveAll(n.folder); err != nil {
		n.t.Error(fmt.Errorf("removing the control plane's folder: %w", err))
	}
}
