package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestExit(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		want         Exit
	}{
		{"success", "exit 0", Exit{}},
		{"failure", "exit 7", Exit{Code: 7}},
		{"highest code", "exit 255", Exit{Code: 255}},
		{"killed by another", "kill -KILL $$", Exit{Code: -1, Signal: syscall.SIGKILL}},
		{"terminated by another", "kill -TERM $$", Exit{Code: -1, Signal: syscall.SIGTERM}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			began := time.Now()
			got := await(t, start(t, shell(tc.script)), 10*time.Second)
			if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(Exit{}, "Started", "Ended")); diff != "" {
				t.Errorf("Exit() (-want +got):\n%s", diff)
			}
			if got.Started.Before(began) || got.Ended.Before(got.Started) || got.Ended.After(time.Now()) {
				t.Errorf("lived from %v to %v, want a span after %v", got.Started, got.Ended, began)
			}
		})
	}
}

func TestStartRefuses(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		spec Spec
		want error // nil: any
	}{
		{"no path", Spec{}, nil},
		{"missing program", Spec{Path: "/nowhere/ffmpeg"}, os.ErrNotExist},
		{"not executable", Spec{Path: plain}, os.ErrPermission},
		{"missing folder", Spec{Path: "/bin/sh", Dir: "/nowhere"}, os.ErrNotExist},
		{"pipes below zero", Spec{Path: "/bin/sh", Pipes: -1}, nil},
		{"too many pipes", Spec{Path: "/bin/sh", Pipes: 1000}, nil},
		{"zero byte in an argument", Spec{Path: "/bin/sh", Args: []string{"a\x00b"}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.spec.Name = "news"
			c, err := Start(tc.spec)
			if err == nil {
				c.Stop()
				t.Fatal("Start succeeded")
			}
			if tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("Start: %v, want %v", err, tc.want)
			}
			if !strings.Contains(err.Error(), `"news"`) {
				t.Errorf("Start: %v, want the child's name in it", err)
			}
		})
	}
}

