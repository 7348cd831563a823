package process

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func init() {
	roles["main"] = claimFromMain
	// The role needs the main thread, which only init can hold on to.
	if os.Getenv(roleEnv) == "main" {
		runtime.LockOSThread()
	}
}

// claimFromMain tells by its exit code whether claimThread leaves the main thread.
func claimFromMain() int {
	if unix.Gettid() != unix.Getpid() {
		return 2
	}
	moved := make(chan bool, 1)
	claimThread(func() { moved <- unix.Gettid() != unix.Getpid() })
	if !<-moved {
		return 1
	}
	return 0
}

func TestClaimLeavesTheMainThread(t *testing.T) {
	if got := await(t, start(t, play("main")), 10*time.Second); got.Code != 0 {
		t.Errorf("exit code = %d, want 0 (1: stayed on the main thread, 2: was not on it)", got.Code)
	}
}

// alive tells whether a process runs; a zombie does not.
func alive(pid int) bool {
	stat, err := readStat(pid)
	return err == nil && !stat.dead()
}

func pidOf(t *testing.T, text string) int {
	t.Helper()
	pid, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("reading a pid: %v", err)
	}
	return pid
}

func TestConfinement(t *testing.T) {
	// Limits arrive right after the start, so the child waits for the last one.
	spec := shell(`until [ "$(ulimit -Hn)" = 256 ]; do :; done; ulimit -Hc
		grep NoNewPrivs /proc/self/status; cut -d' ' -f5 /proc/$$/stat`)
	c := start(t, spec)
	await(t, c, 10*time.Second)
	want := []string{"0", "NoNewPrivs:\t1", strconv.Itoa(c.PID())}
	if diff := cmp.Diff(want, texts(c.Lines())); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestPipeSize(t *testing.T) {
	spec := shell("exec sleep 60")
	spec.Pipes, spec.PipeSize = 1, 256<<10
	conn, err := start(t, spec).Pipe(0).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got int
	if err := conn.Control(func(fd uintptr) { got, err = unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0) }); err != nil {
		t.Fatal(err)
	}
	if got != spec.PipeSize {
		t.Errorf("pipe size = %d, %v, want %d", got, err, spec.PipeSize)
	}
}

func TestGrandchildDies(t *testing.T) {
	// What is ignored stays ignored through exec.
	const script = "trap 'exit 0' TERM; sh -c 'trap \"\" TERM; echo $$; exec sleep 60' & "
	for _, tc := range []struct {
		name, script string
		end          func(*Child)
	}{
		{"by Kill", script + "wait", (*Child).Kill},
		{"by Stop, although it ignores SIGTERM", script + "wait", (*Child).Stop},
		{"when the child ends by itself", script + "sleep 0.2", func(*Child) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := start(t, shell(tc.script))
			pid := pidOf(t, firstLine(t, c))
			if !alive(pid) {
				t.Fatal("the grandchild does not run")
			}
			tc.end(c)
			await(t, c, 10*time.Second)
			poll(t, "grandchild is gone", time.Second, func() bool { return !alive(pid) })
		})
	}
}

func TestEscapedProcessDelaysNothing(t *testing.T) {
	c := start(t, play("escapee"))
	pid := pidOf(t, firstLine(t, c))
	defer syscall.Kill(pid, syscall.SIGKILL)
	exit := await(t, c, 10*time.Second)
	if late := time.Since(exit.Ended); late > time.Second {
		t.Errorf("Done came %v after the death", late)
	}
	if !alive(pid) {
		t.Error("the process that holds stderr is gone: nothing was tested")
	}
}

func TestSuspendedChild(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(*Child)
		want syscall.Signal
	}{
		{"Kill", (*Child).Kill, syscall.SIGKILL},
		{"Stop wakes it first", (*Child).Stop, syscall.SIGTERM},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := start(t, Spec{Path: "/bin/sleep", Args: []string{"60"}})
			if err := syscall.Kill(c.PID(), syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			poll(t, "child is suspended", 10*time.Second, func() bool {
				stat, err := readStat(c.PID())
				return err == nil && stat.state == 'T'
			})
			tc.end(c)
			if got := await(t, c, 2*time.Second); got.Signal != tc.want || !got.Asked {
				t.Errorf("Exit() = %+v, want %v, asked", got, tc.want)
			}
		})
	}
}

