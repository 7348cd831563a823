package cgroup

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// openLive opens a tree on this machine's kernel, which the test's end removes.
func openLive(t *testing.T) *Tree {
	t.Helper()
	return openNamed(t, "headrace-test-"+rand.Text())
}

func openNamed(t *testing.T, name string) *Tree {
	t.Helper()
	tree, err := Open(name)
	if tree.Version() == "" {
		t.Skipf("control groups: %v", err)
	}
	t.Cleanup(func() {
		if _, err := tree.Reap(); err != nil {
			t.Error(err)
		}
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return tree
}

// startIn starts a script inside a group, from a thread that comes back.
func startIn(t *testing.T, g *Group, script string) *exec.Cmd {
	t.Helper()
	e, err := g.Entrance()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.SysProcAttr = new(syscall.SysProcAttr)
	cmd.SysProcAttr.CgroupFD, cmd.SysProcAttr.UseCgroupFD = e.CgroupFD()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := errors.Join(e.Enter(), cmd.Start(), e.Leave()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	return cmd
}

// Version 1 alone, version 2 alone, and both together, as far as this machine has them.
func trees(t *testing.T) map[string]*Tree {
	t.Helper()
	both := openLive(t)
	all := map[string]*Tree{"what there is": both}
	if both.v2 != "" && len(both.v1) > 0 {
		all["version 1 alone"] = &Tree{files: both.files, v1: both.v1, outside: both.outside}
		all["version 2 alone"] = &Tree{files: both.files, v2: both.v2, v2Has: both.v2Has}
	}
	return all
}

func TestLiveLimits(t *testing.T) {
	tree := openLive(t)
	if len(tree.Controllers()) == 0 {
		t.Skip("no controller of cpu, memory and pids")
	}
	g, err := tree.Make("news", Limits{CPU: 0.5, Memory: 64 << 20, PIDs: 20})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"cpu.cfs_quota_us": "50000", "cpu.max": "50000 100000", "memory.limit_in_bytes": "67108864", "memory.max": "67108864", "pids.max": "20"}
	found := 0
	for _, folder := range folders(g.v2, g.v1) {
		for file, value := range want {
			text, err := os.ReadFile(path.Join(folder, file))
			if err != nil {
				continue
			}
			found++
			if got := strings.TrimSpace(string(text)); got != value {
				t.Errorf("%s = %q, want %q", file, got, value)
			}
		}
	}
	if found != len(tree.Controllers()) {
		t.Errorf("found %d limits, want one for each of %v", found, tree.Controllers())
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
}

func TestLiveKill(t *testing.T) {
	for name, tree := range trees(t) {
		t.Run(name, func(t *testing.T) {
			g, err := tree.Make("news-"+rand.Text(), Limits{PIDs: 50}) // the trees share their folders
			if err != nil {
				t.Fatal(err)
			}
			// Grandchildren that have left session and process group behind.
			startIn(t, g, "for i in 1 2 3; do setsid sh -c 'sleep 60 & sleep 60' & done; wait")
			until(t, "ten processes are in the group", func() bool { return len(g.processes()) == 10 })
			began := time.Now()
			if err := g.Kill(); err != nil {
				t.Fatal(err)
			}
			until(t, "the group is empty", func() bool { return len(g.processes()) == 0 })
			t.Logf("figures: 10 processes killed and gone in %v", time.Since(began))
			if err := g.Remove(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLiveReap(t *testing.T) {
	name := "headrace-test-" + rand.Text()
	earlier := openNamed(t, name)
	g, err := earlier.Make("news", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	startIn(t, g, "sleep 60 & sleep 60")
	until(t, "both sleep in the group", func() bool { return len(g.processes()) >= 2 })
	later, err := Open(name)
	if err != nil {
		t.Log(err)
	}
	found, err := later.Reap()
	if diff := cmp.Diff([]string{"news"}, found); diff != "" || err != nil {
		t.Errorf("Reap: %v (-want +got):\n%s", err, diff)
	}
	for _, folder := range folders(g.v2, g.v1) {
		if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", folder, err)
		}
	}
}

// The launching thread must be back outside, or its group could not be removed while the child lives, and whoever
// kills the group by name would kill us.
func TestLiveLeave(t *testing.T) {
	tree := openLive(t)
	g, err := tree.Make("news", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := startIn(t, g, "exec sleep 60")
	for _, folder := range folders(g.v2, g.v1) {
		text, err := os.ReadFile(path.Join(folder, "cgroup.procs"))
		if got, want := string(text), fmt.Sprintln(cmd.Process.Pid); err != nil || got != want {
			t.Errorf("%s holds %q, %v; want the child, %q", folder, got, err, want)
		}
	}
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !holds(); <-tick.C {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%s: not so after 10 s", what)
		}
	}
}
