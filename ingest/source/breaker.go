package source

import (
	"sync"
	"time"
)

const (
	// tripAfter is how many starts on an origin must fail in a row, over all streams,
	// until it counts as down.
	tripAfter = 3
	// An origin that is down is tried by one stream at a time, at first this long
	// after the one before, then at twice the distance up to the longest.
	firstProbe   = time.Second
	longestProbe = 2 * time.Second
	// heldFor is when a stream that must wait may ask again, unless it is told earlier.
	heldFor = 5 * time.Second
)

// Breaker keeps the streams of one origin from all trying it while it is down: one
// of them probes, the others wait until it answers. An origin is what
// Source.Origin names.
//
//	origin | event                           | then
//	-------|---------------------------------|----------------------------------------
//	up     | three failures in a row         | down
//	up     | it answers                      | the count of failures begins anew
//	down   | a stream asks, nobody probes    | it probes, if the time has come
//	down   | the probe fails                 | down; the next probe a little later
//	down   | it answers                      | up; everybody is told
//
// A Breaker is safe for concurrent use.
type Breaker struct {
	returned func(origin string)

	mu      sync.Mutex
	origins map[string]*origin // those that failed since they last answered
}

type origin struct {
	failures  int
	prober    string // the stream that may try it, while it is down
	nextProbe time.Time
	distance  time.Duration
}

// NewBreaker returns one that calls returned whenever an origin that was down
// answers. It is called without a lock and must not block.
func NewBreaker(returned func(origin string)) *Breaker {
	return &Breaker{returned: returned, origins: make(map[string]*origin)}
}

// Admit tells whether a stream may try an origin now, and if not, when it may ask
// again. A stream that was admitted tells how it went: Failed, Answered or Left.
func (b *Breaker) Admit(name, stream string, now time.Time) (again time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.origins[name]
	switch {
	case !o.down() || o.prober == stream:
		return now, true
	case o.prober != "":
		return now.Add(heldFor), false
	case o.nextProbe.After(now):
		return o.nextProbe, false
	}
	o.prober = stream
	return now, true
}

// Holds tells whether a stream that waits to try an origin should not, because that
// went down meanwhile and another stream probes it.
func (b *Breaker) Holds(name, stream string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.origins[name]
	return o.down() && o.prober != stream
}

// Failed takes note that a stream could not reach the origin.
func (b *Breaker) Failed(name, stream string, now time.Time) {
	if name == "" { // no origin: nothing that others share has failed
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.origins[name]
	if o == nil {
		o = &origin{distance: firstProbe}
		b.origins[name] = o
	}
	if o.failures++; !o.down() {
		return
	}
	if o.prober == "" || o.prober == stream {
		o.prober, o.nextProbe = "", now.Add(o.distance)
		o.distance = min(2*o.distance, longestProbe)
	}
}

// Answered takes note that the origin delivers.
func (b *Breaker) Answered(name string) {
	b.mu.Lock()
	wasDown := b.origins[name].down()
	delete(b.origins, name)
	b.mu.Unlock()
	if wasDown {
		b.returned(name)
	}
}

// Left takes note that a stream gives an origin up without having learned anything.
func (b *Breaker) Left(name, stream string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.origins[name]; o != nil && o.prober == stream {
		o.prober = ""
	}
}

func (o *origin) down() bool { return o != nil && o.failures >= tripAfter }