func TestChildDiesWithItsParent(t *testing.T) {
	records := t.TempDir()
	parent := exec.Command(os.Args[0])
	parent.Env = []string{roleEnv + "=edge", "RECORDS=" + records}
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := pidOf(t, scanLine(out))
	if !alive(pid) {
		t.Fatal("the child does not run")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	took := poll(t, "child is gone", time.Second, func() bool { return !alive(pid) })
	t.Logf("child gone after %v", took)
	_ = parent.Wait() // the error tells that it was killed, as it should be

	// The parent could not remove the record; the next life does, without calling it an orphan.
	if left := names(t, records); len(left) != 1 {
		t.Errorf("records after the crash: %v, want one", left)
	}
	if killed, err := ReapOrphans(records); err != nil || len(killed) > 0 {
		t.Errorf("ReapOrphans = %v, %v, want nothing", killed, err)
	}
	if left := names(t, records); len(left) != 0 {
		t.Errorf("records after reaping: %v, want none", left)
	}
}

func TestManyChildrenLeaveNothing(t *testing.T) {
	const children = 50
	records := t.TempDir()
	// One round first: the runtime opens its poller and makes its spare threads then.
	crowd(t, records, children)
	// The collector would close forgotten files.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	files := len(names(t, "/proc/self/fd"))
	crowd(t, records, children)
	if got := len(names(t, "/proc/self/fd")); got > files {
		t.Errorf("open files: %d, want at most %d", got, files)
	}
	// A child's thread ends right after Done. One that were kept would be confined for ever.
	poll(t, "no thread is confined", 5*time.Second, func() bool { return confinedThreads(t) == 0 })
	if left := names(t, records); len(left) != 0 {
		t.Errorf("records left: %v", left)
	}
	goleak.VerifyNone(t)
}

func TestFailedStartsLeaveNothing(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	before := len(names(t, "/proc/self/fd"))
	for range 20 {
		if _, err := Start(Spec{Path: "/nowhere/ffmpeg", Pipes: 3}); err == nil {
			t.Fatal("Start succeeded")
		}
	}
	// The runtime may have opened its poller meanwhile: two files, not two hundred.
	if got := len(names(t, "/proc/self/fd")); got > before+10 {
		t.Errorf("open files: %d, want about %d", got, before)
	}
}

// crowd starts and stops children all at once.
func crowd(t *testing.T, records string, children int) {
	t.Helper()
	var all sync.WaitGroup
	for range children {
		all.Go(func() {
			c, err := Start(Spec{Path: "/bin/sleep", Args: []string{"60"}, Pipes: 2, Records: records})
			if err != nil {
				t.Error(err)
				return
			}
			c.Stop()
			closeAll(c.pipes)
			if stat, err := readStat(c.PID()); err == nil && stat.state == 'Z' {
				t.Errorf("child %d is a zombie", c.PID())
			}
		})
	}
	all.Wait()
}

// confinedThreads counts our threads that can gain no privileges.
func confinedThreads(t *testing.T) (n int) {
	t.Helper()
	for _, tid := range names(t, "/proc/self/task") {
		status, err := os.ReadFile("/proc/self/task/" + tid + "/status")
		if err == nil && strings.Contains(string(status), "NoNewPrivs:\t1") {
			n++
		}
	}
	return n
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range list {
		all = append(all, e.Name())
	}
	return all
}

func BenchmarkStartKill(b *testing.B) {
	for b.Loop() {
		c, err := Start(Spec{Path: "/bin/sleep", Args: []string{"60"}})
		if err != nil {
			b.Fatal(err)
		}
		c.Kill()
		<-c.Done()
	}
}
