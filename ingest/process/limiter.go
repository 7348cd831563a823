package process

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// startPatience is how long a start may take before its place is given on: one that the kernel holds up must not hold up
// the node.
const startPatience = 5 * time.Second

// Limiter spreads the starts of a whole node, so that children that fail together do not take the processor from those
// that run. Whoever has the most viewers starts first.
//
// A start counts from when it is done, and takes up a place until then: on a node whose processor is taken, starts that
// were admitted one by one would otherwise come late and together, when it can bear them least.
type Limiter struct {
	mu        sync.Mutex
	perSecond int
	starting  int         // admitted and not done
	done      []time.Time // those of the last second, oldest first
	waiting   []*waiter   // oldest first
	wake      *time.Timer
}

// waiter is one call of Wait; its turn has come when the channel is closed.
type waiter struct {
	priority func() int
	turn     chan struct{}
}

// NewLimiter returns a limiter that allows at most perSecond starts in any second, and at least one.
func NewLimiter(perSecond int) *Limiter {
	return &Limiter{perSecond: max(perSecond, 1)}
}

// Wait returns when the caller may start a child, or with an error when ctx ends first. The caller calls started once its
// child runs or could not be started. Waiting callers are served by priority, higher first (the number of viewers); of
// equals, the oldest. priority is asked each time that a start becomes free, since viewers come and go while a stream
// waits; it must not block nor call the limiter. nil means 0.
func (l *Limiter) Wait(ctx context.Context, priority func() int) (started func(), err error) {
	if ctx.Err() != nil {
		return nil, waitError(ctx)
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
		return l.admitted(), nil
	case <-ctx.Done():
		l.leave(w)
		return nil, waitError(ctx)
	}
}

// admitted returns what ends an admitted start; it ends by itself when its patience does.
func (l *Limiter) admitted() (started func()) {
	var once sync.Once
	end := func() {
		once.Do(func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.starting--
			l.done = append(l.done, time.Now())
			l.serve()
		})
	}
	patience := time.AfterFunc(startPatience, end)
	return func() {
		patience.Stop()
		end()
	}
}

// serve admits waiting callers as long as the limit allows, and sees to it that it is called again when it does.
// The caller holds mu.
func (l *Limiter) serve() {
	now := time.Now()
	l.done = slices.DeleteFunc(l.done, func(t time.Time) bool { return now.Sub(t) >= time.Second })
	for len(l.waiting) > 0 && l.starting+len(l.done) < l.perSecond {
		l.starting++
		close(l.pop().turn)
	}
	// Where none is done, the end of a start is what frees a place.
	if len(l.waiting) > 0 && len(l.done) > 0 {
		l.serveAfter(time.Second - now.Sub(l.done[0]))
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

// leave forgets a waiter that gave up. A turn that came at the same moment goes to the next.
func (l *Limiter) leave(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-w.turn:
		l.starting--
		l.serve()
	default:
		l.waiting = slices.DeleteFunc(l.waiting, func(other *waiter) bool { return other == w })
	}
}

func waitError(ctx context.Context) error {
	return fmt.Errorf("waiting for a free start: %w", ctx.Err())
}
