package edge

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/ingest/process/cgroup"
)

// Times that waits are given unless a test says otherwise.
const (
	serveTime = 20 * time.Second // from exec until it serves, on a loaded machine
	stopTime  = 20 * time.Second
	pollTime  = 5 * time.Millisecond
)

// Node is one edge on this machine: its folder, its port, its key, and its
// process, if one runs. It belongs to one test, and its methods fail that test
// where they return no error.
type Node struct {
	t        testing.TB
	folder   string
	port     int
	reserved int // the socket that keeps the port
	secret   string
	config   Config
	process  *process
}

// process is one life of the edge.
type process struct {
	cmd     *exec.Cmd
	started time.Time
	log     *os.File
	done    chan struct{} // closed when it was waited for
	err     error
}

// New prepares a node without starting it. When the test ends, what runs is
// killed and the folder removed; a failed test's folder stays, with the log.
func New(t testing.TB, c Config) *Node {
	t.Helper()
	n := &Node{t: t, config: c, secret: rand.Text() + rand.Text()}
	n.secret = n.secret[:40]
	var err error
	// The path of a socket in it may have 107 bytes: t.TempDir is too long for that.
	if n.folder, err = os.MkdirTemp("", "headrace-node-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.cleanUp)
	if err := os.WriteFile(n.path("key"), []byte(n.secret), 0o600); err != nil {
		t.Fatal(err)
	}
	if n.reserved, n.port, err = reserve(); err != nil {
		t.Fatal(err)
	}
	return n
}

// Start makes a node and starts it, and returns when it serves and checks tokens.
func Start(t testing.TB, c Config) *Node {
	t.Helper()
	n := New(t, c)
	n.Launch()
	n.AwaitServing()
	return n
}

// reserve finds a free port and keeps it: the kernel gives it to nobody else, but
// lets the edge listen, which sets SO_REUSEPORT, however often it is restarted.
func reserve() (fd, port int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return 0, 0, fmt.Errorf("making a socket: %w", err)
	}
	unix.CloseOnExec(fd)
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
	)
	if err == nil {
		var address unix.Sockaddr
		if address, err = unix.Getsockname(fd); err == nil {
			return fd, address.(*unix.SockaddrInet4).Port, nil
		}
	}
	return 0, 0, errors.Join(fmt.Errorf("reserving a port: %w", err), unix.Close(fd))
}

// ReservePort finds a free port of this machine and keeps it for an edge until the
// test ends.
func ReservePort(t testing.TB) int {
	t.Helper()
	fd, port, err := reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return port
}

func (n *Node) path(name string) string { return filepath.Join(n.folder, name) }

// Folder is where the node keeps its files; State is its state folder.
func (n *Node) Folder() string { return n.folder }

// State is the node's state folder, if its configuration names no other.
func (n *Node) State() string { return n.path("state") }

// Address is the host and port that viewers use.
func (n *Node) Address() string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(n.port)) }

// PID is that of the running process, or of the last one.
func (n *Node) PID() int { return n.process.cmd.Process.Pid }

// Started is when the process was executed.
func (n *Node) Started() time.Time { return n.process.started }

