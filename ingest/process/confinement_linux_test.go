package process

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/ingest/process/cgroup"
)

func init() {
	roles["reach"] = reach
	roles["drowner"] = drowner
	roles["bomb"] = bomb
}

// needAbilities skips a test where the machine lacks what it tests.
func needAbilities(t *testing.T, has func(Abilities) bool, what string) Abilities {
	t.Helper()
	a := ProbeAbilities()
	if !has(a) {
		t.Skipf("this machine has no %s: %+v", what, a)
	}
	return a
}

// reach tries what its arguments name and writes a line for each: ok, or the error.
func reach() int {
	for _, arg := range os.Args[1:] {
		verb, what, _ := strings.Cut(arg, "=")
		fmt.Printf("%s: %v\n", arg, attempts[verb](what))
	}
	return 0
}

// attempts are ways out of a sandbox. nil means that it worked.
var attempts = map[string]func(what string) error{
	"read": func(path string) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.Read(make([]byte, 1))
		return err
	},
	"list": func(path string) error {
		_, err := os.ReadDir(path)
		return err
	},
	"create": func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
	"append": func(path string) error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		return f.Close()
	},
	"mkdir":    func(path string) error { return os.Mkdir(path, 0o700) },
	"remove":   os.Remove,
	"truncate": func(path string) error { return os.Truncate(path, 0) },
	"connect": func(address string) error {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	},
	"listen": func(address string) error {
		var config net.ListenConfig
		config.SetMultipathTCP(false) // which is another protocol to the kernel, and to Landlock
		l, err := config.Listen(context.Background(), "tcp", address)
		if err != nil {
			return err
		}
		return l.Close()
	},
	"abstract": func(name string) error {
		c, err := net.Dial("unix", "@"+name)
		if err != nil {
			return err
		}
		return c.Close()
	},
	"signal": func(pid string) error {
		n, err := strconv.Atoi(pid)
		if err != nil {
			return err
		}
		return syscall.Kill(n, 0)
	},
	"execute": func(path string) error {
		p, err := os.StartProcess(path, []string{path}, &os.ProcAttr{})
		if err != nil {
			return err
		}
		_, err = p.Wait()
		return err
	},
}

// world is what the children of these tests must not reach, and what they may.
type world struct {
	secret, folder, allowed string
	open, closed            net.Listener
	abstract                string
}

const program = "#!/bin/true\n"

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{folder: t.TempDir(), abstract: "headrace-test-" + rand.Text()}
	w.secret, w.allowed = filepath.Join(w.folder, "secret"), filepath.Join(w.folder, "allowed")
	for _, path := range []string{w.secret, w.allowed} {
		if err := os.WriteFile(path, []byte(program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range []*net.Listener{&w.open, &w.closed} {
		var err error
		if *l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*l).Close() })
	}
	l, err := net.Listen("unix", "@"+w.abstract)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return w
}

func (w world) port(t *testing.T) uint16 {
	t.Helper()
	return uint16(w.open.Addr().(*net.TCPAddr).Port)
}

