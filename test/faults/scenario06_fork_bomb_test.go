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

	dead := figures{name: "kill → group empty"}
	highest := 0
	for range 2 {
		var pid int
		edge.Await(t, 30*time.Second, "the bomb to run into its limit", func() bool {
			if pid = n.Stream(bomb).PID; pid == 0 {
				return false
			}
			_, alive := edge.Find(pid)
			if !alive {
				return false
			}
			count := len(members(t, groupOf(t, pid)))
			highest = max(highest, count)
			return count >= most*9/10
		})
		group := groupOf(t, pid)
		refused := n.Stream(bomb).Usage.PIDsRefused
		edge.Await(t, 10*time.Second, "the bomb to be refused more processes", func() bool {
			highest = max(highest, len(members(t, group)))
			return n.Stream(bomb).Usage.PIDsRefused > refused
		})
		began := time.Now()
		kill(t, pid, syscall.SIGKILL)
		edge.Await(t, 10*time.Second, "the bomb's group to be empty", func() bool { return len(members(t, group)) == 0 })
		dead.add(time.Since(began))
	}
	status := n.AwaitReason(60*time.Second, bomb, ingest.ReasonPIDs)
	beat := ns.end("jitter beside a fork bomb")
	t.Logf("figures: at most %d processes; %v; restarts %v; %v; %v", highest, &dead, status.Restarts, calm, beat)
	if highest > most {
		t.Errorf("got %d processes, want at most %d", highest, most)
	}
	dead.judge(t, 1, 500*time.Millisecond)
	beat.judgeBeside(t, calm, 0.99, jitterBudget)
	if slices.ContainsFunc(ns.streams, func(s edge.Stream) bool { return len(n.Stream(s.ID).Restarts) > 0 }) {
		t.Error("a neighbour was restarted")
	}
}
