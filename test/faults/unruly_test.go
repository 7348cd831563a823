package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
)

// unruly is an FFmpeg that is the real one for all streams but one, for which it runs
// a shell script instead. Every user may run it.
func unruly(t *testing.T, stream, script string) (program string) {
	t.Helper()
	folder, err := os.MkdirTemp("", "headrace-unruly-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	program = filepath.Join(folder, "ffmpeg")
	body := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *%s*)\n%s\n;; esac\nexec ffmpeg \"$@\"\n", stream, script)
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

// needLimits skips a test where the edge can enforce no limit of that kind.
func needLimits(t *testing.T, n *edge.Node, limit string) {
	t.Helper()
	if in := n.Health().Confinement; in == nil || !strings.Contains(strings.Join(in.Limits, " "), limit) {
		t.Skipf("no control groups that limit %s: %+v", limit, in)
	}
}

// memory is what the edge's process takes beside its segments, in bytes. Pages of its
// program do not count: they come and go with what it was asked to do last.
func memory(n *edge.Node) int64 {
	return n.Anonymous() - int64(n.Metrics().Sum("headrace_ring_bytes"))
}

// growth watches the edge's memory until it is stopped, and gives the most that it
// grew by since.
func growth(t *testing.T, n *edge.Node) (stop func() int64) {
	t.Helper()
	before := memory(n)
	most := before
	quit, done := make(chan struct{}), make(chan struct{})
	var once sync.Once
	end := func() {
		once.Do(func() { close(quit) })
		<-done
	}
	t.Cleanup(end)
	go func() {
		defer close(done)
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				most = max(most, memory(n))
			}
		}
	}()
	return func() int64 {
		end()
		return most - before
	}
}

// calmTime is how long neighbours are measured in calm, and beside a fault at least.
const calmTime = 15 * time.Second

// beside starts an edge with healthy streams, and measures them in calm. The unruly
// stream comes afterwards, by a reload.
func beside(t *testing.T, c edge.Config, limit string) (*edge.Node, *neighbours, *figures) {
	t.Helper()
	ns := newNeighbours(newStudio(t), 2)
	c.Streams = ns.streams
	n := edge.Start(t, c)
	needLimits(t, n, limit)
	n.AwaitLive(30 * time.Second)
	ns.measure(t, n)
	<-time.After(calmTime) // the length of the calm measurement
	calm := ns.end("jitter in calm")
	ns.measure(t, n)
	return n, ns, calm
}

// spoil adds the unruly stream.
func spoil(t *testing.T, n *edge.Node, ns *neighbours, c edge.Config, stream string) {
	t.Helper()
	c.Streams = append(append([]edge.Stream(nil), ns.streams...), edge.Copy(stream, "test:"))
	if err := n.Reload(c); err != nil {
		t.Fatal(err)
	}
}

// members counts the processes of one child's control group: those that have the same
// one as the child had.
func members(t *testing.T, group string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), group+"\n") {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err != nil {
			t.Fatal(err)
		}
		if _, alive := edge.Find(pid); alive {
			pids = append(pids, pid)
		}
	}
	return pids
}

// groupOf is the end of the path of a process's control group, "/headrace-…/<stream>.<n>";
// empty if it has none of ours, or is gone.
func groupOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if i := strings.Index(line, "/headrace-"); i >= 0 {
			return strings.TrimSpace(line[i:])
		}
	}
	return ""
}

// exists tells whether the group is there still, in any hierarchy: it can be removed
// only when no process is left in it.
func exists(group string) bool {
	for _, pattern := range []string{"/sys/fs/cgroup" + group, "/sys/fs/cgroup/*" + group, "/sys/fs/cgroup/*/*" + group, "/sys/fs/cgroup/*/*/*" + group} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 { // the pattern is well formed
			return true
		}
	}
	return false
}