func TestSandbox(t *testing.T) {
	a := needAbilities(t, func(a Abilities) bool { return a.Landlock.Files() }, "Landlock")
	w := newWorld(t)
	sandbox := Sandbox{Read: []string{w.allowed, "/nowhere"}, ConnectTCP: w.port(t)}
	none := sandbox
	none.ConnectTCP = 0
	for _, tc := range []struct {
		attempt string
		sandbox Sandbox
		works   bool
		covered bool // by this kernel
	}{
		{"read=" + w.allowed, sandbox, true, true},
		{"read=" + w.secret, sandbox, false, true},
		{"list=" + w.folder, sandbox, false, true},
		{"list=/", sandbox, false, true},
		{"read=/etc/shadow", sandbox, false, true},
		{"read=/etc/passwd", sandbox, false, true},
		{"read=/etc/ld.so.cache", sandbox, true, true},
		{"read=/dev/urandom", sandbox, true, true},
		{"read=/bin/sh", sandbox, true, true},
		{"read=" + procFile(os.Getpid(), "environ"), sandbox, false, true},
		{"read=/proc/self/environ", sandbox, false, true},
		{"append=" + w.allowed, sandbox, false, true},
		{"append=/dev/null", sandbox, true, true},
		{"append=/dev/zero", sandbox, false, true},
		{"append=/dev/zero", Sandbox{Devices: []string{"/dev/zero", "/dev/nowhere"}}, true, true},
		{"truncate=" + w.allowed, sandbox, false, a.Landlock >= 3},
		{"remove=" + w.allowed, sandbox, false, true},
		{"create=" + filepath.Join(w.folder, "new"), sandbox, false, true},
		{"create=/tmp/headrace-test-" + rand.Text(), sandbox, false, true},
		{"create=/dev/shm/headrace-test-" + rand.Text(), sandbox, false, true},
		{"mkdir=" + filepath.Join(w.folder, "dir"), sandbox, false, true},
		{"execute=/bin/true", sandbox, true, true},
		{"execute=" + w.allowed, sandbox, false, true},
		{"connect=" + w.open.Addr().String(), sandbox, true, true},
		{"connect=" + w.closed.Addr().String(), sandbox, false, a.Landlock.TCP()},
		{"connect=" + w.open.Addr().String(), none, false, a.Landlock.TCP()},
		{"listen=127.0.0.1:0", sandbox, false, a.Landlock.TCP()},
		{"abstract=" + w.abstract, sandbox, false, a.Landlock.Scopes()},
		{"signal=" + strconv.Itoa(os.Getpid()), sandbox, false, a.Landlock.Scopes()},
	} {
		t.Run(strings.ReplaceAll(tc.attempt, "/", "_"), func(t *testing.T) {
			if !tc.covered {
				t.Skipf("not covered by Landlock version %d", a.Landlock)
			}
			spec := play("reach")
			spec.Args, spec.Dir = []string{tc.attempt}, "/"
			if !tc.works {
				// What fails in the sandbox must work without it, or nothing is shown.
				free := start(t, spec)
				if exit := await(t, free, 10*time.Second); exit.Code != 0 || !strings.HasSuffix(firstLine(t, free), "<nil>") {
					t.Fatalf("free: exit %+v, %q", exit, texts(free.Lines()))
				}
				undo(t, tc.attempt, w)
			}
			spec.Sandbox, spec.Landlock = &tc.sandbox, a.Landlock
			c := start(t, spec)
			if exit := await(t, c, 10*time.Second); exit.Code != 0 {
				t.Fatalf("exit %+v, %q", exit, texts(c.Lines()))
			}
			if got := firstLine(t, c); strings.HasSuffix(got, ": <nil>") != tc.works {
				t.Errorf("got %q, want that it works: %v", got, tc.works)
			}
		})
	}
}

