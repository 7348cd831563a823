package ingest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/ingest/segment"
)

// set is the pieces of all renditions at one place of a run's cut list.
type set struct {
	from   *run
	pieces []segment.Piece // in the order of the run's renditions
	breaks bool            // a discontinuity belongs before it
}

func (s set) release() {
	for i := range s.pieces {
		s.pieces[i].Release()
	}
	s.left()
}

// left tells the run that the set no longer waits.
func (s set) left() { s.from.queued.Add(-1) }

// arrived is when its first byte came in.
func (s set) arrived() time.Time {
	first := s.pieces[0].Arrived
	for _, p := range s.pieces[1:] {
		if p.Arrived.Before(first) {
			first = p.Arrived
		}
	}
	return first
}

// backlog is how many whole sets a run may be ahead of the listing before its
// pipes are left unread. A source that is faster than time, a file behind an http
// URL say, is slowed down by that.
const backlog = 12

// assembler puts the pieces of a run's renditions together to whole sets.
type assembler struct {
	renditions int
	run        *run         // whose sets they are
	queued     atomic.Int32 // whole sets that nobody has listed or dropped yet

	mu      sync.Mutex
	partial map[int]*partial
	ready   []set
	whole   int  // sets that were whole so far
	breaks  bool // a discontinuity belongs before the next set
	lost    map[segment.VoidReason]int64
}

// partial is a set that some renditions have not delivered yet.
type partial struct {
	pieces []segment.Piece
	have   int
	void   segment.VoidReason
	breaks bool
}

func (a *assembler) init(r *run, renditions int) {
	a.run, a.renditions, a.breaks = r, renditions, true
	a.partial, a.lost = make(map[int]*partial), make(map[segment.VoidReason]int64)
}

// dropPartial gives up the sets that not every rendition has delivered.
func (a *assembler) dropPartial() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.partial {
		for i := range p.pieces {
			p.pieces[i].Release()
		}
	}
	clear(a.partial)
}

// deliver takes a piece of rendition i; the last one completes its set.
func (a *assembler) deliver(i int, p segment.Piece) {
	a.mu.Lock()
	defer a.mu.Unlock()
	entry := a.partial[p.Index]
	if entry == nil {
		entry = &partial{}
		a.partial[p.Index] = entry
	}
	entry.have++
	entry.breaks = entry.breaks || p.Break
	if p.Void != "" {
		entry.void = p.Void
	} else {
		if entry.pieces == nil {
			entry.pieces = make([]segment.Piece, a.renditions)
		}
		entry.pieces[i] = p
	}
	if entry.have < a.renditions {
		return
	}
	delete(a.partial, p.Index)
	a.complete(entry)
}

// complete takes a set that every rendition has delivered. a.mu is held.
func (a *assembler) complete(entry *partial) {
	defer a.run.wake()
	if entry.void != "" {
		a.lost[entry.void]++
		a.breaks = true
		for i := range entry.pieces {
			entry.pieces[i].Release()
		}
		return
	}
	a.ready = append(a.ready, set{from: a.run, pieces: entry.pieces, breaks: entry.breaks || a.breaks})
	a.breaks = false
	a.whole++
	a.queued.Add(1)
}

// take gives the sets that became whole since the last call.
func (a *assembler) take() []set {
	a.mu.Lock()
	defer a.mu.Unlock()
	sets := a.ready
	a.ready = nil
	return sets
}

// wholeSets is how many sets it has delivered so far.
func (a *assembler) wholeSets() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.whole
}

// hasReady tells whether there is a set that nobody has taken.
func (a *assembler) hasReady() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.ready) > 0
}

// keepNewest drops all sets that nobody has taken but the last.
func (a *assembler) keepNewest() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.ready) > 1 {
		a.ready[0].release()
		a.ready[1].breaks = true
		a.ready = a.ready[1:]
	}
}

// discard drops what was delivered and not taken.
func (a *assembler) discard() {
	for _, s := range a.take() {
		s.release()
	}
}

// takeLost gives the sets that were lost since the last call, by cause.
func (a *assembler) takeLost() map[segment.VoidReason]int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.lost) == 0 {
		return nil
	}
	lost := a.lost
	a.lost = make(map[segment.VoidReason]int64)
	return lost
}
