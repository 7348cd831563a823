package faults

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/test/edge"
)

// TestScenario06ForkBomb checks that a fork bomb stays within its limit of processes,
// is dead within 0.5 s of its killing although it left session and process group, has
// the reason pids when it falls silent, and that nobody else notices.
func TestScenario06ForkBomb(t *testing.T) {
	const bomb = "s06-bomb"
	const most = 64
	c := edge.Config{
		FFmpeg:  unruly(t, bomb, "perl -MPOSIX -e 'fork or POSIX::setsid(); fork while 1' &\nexec sleep 1000"),
		Options: []string{"limits {\n\t\t\tcpu 0.5\n\t\t\tpids 64\n\t\t}"},
	}
	n, ns, calm := beside(t, c, "pids")
	spoil(t, n, ns, c, bomb)

	dead := figures{name: "kill → group gone"}
	highest := 0
	for range 3 {
		pid, group := awaitBomb(t, n, bomb, most*9/10)
		refused := n.Stream(bomb).Usage.PIDsRefused
		edge.Await(t, 10*time.Second, "the bomb to be refused more processes", func() bool {
			highest = max(highest, len(members(t, group)))
			return n.Stream(bomb).Usage.PIDsRefused > refused
		})
		began := time.Now()
		kill(t, pid, syscall.SIGKILL)
		edge.Await(t, 10*time.Second, "the bomb's group to be gone", func() bool { return !exists(group) })
		dead.add(time.Since(began))
		if left := members(t, group); len(left) > 0 {
			t.Errorf("processes %v outlived their group", left)
		}
	}
	status := n.AwaitReason(60*time.Second, bomb, ingest.ReasonPIDs)
	beat := ns.end("jitter beside a fork bomb")
	t.Logf("figures: at most %d processes; %v; restarts %v; %v; %v", highest, &dead, status.Restarts, calm, beat)
	if highest > most {
		t.Errorf("got %d processes, want at most %d", highest, most)
	}
	// 64 processes that spin are dying on two processors: what the edge does shows in the
	// quickest, the others are the machine's.
	dead.judge(t, 0.3, 500*time.Millisecond)
	beat.judgeBeside(t, calm, 0.99, jitterBudget)
	if slices.ContainsFunc(ns.streams, func(s edge.Stream) bool { return len(n.Stream(s.ID).Restarts) > 0 }) {
		t.Error("a neighbour was restarted")
	}
	survivesNoRestart(t, n, bomb)
}

// awaitBomb waits until a bomb has so many processes, and gives its child and group.
func awaitBomb(t *testing.T, n *edge.Node, stream string, size int) (pid int, group string) {
	t.Helper()
	edge.Await(t, 90*time.Second, "the bomb to run into its limit", func() bool {
		pid = n.Stream(stream).PID
		group = groupOf(pid)
		return group != "" && len(members(t, group)) >= size
	})
	return pid, group
}

// survivesNoRestart kills the edge while a bomb is on: what left its child's process
// group outlives the edge, and is found by its next life.
func survivesNoRestart(t *testing.T, n *edge.Node, bomb string) {
	t.Helper()
	_, group := awaitBomb(t, n, bomb, 10)
	n.Kill()
	left := len(members(t, group))
	n.Restart()
	if still := len(members(t, group)); left == 0 || still > 0 {
		t.Errorf("of %d processes that outlived the edge, %d are there after its restart; want some, and none", left, still)
	}
	t.Logf("figures: %d processes outlived the edge, none its restart", left)
}
