package process

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Limiter spreads the starts of a whole node, so that children that fail together do not take the processor from those
// that run. Whoever has the most viewers starts first.
type Limiter struct {
	mu      sync.Mutex
	starts  window
	waiting []*waiter // oldest first
	wake    *time.Timer
}

// waiter is one call of Wait; its turn has come when the channel is closed.
type waiter struct {
	priority func() int
	turn     chan struct{}
}

// NewLimiter returns a limiter that admits at most perSecond starts in any second, and at least one.
func NewLimiter(perSecond int) *Limiter {
	return &Limiter{starts: newWindow(max(perSecond, 1), time.Second)}
}

// Wait returns nil when the caller may start a child, or an error when ctx ends first. Waiting callers are served by
// priority, higher first (the number of viewers); of equals, the oldest. priority is asked each time that a start
// becomes free, since viewers come and go while a stream waits; it must not block nor call the limiter. nil means 0.
func (l *Limiter) Wait(ctx context.Context, priority func() int) error {
	if ctx.Err() != nil {
		return waitError(ctx)
	}
	if priority == nil {
		priority = func() int { return 0 }
	}
	w := &waiter{priority: priority, turn: make(chan struct{})}
	l.mu.Lock()
	l.waiting = append(l.waiting, w)
	l.serve()
	l.mu.Unlock()

	select {
	case <-w.turn:
		return nil
	case <-ctx.Done():
		l.leave(w)
		return waitError(ctx)
	}
}

// serve admits waiting callers as long as the limit allows, and sees to it that it is called again when it does.
// The caller holds mu.
func (l *Limiter) serve() {
	for len(l.waiting) > 0 {
		if wait := l.starts.take(time.Now()); wait > 0 {
			l.serveAfter(wait)
			return
		}
		close(l.pop().turn)
	}
}

func (l *Limiter) serveAfter(wait time.Duration) {
	if l.wake != nil {
		l.wake.Reset(wait)
		return
	}
	l.wake = time.AfterFunc(wait, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.serve()
	})
}

// pop removes the waiter whose turn it is; a linear search does for the few hundred streams of a node.
func (l *Limiter) pop() *waiter {
	best, most := 0, l.waiting[0].priority()
	for i, w := range l.waiting[1:] {
		if p := w.priority(); p > most {
			best, most = i+1, p
		}
	}
	w := l.waiting[best]
	l.waiting = slices.Delete(l.waiting, best, best+1)
	return w
}

// leave forgets a waiter that gave up. If its turn came at the same moment, that start is lost to the others.
func (l *Limiter) leave(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = slices.DeleteFunc(l.waiting, func(other *waiter) bool { return other == w })
}

func waitError(ctx context.Context) error {
	return fmt.Errorf("waiting for a free start: %w", ctx.Err())
}