func TestStop(t *testing.T) {
	const grace = 200 * time.Millisecond
	for _, tc := range []struct {
		name, script string
		want         Exit
		atLeast      time.Duration
	}{
		{"obeys", `trap "exit 3" TERM; echo ready; sleep 60 & wait`, Exit{Code: 3, Asked: true}, 0},
		{"dies of it", `echo ready; exec sleep 60`, Exit{Code: -1, Signal: syscall.SIGTERM, Asked: true}, 0},
		{
			"ignores it", `trap "" TERM; echo ready; exec sleep 60`,
			Exit{Code: -1, Signal: syscall.SIGKILL, Asked: true},
			grace,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := shell(tc.script)
			spec.Grace = grace
			c := start(t, spec)
			firstLine(t, c)
			began := time.Now()
			c.Stop()
			if took := time.Since(began); took < tc.atLeast {
				t.Errorf("Stop took %v, want at least %v", took, tc.atLeast)
			}
			select {
			case <-c.Done():
			default:
				t.Error("Stop returned before Done")
			}
			if diff := cmp.Diff(tc.want, c.Exit(), cmpopts.IgnoreFields(Exit{}, "Started", "Ended")); diff != "" {
				t.Errorf("Exit() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStopByMany(t *testing.T) {
	spec := play("stubborn")
	spec.Grace = time.Second
	c := start(t, spec)
	firstLine(t, c)
	var all sync.WaitGroup
	all.Go(c.Stop)
	poll(t, "child has its SIGTERM", 10*time.Second, func() bool { return len(c.Lines()) > 1 })
	for range 8 {
		all.Go(c.Stop)
	}
	all.Wait()
	c.Stop()
	c.Kill()
	if diff := cmp.Diff([]string{"ready", "told"}, texts(c.Lines())); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestStopAsksTheWholeGroup(t *testing.T) {
	c := start(t, shell(`sh -c 'trap "echo told; exit" TERM; echo ready; sleep 60 & wait' & trap : TERM; wait; wait`))
	firstLine(t, c)
	c.Stop()
	if got := texts(c.Lines()); !slices.Contains(got, "told") {
		t.Errorf("lines = %q, want the grandchild to be told", got)
	}
}

func TestStopAfterDeath(t *testing.T) {
	c := start(t, shell("exit 4"))
	await(t, c, 10*time.Second)
	c.Stop()
	c.Kill()
	if got := c.Exit(); got.Asked || got.Code != 4 {
		t.Errorf("Exit() = %+v, want code 4, not asked", got)
	}
}

func TestStopReachesAChildThatLeftItsGroup(t *testing.T) {
	c := start(t, play("defector"))
	if got := firstLine(t, c); got != "moved" {
		t.Fatalf("first line = %q", got)
	}
	go c.Stop()
	if got := await(t, c, 10*time.Second); got.Code == 2 || !got.Asked {
		t.Errorf("Exit() = %+v, want the end that was asked for", got)
	}
}

func TestPipes(t *testing.T) {
	const size = 1 << 20 // more than a pipe holds: the child has to block on it
	spec := shell(fmt.Sprintf("echo three >&3; exec 3>&-; head -c %d /dev/zero >&4 || echo broken", size))
	spec.Pipes = 2
	c := start(t, spec)
	for i, want := range []int{len("three\n"), size} {
		got, err := io.ReadAll(c.Pipe(i))
		if err != nil || len(got) != want {
			t.Errorf("reading pipe %d: %d bytes, %v, want %d", i, len(got), err, want)
		}
	}
	if got := await(t, c, 10*time.Second); got.Code != 0 || len(c.Lines()) > 0 {
		t.Errorf("Exit() = %+v, lines %q, want success", got, texts(c.Lines()))
	}
}

// A write end that leaked into another child would keep the pipe open.
func TestPipesEndWithTheirChild(t *testing.T) {
	spec := shell("exec sleep 60")
	spec.Pipes = 1
	first, second := start(t, spec), start(t, spec)
	first.Kill()
	if err := first.Pipe(0).SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Pipe(0).Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("Read: %v, want the end", err)
	}
	select {
	case <-second.Done():
		t.Error("the second child is dead: nothing was tested")
	default:
	}
}

func TestPipeDeadline(t *testing.T) {
	spec := shell("exec sleep 60")
	spec.Pipes, spec.PipeSize = 1, 256<<10
	c := start(t, spec)
	if err := c.Pipe(0).SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pipe(0).Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %v, want the deadline", err)
	}
}

func TestSurroundings(t *testing.T) {
	t.Setenv("NO_PROXY", "must not reach the child")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	env := start(t, Spec{Path: "/usr/bin/env", Env: []string{"A=1"}})
	await(t, env, 10*time.Second)
	names := texts(env.Lines())
	for i, v := range names {
		names[i], _, _ = strings.Cut(v, "=")
	}
	if diff := cmp.Diff([]string{"A", childEnv}, names); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}

	spec := shell("pwd; read x || echo no stdin; echo oops >&2")
	spec.Dir = dir
	c := start(t, spec)
	await(t, c, 10*time.Second)
	if diff := cmp.Diff([]string{dir, "no stdin", "oops"}, texts(c.Lines())); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestLinesAreComplete(t *testing.T) {
	var heard []string
	spec := shell("seq 1 500; printf unfinished")
	spec.OnLine = func(line string) { heard = append(heard, line) }
	c := start(t, spec)
	await(t, c, 10*time.Second)
	want := []string{}
	for i := 302; i <= 500; i++ {
		want = append(want, strconv.Itoa(i))
	}
	want = append(want, "unfinished")
	if diff := cmp.Diff(want, texts(c.Lines())); diff != "" {
		t.Errorf("Lines() (-want +got):\n%s", diff)
	}
	if !slices.IsSortedFunc(c.Lines(), func(a, b Line) int { return a.Time.Compare(b.Time) }) {
		t.Error("times of Lines() go back")
	}
	// Done comes after the last call of OnLine, so heard is ours now.
	if len(heard) < linesPerSec || !strings.HasSuffix(heard[len(heard)-1], "lines left out)") {
		t.Errorf("OnLine heard %d lines, the last %q, want a count at the end", len(heard), heard[len(heard)-1])
	}
}

func TestSlowOnLineHoldsNobodyUp(t *testing.T) {
	gate := make(chan struct{})
	left := make(chan struct{})
	var once sync.Once
	spec := shell("seq 1 100000; echo end")
	spec.OnLine = func(line string) {
		<-gate
		if strings.HasSuffix(line, "left out)") {
			once.Do(func() { close(left) })
		}
	}
	c := start(t, spec)
	await(t, c, 10*time.Second)
	lines := c.Lines()
	if got := lines[len(lines)-1].Text; got != "end" {
		t.Errorf("last line = %q, want %q", got, "end")
	}
	close(gate)
	<-left
}

func TestStopFromOnLine(t *testing.T) {
	var c *Child
	known := make(chan struct{})
	spec := shell("echo fatal; exec sleep 60")
	spec.OnLine = func(string) { <-known; c.Stop() }
	c = start(t, spec)
	close(known)
	if got := await(t, c, 10*time.Second); !got.Asked {
		t.Errorf("Exit() = %+v, want asked", got)
	}
}

func TestLongLine(t *testing.T) {
	c := start(t, play("long line"))
	if exit := await(t, c, 30*time.Second); exit.Code != 0 {
		t.Fatalf("Exit() = %+v", exit)
	}
	// A binary built for coverage adds a line of its own at its end.
	got := texts(c.Lines())
	if diff := cmp.Diff([]string{strings.Repeat("x", maxLine), "after"}, got[:min(2, len(got))]); diff != "" {
		t.Errorf("Lines() (-want +got):\n%s", diff)
	}
}

// TestFlood measures what a child feels that floods stderr. A loaded machine holds up any writer; then the same flood
// into a reader that does nothing tells how much of the delay is ours.
func TestFlood(t *testing.T) {
	const tries, want = 5, 100 * time.Millisecond
	for range tries {
		got := floodChild(t)
		if got <= want {
			return
		}
		idle := floodNobody(t)
		t.Logf("slowest write %v, without us %v", got, idle)
		if got <= 3*idle {
			return
		}
	}
	t.Errorf("slowest write above %v in each of %d tries", want, tries)
}

// floodChild runs a flood under supervision, checks that it costs no memory, and returns its slowest write.
func floodChild(t *testing.T) time.Duration {
	t.Helper()
	const growthWanted = 4 << 20
	heard := 0
	spec := play("flood")
	spec.Pipes = 1
	spec.OnLine = func(string) { heard++ }
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := start(t, spec)
	written, slowest := floodReport(t, c.Pipe(0))
	exit := await(t, c, 10*time.Second)
	runtime.ReadMemStats(&after)
	// TotalAlloc also counts what was collected: little garbage means little growth at any moment.
	growth := after.TotalAlloc - before.TotalAlloc
	if growth > growthWanted {
		t.Errorf("%d bytes of output cost %d bytes of memory, want at most %d", written, growth, growthWanted)
	}
	if most := linesPerSec * (int(exit.Ended.Sub(exit.Started).Seconds()) + 2); heard > most {
		t.Errorf("OnLine heard %d lines, want at most %d", heard, most)
	}
	t.Logf("%d MB, slowest write %v, %d bytes allocated", written>>20, slowest, growth)
	return slowest
}

// floodNobody runs a flood into a discarding reader and returns its slowest write.
func floodNobody(t *testing.T) time.Duration {
	t.Helper()
	report, fd3, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer report.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = play("flood").Env
	cmd.Stderr = io.Discard
	cmd.ExtraFiles = []*os.File{fd3}
	err = cmd.Start()
	fd3.Close()
	if err != nil {
		t.Fatal(err)
	}
	_, slowest := floodReport(t, report)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the flood ended with %v", err)
	}
	return slowest
}

func floodReport(t *testing.T, r io.Reader) (written int, slowest time.Duration) {
	t.Helper()
	var micros int64
	if _, err := fmt.Fscan(r, &written, &micros); err != nil {
		t.Fatalf("reading the child's report: %v", err)
	}
	return written, time.Duration(micros) * time.Microsecond
}
