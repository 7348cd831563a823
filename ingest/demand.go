package ingest

import (
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// ErrSourceFailed says that no source of the stream can deliver now.
var ErrSourceFailed = errors.New("no source of the stream delivers")

// lookForViewers is how often a stream on demand looks whether anybody watches.
const lookForViewers = time.Second

// demand is what viewers want of a stream on demand. Request handlers write it,
// the stream's goroutine reads it.
type demand struct {
	epoch  time.Time
	last   atomic.Int64                  // the newest request, since epoch: a wall clock may jump
	idle   atomic.Bool                   // the stream has no child and waits for a request
	waits  atomic.Int64                  // requests that wait for a segment
	failed atomic.Pointer[chan struct{}] // closed, and replaced, when an attempt to start came to nothing
}

func (d *demand) init() {
	d.epoch = time.Now()
	failed := make(chan struct{})
	d.failed.Store(&failed)
	d.last.Store(math.MinInt64 / 2) // nobody ever asked
}

// note takes note of a request. Requests of the same second share one write.
func (d *demand) note(now time.Time) {
	at := int64(now.Sub(d.epoch))
	if at-d.last.Load() > int64(time.Second) || d.idle.Load() {
		d.last.Store(at)
	}
}

// quietFor is how long nobody has asked.
func (d *demand) quietFor(now time.Time) time.Duration {
	return now.Sub(d.epoch) - time.Duration(d.last.Load())
}

// attempt is closed when the attempt to start that runs now, or the next one, came
// to nothing. A stream that always runs goes on trying, and is waited for.
func (d *demand) attempt() <-chan struct{} {
	return *d.failed.Load()
}

// fail tells everybody who waits that the attempt came to nothing.
func (d *demand) fail() {
	next := make(chan struct{})
	close(*d.failed.Swap(&next))
}

// Demand says that a viewer asked for the stream. A stream on demand that is idle
// is started by that; many at once start it once.
func (s *Stream) Demand(now time.Time) {
	s.demand.note(now)
	if s.demand.idle.Load() {
		s.wake()
	}
}

// rest ends the child of a stream on demand that nobody watches any more, and
// drops its window: whoever comes next is to see what is on the air then.
func (s *Stream) rest(now time.Time) {
	if s.spec.IdleAfter == 0 || s.demand.quietFor(now) < s.spec.IdleAfter {
		s.demand.idle.Store(false)
		return
	}
	if s.demand.idle.Load() || now.Before(s.nextCensus) {
		return
	}
	s.nextCensus = now.Add(lookForViewers)
	if s.demand.waits.Load() > 0 || s.host.viewers(s.id) > 0 {
		return // one request can last: it waits for its start, or is an endless response
	}
	s.demand.idle.Store(true)
	s.dropBeside()
	s.dropCurrent(ReasonIdle)
	s.dropQueue()
	if s.replacement != nil {
		s.spec = s.replacement.spec
		s.replacement = nil
	}
	s.order, s.startAt = newOrder(s.spec), time.Time{}
	s.show(&View{changed: make(chan struct{})})
	s.publisher.restart(s.spec)
	s.setState(StateIdle, ReasonNone)
}
