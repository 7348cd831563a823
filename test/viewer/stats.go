package viewer

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is what an audience saw.
type Stats struct {
	// Elapsed is how long it watched.
	Elapsed time.Duration
	// Requests counts answers of any status, Bytes their bodies as they crossed
	// the wire.
	Requests, Bytes int64
	// Status counts answers outside 2xx by their status. Redirects that were
	// followed are not among them.
	Status map[int]int64
	// Errors counts requests without a whole answer, and playlists that could not
	// be read.
	Errors int64
	// Stalls counts how often a viewer saw no new segment for 1.5 target durations;
	// LongestStall is the longest time that any of them saw none.
	Stalls       int64
	LongestStall time.Duration
	// Missed counts segments that left the list before a viewer came to them.
	Missed int64
	// Dropped counts requests of Requests that were due while all workers were busy.
	Dropped int64
	// Playlists and Segments say how long whole answers took.
	Playlists, Segments Latency
}

// Latency is a distribution of times, each figure at most 7 % too high.
type Latency struct {
	Count              int64
	P50, P95, P99, Max time.Duration
}

// String returns the figures in one line.
func (s *Stats) String() string {
	seconds := max(s.Elapsed.Seconds(), 1e-9)
	return fmt.Sprintf("%v: %d requests (%.1f/s), %.1f Mbit/s, other answers %v, %d errors, %d stalls (longest %v), %d missed, %d dropped; playlists %v; segments %v",
		s.Elapsed.Round(time.Millisecond), s.Requests, float64(s.Requests)/seconds, float64(s.Bytes)*8/1e6/seconds,
		s.Status, s.Errors, s.Stalls, s.LongestStall.Round(time.Millisecond), s.Missed, s.Dropped, s.Playlists, s.Segments)
}

// String returns the distribution in a few words.
func (l Latency) String() string {
	return fmt.Sprintf("%d, p50 %v p95 %v p99 %v max %v", l.Count, l.P50, l.P95, l.P99, l.Max)
}

// recorder is Stats in the making. All viewers write to it.
type recorder struct {
	start                                              time.Time
	requests, bytes, errors, stalls, missed, droppings atomic.Int64
	longestStall                                       peak
	playlists, segments                                histogram

	mu     sync.Mutex
	status map[int]int64
}

func newRecorder() *recorder {
	return &recorder{start: time.Now(), status: map[int]int64{}}
}

// refused counts an answer outside 2xx.
func (r *recorder) refused(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status[status]++
}

// stats returns the figures so far.
func (r *recorder) stats() *Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &Stats{
		Elapsed:      time.Since(r.start),
		Requests:     r.requests.Load(),
		Bytes:        r.bytes.Load(),
		Status:       maps.Clone(r.status),
		Errors:       r.errors.Load(),
		Stalls:       r.stalls.Load(),
		LongestStall: time.Duration(r.longestStall.Load()),
		Missed:       r.missed.Load(),
		Dropped:      r.droppings.Load(),
		Playlists:    r.playlists.latency(),
		Segments:     r.segments.latency(),
	}
}

// peak is the longest time observed.
type peak struct{ atomic.Int64 }

func (p *peak) observe(d time.Duration) {
	for {
		was := p.Load()
		if int64(d) <= was || p.CompareAndSwap(was, int64(d)) {
			return
		}
	}
}