// undo takes back what a free child did.
func undo(t *testing.T, attempt string, w world) {
	t.Helper()
	verb, path, _ := strings.Cut(attempt, "=")
	switch verb {
	case "create", "mkdir":
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	case "remove", "truncate":
		if err := os.WriteFile(w.allowed, []byte(program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSandboxLeavesOthersFree(t *testing.T) {
	a := needAbilities(t, func(a Abilities) bool { return a.Landlock.Files() }, "Landlock")
	spec := shell("exec sleep 60")
	spec.Sandbox, spec.Landlock = new(Sandbox), a.Landlock
	for range 5 {
		start(t, spec)
	}
	for range 100 { // on as many threads as the runtime likes
		path := filepath.Join(t.TempDir(), "file")
		done := make(chan error)
		go func() { done <- os.WriteFile(path, nil, 0o600) }()
		if err := <-done; err != nil {
			t.Fatalf("this process is confined, too: %v", err)
		}
	}
}

func TestSandboxedChildHasNoCapabilities(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root has capabilities to lose")
	}
	spec := shell("grep CapEff /proc/self/status; grep CapAmb /proc/self/status")
	free := start(t, spec)
	await(t, free, 10*time.Second)
	if texts(free.Lines())[0] == "CapEff:\t0000000000000004" {
		t.Fatal("a free child of root has lost its capabilities")
	}
	spec.Sandbox = new(Sandbox) // without Landlock, which would hide /proc
	c := start(t, spec)
	await(t, c, 10*time.Second)
	if got, want := texts(c.Lines()), "CapEff:\t0000000000000004"; got[0] != want {
		t.Errorf("got %q, want %q: to read, nothing else", got, want)
	}
}

func TestUser(t *testing.T) {
	needAbilities(t, func(a Abilities) bool { return a.Users }, "user ids for children")
	spec := shell("id -u; id -g; id -G; grep CapPrm /proc/self/status")
	spec.User = UserBase + 7
	c := start(t, spec)
	await(t, c, 10*time.Second)
	user := strconv.Itoa(UserBase + 7)
	want := []string{user, user, user, "CapPrm:\t0000000000000000"}
	if got := texts(c.Lines()); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A child under an id of its own is in the groups of its devices.
func TestUserOfADevice(t *testing.T) {
	needAbilities(t, func(a Abilities) bool { return a.Users }, "user ids for children")
	device := filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(device, nil, 0o660); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(device, 0, 4242); err != nil {
		t.Fatal(err)
	}
	spec := shell("id -G")
	spec.User, spec.Sandbox = UserBase+7, &Sandbox{Devices: []string{device}}
	c := start(t, spec)
	await(t, c, 10*time.Second)
	if got, want := firstLine(t, c), fmt.Sprint(UserBase+7, " 4242"); got != want {
		t.Errorf("got groups %q, want %q", got, want)
	}
}

func TestChildOfAnotherUser(t *testing.T) {
	needAbilities(t, func(a Abilities) bool { return a.Users }, "user ids for children")
	for _, tc := range []struct {
		name string
		end  func(*Child)
		want syscall.Signal
	}{
		{"obeys Stop", (*Child).Stop, syscall.SIGTERM},
		{"dies of Kill", (*Child).Kill, syscall.SIGKILL},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := Spec{Path: "/bin/sleep", Args: []string{"60"}, User: UserBase + 7, Name: "news"}
			c := start(t, spec)
			tc.end(c)
			if got := await(t, c, 10*time.Second); got.Signal != tc.want {
				t.Errorf("Exit() = %+v, want %v", got, tc.want)
			}
		})
	}
}

func TestMapsUsers(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       bool
	}{
		{"the whole machine", "         0          0 4294967295\n", true},
		{"a container", "         0     100000      65536\n", false},
		{"up to the last", fmt.Sprintf("0 0 1\n1 100000 %d\n", UserBase+UserCount-1), true},
		{"one too few", fmt.Sprintf("0 0 %d\n", UserBase+UserCount-1), false},
		{"nothing", "", false},
		{"cut", "0 0\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := mapsUsers([]byte(tc.text)); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

// openTree opens control groups that the test's end removes.
func openTree(t *testing.T, controller string) *cgroup.Tree {
	t.Helper()
	tree, err := cgroup.Open("headrace-test-" + rand.Text())
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	if tree.Version() == "" || controller != "" && !strings.Contains(strings.Join(tree.Controllers(), " "), controller) {
		t.Skipf("no control groups for %q: %v", controller, err)
	}
	return tree
}

func makeGroup(t *testing.T, tree *cgroup.Tree, l cgroup.Limits) *cgroup.Group {
	t.Helper()
	g, err := tree.Make("news", l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// drowner takes memory until it is stopped.
func drowner() int {
	var all [][]byte
	for {
		block := make([]byte, 1<<20)
		for i := range block {
			block[i] = byte(i)
		}
		all = append(all, block)
		fmt.Fprintln(os.NewFile(3, "report"), len(all))
	}
}

func TestGroupKillsWhoEatsMemory(t *testing.T) {
	g := makeGroup(t, openTree(t, "memory"), cgroup.Limits{Memory: 64 << 20})
	spec := play("drowner")
	spec.Group, spec.Pipes = g, 1
	c := start(t, spec)
	began := time.Now()
	exit := await(t, c, 20*time.Second)
	t.Logf("figures: killed after %v", time.Since(began))
	if counters := g.Counters(); exit.Signal != syscall.SIGKILL || counters.OOMKills != 1 {
		t.Errorf("Exit() = %+v, counters %+v; want it killed for its memory", exit, counters)
	}
}

// bomb makes as many processes as it can, each in a session of its own, and never gives up.
func bomb() int {
	for {
		// Refusals are what the test counts.
		_, _ = os.StartProcess("/bin/sleep", []string{"sleep", "60"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}})
	}
}

func TestGroupHoldsForkBomb(t *testing.T) {
	const most = 40
	g := makeGroup(t, openTree(t, "pids"), cgroup.Limits{PIDs: most})
	spec := play("bomb")
	spec.Group = g
	c := start(t, spec)
	poll(t, "the bomb is refused processes", 20*time.Second, func() bool { return g.Counters().PIDsHits > 100 })
	began := time.Now()
	c.Kill()
	await(t, c, 5*time.Second)
	if err := g.Remove(); err != nil {
		t.Fatalf("the group lives on: %v", err)
	}
	took := time.Since(began)
	t.Logf("figures: the group is dead and removed after %v", took)
	if took > 500*time.Millisecond {
		t.Errorf("dead after %v, want at most 0.5 s", took)
	}
}

func TestGroupThrottles(t *testing.T) {
	g := makeGroup(t, openTree(t, "cpu"), cgroup.Limits{CPU: 0.1})
	spec := shell("while :; do :; done")
	spec.Group = g
	start(t, spec)
	poll(t, "the child is held back", 20*time.Second, func() bool { return g.Counters().ThrottledPeriods >= 5 })
	c := g.Counters()
	if c.Throttled <= 0 || c.CPU <= 0 || c.Periods < c.ThrottledPeriods {
		t.Errorf("got %+v, want all of it counted", c)
	}
}

func TestGroupKillsWhoLeavesTheProcessGroup(t *testing.T) {
	g := makeGroup(t, openTree(t, ""), cgroup.Limits{})
	spec := play("escapee")
	spec.Group = g
	c := start(t, spec)
	pid := pidOf(t, firstLine(t, c))
	await(t, c, 10*time.Second)
	poll(t, "the process that left is gone", time.Second, func() bool { return !alive(pid) })
}

// All at once, as the engine starts them: the child dies with its thread, under a user id of its own.
func TestConfinedChildDiesWithItsParent(t *testing.T) {
	needAbilities(t, func(a Abilities) bool { return a.Users && a.Landlock.Files() }, "user ids for children, and Landlock")
	parent := start(t, play("confining edge"))
	pid := pidOf(t, firstLine(t, parent))
	if !alive(pid) {
		t.Fatal("the child does not run")
	}
	parent.Kill()
	await(t, parent, 10*time.Second)
	poll(t, "the child is gone", time.Second, func() bool { return !alive(pid) })
}

// The edge of the systemd unit is not root: it has but the capabilities that it needs to give children users, and to
// kill them. Its children have none, and die with it all the same.
func TestConfinementWithoutRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	folder, err := os.MkdirTemp("", "headrace-test-") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	program := filepath.Join(folder, "edge")
	body, err := os.ReadFile(os.Args[0])
	if err = errors.Join(err, os.Chmod(folder, 0o755), os.WriteFile(program, body, 0o755)); err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(program)
	parent.Dir, parent.Env, parent.Stderr = "/", []string{roleEnv + "=confining edge"}, os.Stderr
	parent.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: 4242, Gid: 4242},
		AmbientCaps: []uintptr{unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL},
	}
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = parent.Process.Kill()
		_ = parent.Wait() // it was killed
	})
	pid := pidOf(t, scanLine(out))
	status, err := os.ReadFile(procFile(pid, "status"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("Uid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", UserBase+9), "CapPrm:\t0000000000000000\n", "CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n",
	} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the child's status lacks %q:\n%s", want, status)
		}
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	poll(t, "the child is gone", time.Second, func() bool { return !alive(pid) })
}

func init() { roles["confining edge"] = confiningEdge }

// confiningEdge is a parent whose child is in another process group, so that it dies of its thread's end or not at all.
func confiningEdge() int {
	a := ProbeAbilities()
	c, err := Start(Spec{
		Path: "/bin/sleep", Args: []string{"60"}, User: UserBase + 9, Sandbox: new(Sandbox), Landlock: a.Landlock, Dir: "/",
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer c.Stop()
	// Start returns while the kernel still sets up the new program.
	for name := []byte(nil); string(name) != "sleep\n"; {
		if name, err = os.ReadFile(procFile(c.PID(), "comm")); err != nil {
			return 2
		}
	}
	fmt.Println(c.PID())
	<-c.Done()
	return 0
}
