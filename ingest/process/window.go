package process

import "time"

// window admits a fixed number of events in any span of time: it remembers when the last ones were, and admits another
// when the oldest of them has left the span.
type window struct {
	span   time.Duration
	stamps []time.Time // a ring
	oldest int
}

func newWindow(events int, span time.Duration) window {
	return window{span: span, stamps: make([]time.Time, events)}
}

// take admits an event at now and returns 0, or else returns the time until one would be admitted.
func (w *window) take(now time.Time) time.Duration {
	if wait := w.span - now.Sub(w.stamps[w.oldest]); wait > 0 {
		return wait
	}
	w.stamps[w.oldest] = now
	w.oldest = (w.oldest + 1) % len(w.stamps)
	return 0
}
