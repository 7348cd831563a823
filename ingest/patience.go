package ingest

import "time"

// patienceLimit bounds what a child is excused for: one that spins on a busy node waits
// for the processor, too.
const patienceLimit = 20 * time.Second

// patience tells a child that hangs from one that waits for the processor: on a node
// that is too busy for a while, to kill who is late makes all later still.
type patience struct {
	waits   map[int]time.Duration // by thread, when last asked
	excused time.Duration
}

// reset forgets what was excused; the child is on time.
func (p *patience) reset() { *p = patience{} }

// excuse adds what the child has waited for the processor since it was last asked, and
// gives the sum. waits is how long each of its threads has waited since it began. The
// thread that waited longest counts: each may be the one that all others wait for.
func (p *patience) excuse(waits map[int]time.Duration) time.Duration {
	longest := time.Duration(0)
	for thread, waited := range waits {
		if before, known := p.waits[thread]; known {
			longest = max(longest, waited-before)
		}
	}
	p.waits = waits
	p.excused = min(p.excused+longest, patienceLimit)
	return p.excused
}

// excuse is how much of the time that a late child is behind is not its own fault. One
// that its own limit holds back has no excuse. Only the stream's goroutine asks.
func (r *run) excuse(late bool) time.Duration {
	child := r.child.Load()
	if !late || child == nil || r.cell.throttled() {
		r.patience.reset()
		return 0
	}
	return r.patience.excuse(child.Waits())
}