// Launch executes the edge and does not wait for anything.
func (n *Node) Launch() {
	n.t.Helper()
	if err := os.WriteFile(n.path("Caddyfile"), []byte(n.caddyfile(n.config)), 0o600); err != nil {
		n.t.Fatal(err)
	}
	log, err := os.OpenFile(n.path("log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	binary := os.Getenv(BinaryVariable)
	if binary == "" {
		n.t.Fatalf("no edge to test: call edge.Main in TestMain, or set %s", BinaryVariable)
	}
	p := &process{cmd: exec.Command(binary, "run", "--config", n.path("Caddyfile"), "--adapter", "caddyfile"), log: log, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(os.Environ(), "HOME="+n.folder, "XDG_DATA_HOME="+n.path("data"), "XDG_CONFIG_HOME="+n.path("config"))
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		_ = log.Close()
		n.t.Fatal("starting the edge:", err)
	}
	n.process = p
	go func() {
		p.err = p.cmd.Wait()
		_ = log.Close()
		close(p.done)
	}()
}

// Join makes a node that has not started an edge of a control plane.
func (n *Node) Join(control, code string) {
	n.t.Helper()
	cmd := exec.Command(os.Getenv(BinaryVariable), "join", control, "-", "--token-file", n.path("edge.token"))
	cmd.Stdin = strings.NewReader(code + "\n")
	if words, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("joining %s: %v\n%s", control, err, words)
	}
	n.config.Control = control
}

// Restart launches the edge again with the same files and waits until it serves.
func (n *Node) Restart() {
	n.t.Helper()
	n.Launch()
	n.AwaitServing()
}

// AwaitServing waits until a request with a bad token is refused for its token,
// which is when tokens are checked, and returns the time since exec.
func (n *Node) AwaitServing() time.Duration {
	n.t.Helper()
	Await(n.t, serveTime, "the edge to serve and check tokens", func() bool {
		if n.Exited() {
			n.t.Fatalf("the edge ended: %v\n%s", n.process.err, n.LogTail())
		}
		return n.checksTokens()
	})
	return time.Since(n.process.started)
}

// Exited tells whether the process has ended.
func (n *Node) Exited() bool {
	select {
	case <-n.process.done:
		return true
	default:
		return false
	}
}

// AwaitExit waits until the process has ended, and returns what became of it: nil
// for exit code 0.
func (n *Node) AwaitExit(limit time.Duration) error {
	n.t.Helper()
	select {
	case <-n.process.done:
		return n.process.err
	case <-time.After(limit):
		n.t.Fatalf("the edge still runs after %v\n%s", limit, n.LogTail())
		return nil
	}
}

// Signal sends a signal to the edge's process.
func (n *Node) Signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.process.cmd.Process.Signal(s); err != nil {
		n.t.Fatalf("sending %v to the edge: %v", s, err)
	}
}

// Kill ends the process as a crash would, and waits for it.
func (n *Node) Kill() {
	n.t.Helper()
	n.Signal(syscall.SIGKILL)
	_ = n.AwaitExit(stopTime) // it was killed, and says so
}

// Log is all that the edge has written.
func (n *Node) Log() []byte {
	n.t.Helper()
	b, err := os.ReadFile(n.path("log"))
	if err != nil {
		n.t.Fatal(err)
	}
	return b
}

// LogTail is the last lines of the log that are of more than debug level.
func (n *Node) LogTail() string {
	var lines []string
	for line := range bytes.Lines(n.Log()) {
		if !bytes.Contains(line, []byte(`"level":"debug"`)) {
			lines = append(lines, string(line))
		}
	}
	return strings.Join(lines[max(0, len(lines)-40):], "")
}

// cleanUp ends what runs, and removes the folder if nobody will want to look at it.
func (n *Node) cleanUp() {
	if p := n.process; p != nil && !n.Exited() {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	_ = unix.Close(n.reserved)
	n.removeGroups()
	if n.t.Failed() {
		n.t.Logf("the edge's folder is kept: %s", n.folder)
		if n.process != nil {
			n.t.Logf("its log ends with\n%s", n.LogTail())
		}
		return
	}
	if err := os.RemoveAll(n.folder); err != nil {
		n.t.Error(err)
	}
}

// removeGroups kills what a killed edge left in its control groups, and removes them:
// no other life of it will.
func (n *Node) removeGroups() {
	if n.process == nil {
		return
	}
	state := n.config.State
	if state == "" {
		state = n.State()
	}
	lock, err := os.Open(filepath.Join(state, "lock"))
	if err != nil || unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return // another edge lives there, or none ever did
	}
	defer lock.Close()
	// Where there are no groups, there is nothing to remove.
	groups, _ := cgroup.Open(cgroup.Name(state))
	if _, err := groups.Reap(); err != nil {
		n.t.Error(err)
	}
	if err := groups.Close(); err != nil {
		n.t.Error(err)
	}
}

// Await polls until a condition holds and returns how long that took. It fails
// the test when the limit has passed.
func Await(t testing.TB, limit time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for !holds() {
		if time.Since(began) > limit {
			t.Fatalf("waited %v for %s", limit, what)
		}
		<-tick.C
	}
	return time.Since(began)
}
