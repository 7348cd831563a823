package edge

import (
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/rtmp"
)

// RequestKind is what a request under /live/ asked for. The set is closed.
type RequestKind uint8

// The kinds of request.
const (
	KindOther        RequestKind = iota // no path of ours, or refused before it was known
	KindMultivariant                    // the list of renditions
	KindPlaylist                        // a rendition's media playlist
	KindSegment                         // one media segment
	KindLive                            // endless MPEG-TS
	kinds
)

var kindNames = [kinds]string{"other", "multivariant", "playlist", "segment", "live"}

// String is the kind as metrics name it.
func (k RequestKind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return kindNames[KindOther]
}

// statuses are the answers that are counted one by one; the last slot counts
// all others, so that the label's set is closed.
var statuses = [...]int{
	http.StatusOK, http.StatusNoContent, http.StatusPartialContent, http.StatusNotModified,
	http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
	http.StatusRequestedRangeNotSatisfiable, http.StatusInternalServerError, http.StatusServiceUnavailable,
}

// statusSlot is a loop over a few integers: cheaper than a map.
func statusSlot(status int) int {
	for i, s := range statuses {
		if s == status {
			return i
		}
	}
	return len(statuses)
}

// Counters counts what the edge does. They outlive reloads: a counter that
// starts anew looks like a restart of the edge. Counting a request costs a few
// atomic additions and allocates nothing.
type Counters struct {
	tokens   []atomic.Int64 // by token.Reason
	requests [kinds][len(statuses) + 1]atomic.Int64
	bytes    [kinds]atomic.Int64
	pushes   map[rtmp.Outcome]*atomic.Int64 // its keys are all there from the start

	applied, rejected atomic.Int64 // snapshots

	// mu guards the map, which changes with the set of streams only.
	mu      sync.RWMutex
	streams map[string]*streamCounters
}

// streamCounters are one stream's. Restarts are counted by reason, which is rare
// enough for a lock.
type streamCounters struct {
	starts, segments, segmentBytes atomic.Int64

	mu       sync.Mutex
	state    ingest.State
	restarts map[ingest.Reason]int64
}

func newCounters() *Counters {
	c := &Counters{
		tokens: make([]atomic.Int64, len(token.Reasons())), streams: make(map[string]*streamCounters),
		pushes: make(map[rtmp.Outcome]*atomic.Int64),
	}
	for _, o := range rtmp.Outcomes() {
		c.pushes[o] = new(atomic.Int64)
	}
	return c
}

// Token counts a check of a token.
func (c *Counters) Token(reason token.Reason) {
	if int(reason) < len(c.tokens) {
		c.tokens[reason].Add(1)
	}
}

// Push counts a connection of an encoder, by what became of it.
func (c *Counters) Push(o rtmp.Outcome) {
	if n := c.pushes[o]; n != nil {
		n.Add(1)
	}
}

// snapshot counts a document of the control plane, by what became of it.
func (c *Counters) snapshot(o snapshot.Outcome) {
	if o == snapshot.Applied {
		c.applied.Add(1)
		return
	}
	c.rejected.Add(1)
}

// Request counts an answer and the bytes of its body.
func (c *Counters) Request(kind RequestKind, status, bytes int) {
	if kind >= kinds {
		kind = KindOther
	}
	c.requests[kind][statusSlot(status)].Add(1)
	c.Sent(kind, bytes)
}

// Sent counts bytes of a response that goes on: count its Request with none.
func (c *Counters) Sent(kind RequestKind, bytes int) {
	if kind >= kinds {
		kind = KindOther
	}
	c.bytes[kind].Add(int64(bytes))
}

// SentBytes is the sum over all kinds, since the process began.
func (c *Counters) SentBytes() (n int64) {
	for i := range c.bytes {
		n += c.bytes[i].Load()
	}
	return n
}

// Started implements ingest.Metrics.
func (c *Counters) Started(stream string) { c.stream(stream).starts.Add(1) }

// Restarted implements ingest.Metrics.
func (c *Counters) Restarted(stream string, reason ingest.Reason) {
	s := c.stream(stream)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restarts[reason]++
}

// Published implements ingest.Metrics.
func (c *Counters) Published(stream string, bytes int) {
	s := c.stream(stream)
	s.segments.Add(1)
	s.segmentBytes.Add(int64(bytes))
}

// State implements ingest.Metrics.
func (c *Counters) State(stream string, state ingest.State) {
	s := c.stream(stream)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// Removed implements ingest.Metrics.
func (c *Counters) Removed(stream string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, stream)
}

// anyIn reports whether a stream is in that state. Unlike a stream's Status it
// costs little, and whoever may ask for readiness may ask often.
func (c *Counters) anyIn(state ingest.State) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, s := range c.streams {
		if s.is(state) {
			return true
		}
	}
	return false
}

func (s *streamCounters) is(state ingest.State) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == state
}

// stream finds a stream's counters or makes them.
func (c *Counters) stream(id string) *streamCounters {
	c.mu.RLock()
	s := c.streams[id]
	c.mu.RUnlock()
	if s != nil {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s = c.streams[id]; s == nil {
		s = &streamCounters{restarts: make(map[ingest.Reason]int64)}
		c.streams[id] = s
	}
	return s
}

// Interface guard
var _ ingest.Metrics = (*Counters)(nil)
