package segment

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// keepNewest is how many segments of a Ring its byte limit never drops: a live
// playlist lists that many (HLS Authoring Specification, item 8.11).
const keepNewest = 6

// The reasons why a Ring refuses a piece.
var (
	// ErrOrder means that the media sequence number is not above the last one.
	ErrOrder = errors.New("media sequence number goes back")
	// ErrFull means that the piece and the newest segments exceed the byte limit.
	ErrFull = errors.New("ring is full")
	// ErrReleased means that the piece's bytes were released, or are in a ring.
	ErrReleased = errors.New("piece was released")
	// ErrClosed means that the ring was closed.
	ErrClosed = errors.New("ring is closed")
)

// Ring is a rendition's sliding window of segments. One writer appends; any
// number of readers look segments up without a lock and never hold it up.
type Ring struct {
	window   int
	maxBytes int64

	mu     sync.Mutex // writers
	closed bool
	view   atomic.Pointer[view]
}

// view is an immutable state of a Ring.
type view struct {
	segments []*Segment // oldest first, numbers going up
	list     int        // where the newest unbroken run of numbers begins
	bytes    int64
}

// NewRing returns an empty ring behind a playlist of window segments. What the
// playlist removed stays fetchable for its own duration and that of the longest
// playlist that is remembered (RFC 8216bis §6.2.2), as long as all takes at most
// maxBytes of memory (0 means any amount). Segments of equal length are kept
// 2 × window + 2 at a time.
func NewRing(window int, maxBytes int64) *Ring {
	r := &Ring{window: max(1, window), maxBytes: maxBytes}
	r.view.Store(&view{})
	return r
}

// Append puts a piece into the ring under its number and takes the piece's
// bytes over, without a copy. A void piece becomes an entry with Gap set. On an
// error the piece stays the caller's.
//
// The oldest segments leave: those that were fetchable for long enough, then, if
// the bytes exceed the limit, more of them down to the newest six. If six and the piece
// exceed it still, the piece is refused with ErrFull and nothing leaves.
//
// A number above last + 1 begins a new list; segments of the old one stay
// fetchable until they leave by age. The returned segment is for its entry; its
// bytes need a Get.
func (r *Ring) Append(p Piece, n Number) (*Segment, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	old := r.view.Load()
	list := old.list
	if k := len(old.segments); k > 0 {
		switch last := old.segments[k-1].MSN; {
		case n.MSN <= last:
			return nil, fmt.Errorf("appending segment %d after %d: %w", n.MSN, last, ErrOrder)
		case n.MSN > last+1:
			list = k
		}
	}
	s := newSegment(p, n)
	drop, bytes := r.room(old, s)
	if drop < 0 {
		return nil, fmt.Errorf("appending segment %d of %d bytes: %d bytes allowed for the newest %d, raise the memory limit or lower the bit rate: %w",
			n.MSN, s.Size, r.maxBytes, keepNewest, ErrFull)
	}
	if p.body != nil && !p.body.taken.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("appending segment %d: %w", n.MSN, ErrReleased)
	}
	next := &view{
		segments: append(slices.Clone(old.segments[drop:]), s),
		list:     max(0, list-drop),
		bytes:    bytes,
	}
	r.view.Store(next)
	for _, gone := range old.segments[:drop] {
		gone.Release()
	}
	return s, nil
}

// room returns how many segments must leave for s, -1 if it cannot be taken,
// and the bytes that are resident then.
func (r *Ring) room(v *view, s *Segment) (drop int, bytes int64) {
	bytes = v.bytes + s.resident()
	have := len(v.segments) + 1
	due := r.due(append(slices.Clip(v.segments), s))
	for drop < len(v.segments) && (drop < due || r.over(bytes) && have-drop > keepNewest) {
		bytes -= v.segments[drop].resident()
		drop++
	}
	if r.over(bytes) {
		return -1, 0
	}
	return drop, bytes
}

// due returns how many of the oldest segments may leave. A segment was removed
// from the playlist when the one a window later was appended; what has been
// appended after that one says how long ago that was. One more segment of grace
// covers that publication is not quite as regular as the media.
func (r *Ring) due(all []*Segment) int {
	var list, since time.Duration
	newest := all[max(0, len(all)-r.window):]
	for _, s := range newest {
		list += s.Duration
	}
	for _, s := range newest {
		s.longestList = max(s.longestList, list)
	}
	for i := len(all) - r.window - 2; i >= 0; i-- {
		since += all[i+r.window+1].Duration
		if since > all[i].Duration+all[i].longestList {
			return i + 1
		}
	}
	return 0
}

func (r *Ring) over(bytes int64) bool { return r.maxBytes > 0 && bytes > r.maxBytes }

// Get returns the segment of a number, nil if the ring does not have it. The
// caller releases it.
func (r *Ring) Get(msn int64) *Segment {
	v := r.view.Load()
	i := sort.Search(len(v.segments), func(i int) bool { return v.segments[i].MSN >= msn })
	if i == len(v.segments) || v.segments[i].MSN != msn || !v.segments[i].hold() {
		return nil
	}
	return v.segments[i]
}

// Window returns the newest n entries of the current list, oldest first.
func (r *Ring) Window(n int) []Entry {
	v := r.view.Load()
	from := max(v.list, len(v.segments)-max(0, n))
	entries := make([]Entry, 0, len(v.segments)-from)
	for _, s := range v.segments[from:] {
		entries = append(entries, s.Entry)
	}
	return entries
}

// Last returns the newest entry; ok is false if there is none.
func (r *Ring) Last() (e Entry, ok bool) {
	v := r.view.Load()
	if len(v.segments) == 0 {
		return e, false
	}
	return v.segments[len(v.segments)-1].Entry, true
}

// Bytes returns the memory that the ring's segments take, in whole pages.
// Segments that left but are still being read do not count; Resident counts them.
func (r *Ring) Bytes() int64 { return r.view.Load().bytes }

// Close drops all segments. Readers keep what they hold.
func (r *Ring) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	old := r.view.Swap(&view{})
	for _, s := range old.segments {
		s.Release()
	}
}
