package process

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWaits checks that a child which waits for a processor can be told from one that
// is stopped: of two that spin on one processor each waits half the time.
func TestWaits(t *testing.T) {
	var one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !one.IsSet(cpu) {
		cpu++
	}
	one.Zero()
	one.Set(cpu)
	spin := func() *Child {
		c := start(t, shell("while :; do :; done"))
		if err := unix.SchedSetaffinity(c.PID(), &one); err != nil {
			t.Fatal(err)
		}
		return c
	}
	waited := func(c *Child) time.Duration { return c.Waits()[c.PID()] }
	first, second := spin(), spin()
	poll(t, "both wait for the processor", 30*time.Second, func() bool {
		return waited(first) > 200*time.Millisecond && waited(second) > 200*time.Millisecond
	})

	if err := unix.Kill(second.PID(), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	poll(t, "the second is stopped", 10*time.Second, func() bool {
		stat, err := readStat(second.PID())
		return err == nil && stat.state == 'T'
	})
	then, third := waited(second), spin()
	poll(t, "another waits for the processor", 30*time.Second, func() bool { return waited(third) > 200*time.Millisecond })
	if got := waited(second) - then; got != 0 {
		t.Errorf("a stopped child has waited for %v more, want 0", got)
	}
	second.Kill()
	await(t, second, 10*time.Second)
	if got := second.Waits(); got != nil {
		t.Errorf("a dead child waits: %v", got)
	}
}
