package follower

import (
	"errors"
	"math/rand/v2"
	"net"
	"time"
)

// Times of the protocol. A poll is held by the server for pollWait, up to 20 % longer.
const (
	pollWait = 25 * time.Second
	// saveEvery is how often it is tried to write a document down.
	saveEvery = 2 * time.Second
	// shortestPoll lies between two polls that both have no news.
	shortestPoll = time.Second

	firstWindow   = 5 * time.Second
	longestWindow = 30 * time.Second
	// dialTimeout lets a lost SYN be sent again, once.
	dialTimeout = 2 * time.Second
	// A control plane that is not there at all is tried at a steady pace: nothing of it
	// is burdened by a connection that does not come about, and it is found again within
	// 2.7 s. That no pause is short keeps a thousand edges that have waited for long apart:
	// a ninth of them come in any quarter of a second.
	shortestKnock = 1900 * time.Millisecond
	knockWindow   = 800 * time.Millisecond
)

// backoff tells how long to wait after a failure: a random part of a window ("full
// jitter"), so that a thousand edges that lose their control plane together do not come
// back together. The window doubles with every failure in a row.
type backoff struct{ window time.Duration }

func (b *backoff) reset() { b.window = 0 }

// after is the pause after a failure.
func (b *backoff) after(err error) time.Duration {
	var busy *busyError
	switch {
	case errors.As(err, &busy):
		return min(busy.retryAfter, longestWindow) + spread(time.Second)
	case errors.Is(err, errUnreachable) && isTimeout(err):
		return spread(time.Second) // nobody answered for dialTimeout: that was pause enough
	case errors.Is(err, errUnreachable) && b.window > 0:
		return shortestKnock + spread(knockWindow)
	}
	b.window = min(max(2*b.window, firstWindow), longestWindow)
	return spread(b.window)
}

// isTimeout tells whether somebody was waited for in vain.
func isTimeout(err error) bool {
	var late net.Error
	return errors.As(err, &late) && late.Timeout()
}

// unhurried is the pause after a poll without news that took so long: a server, or
// something before it, that answers at once must not be asked without end.
func unhurried(took time.Duration) time.Duration {
	if took >= shortestPoll {
		return 0
	}
	return shortestPoll/2 + spread(shortestPoll)
}

// spread is a random part of a window.
func spread(window time.Duration) time.Duration { return rand.N(window) } //nolint:gosec // it spreads load, and hides nothing
