package process

import (
	"math/rand/v2"
	"time"
)

const (
	seamJitter    = 100 * time.Millisecond // spreads the restarts of children that one fault ended together
	firstDelay    = 250 * time.Millisecond
	maxDelay      = 30 * time.Second
	maxDoublings  = 7 // 0.25 s × 2⁷ = 32 s is above maxDelay
	failedAfter   = 5
	failedSpan    = 2 * time.Minute
	failedDelay   = time.Minute
	failedJitter  = failedDelay / 10
	toleratedRuns = failedAfter - 1
)

// Backoff is the restart policy of one child: when to start it again after it ended, and when to call it failed. What
// counts is output, not life: a child has delivered when at least two segments came of it since its start.
//
//	state     the child ended…                             next state  delay until the next start
//	retrying  having delivered                             retrying    0 to 0.1 s; n = 0
//	retrying  undelivered                                  retrying    0 to 0.25 s × 2ⁿ, at most 30 s; n = n + 1
//	retrying  undelivered, for the 5th time within 2 min   failed      60 s ± 10 %
//	failed    undelivered                                  failed      60 s ± 10 %
//	failed    having delivered                             retrying    0 to 0.1 s; n = 0
//
// Delays are drawn evenly from their range ("full jitter"), so that children felled together do not rise together. A
// Backoff starts no timer and reads no clock; it is not safe for concurrent use.
type Backoff struct {
	rand      *rand.Rand
	doublings int    // n of the table
	tolerated window // the undelivered ends that a retrying child may have; one more is failure
	failed    bool
}

// NewBackoff returns the policy of a child that has not been started yet. Its jitter comes from source; nil means a
// randomly seeded one of its own.
func NewBackoff(source rand.Source) *Backoff {
	if source == nil {
		source = rand.NewPCG(rand.Uint64(), rand.Uint64()) //nolint:gosec // jitter is no secret
	}
	return &Backoff{
		rand:      rand.New(source), //nolint:gosec // jitter is no secret
		tolerated: newWindow(toleratedRuns, failedSpan),
	}
}

// Next takes note that the child ended at now, having delivered or not, and returns how long to wait before starting it
// again and whether it counts as failed. The times of successive calls must not go back.
func (b *Backoff) Next(now time.Time, delivered bool) (delay time.Duration, failed bool) {
	if delivered {
		b.doublings, b.failed = 0, false
		b.tolerated = newWindow(toleratedRuns, failedSpan)
		return b.upTo(seamJitter), false
	}
	if b.failed = b.failed || b.tolerated.take(now) > 0; b.failed {
		return failedDelay - failedJitter + b.upTo(2*failedJitter), true
	}
	most := min(firstDelay<<b.doublings, maxDelay)
	b.doublings = min(b.doublings+1, maxDoublings)
	return b.upTo(most), false
}

// upTo draws evenly from [0, most].
func (b *Backoff) upTo(most time.Duration) time.Duration {
	return time.Duration(b.rand.Int64N(int64(most) + 1))
}
