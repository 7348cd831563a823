package segment

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A slab is a stretch of address space for the bytes of one segment: an
// anonymous mapping that is much longer than a segment needs, of which only
// pages that were written take memory. It lies outside the Go heap, where as
// many bytes again would be lost to the collector's headroom.
//
// A slab is never unmapped: an HTTP/2 writer whose stream was reset may read on
// for a moment after its handler returned. It is used again only when nobody
// holds it and a quarantine after an aborted write is over.
type slab struct {
	mem     []byte
	touched int          // bytes from the start that may be resident, whole pages
	until   atomic.Int64 // end of the quarantine, Unix nanoseconds
}

const (
	// warmBytes may stay resident in free slabs, so that steady work faults no pages.
	warmBytes = 8 << 20
	// quarantine is how long a slab rests after a writer failed.
	quarantine = time.Minute
)

// slabPool holds all free slabs of the process by size.
type slabPool struct {
	mu       sync.Mutex
	warm     map[int][]*slab // resident, at most warmBytes in all
	cold     map[int][]*slab // address space only
	resting  []*slab         // in quarantine, address space only
	warmSize int
	resident atomic.Int64
}

var slabs = slabPool{warm: map[int][]*slab{}, cold: map[int][]*slab{}}

var pageSize = os.Getpagesize()

func pages(n int) int { return (n + pageSize - 1) / pageSize * pageSize }

// Resident returns how many bytes of memory all segments of the process take:
// growing, finished, held by readers, and kept for reuse. Whole pages count.
func Resident() int64 { return slabs.resident.Load() }

// get returns a slab of at least size bytes whose contents are undefined.
func (p *slabPool) get(size int) (*slab, error) {
	size = pages(size)
	p.mu.Lock()
	p.wake(time.Now().UnixNano())
	if s, ok := pop(p.warm, size); ok {
		p.warmSize -= s.touched
		p.mu.Unlock()
		return s, nil
	}
	s, ok := pop(p.cold, size)
	p.mu.Unlock()
	if ok {
		return s, nil
	}
	mem, err := mapMemory(size)
	if err != nil {
		return nil, fmt.Errorf("reserving %d bytes of address space for a segment (see vm.overcommit_memory, RLIMIT_AS): %w", size, err)
	}
	return &slab{mem: mem}, nil
}

// put takes back a slab that nobody holds any more.
func (p *slabPool) put(s *slab) {
	size := len(s.mem)
	now := time.Now().UnixNano()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake(now)
	switch {
	case s.until.Load() > now:
		// A late reader sees zeros at worst, never another stream's bytes.
		s.trim(0)
		p.resting = append(p.resting, s)
	case p.warmSize+s.touched <= warmBytes:
		p.warmSize += s.touched
		p.warm[size] = append(p.warm[size], s)
	default:
		s.trim(0)
		p.cold[size] = append(p.cold[size], s)
	}
}

// wake ends quarantines that are over. They end in about the order in which
// slabs were put, so the first that goes on may hold back a few others.
func (p *slabPool) wake(now int64) {
	n := 0
	for n < len(p.resting) && p.resting[n].until.Load() <= now {
		s := p.resting[n]
		p.cold[len(s.mem)] = append(p.cold[len(s.mem)], s)
		n++
	}
	p.resting = p.resting[n:]
}

func pop(free map[int][]*slab, size int) (*slab, bool) {
	l := free[size]
	if len(l) == 0 {
		return nil, false
	}
	s := l[len(l)-1]
	l[len(l)-1] = nil
	free[size] = l[:len(l)-1]
	return s, true
}

// touch records that the first n bytes were written.
func (s *slab) touch(n int) {
	if n = pages(n); n > s.touched {
		slabs.resident.Add(int64(n - s.touched))
		s.touched = n
	}
}

// trim gives the memory beyond the first n bytes back to the system.
func (s *slab) trim(n int) {
	n = pages(n)
	if n >= s.touched {
		return
	}
	if err := unix.Madvise(s.mem[n:s.touched], adviceRelease); err != nil {
		return // still resident, and still counted
	}
	slabs.resident.Add(int64(n - s.touched))
	s.touched = n
}

// rest starts the quarantine of an aborted write.
func (s *slab) rest() { s.until.Store(time.Now().Add(quarantine).UnixNano()) }
