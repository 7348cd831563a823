package httpapi

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limit is a token bucket: Burst requests at once, Rate per second in the long run. The
// zero value is no limit.
type Limit struct {
	Rate  float64
	Burst int
}

// buckets holds one token bucket per name. Names are those of keys and tenants that were
// authenticated, so strangers cannot fill it; it is bounded all the same.
type buckets struct {
	limit Limit
	mu    sync.Mutex
	named map[string]*rate.Limiter
}

// mostBuckets bounds the memory of one set: about a hundred octets each.
const mostBuckets = 50_000

func newBuckets(l Limit) *buckets {
	return &buckets{limit: l, named: make(map[string]*rate.Limiter)}
}

// take takes one request from a name's bucket. Where there is none left it tells how
// long to wait for the next.
func (b *buckets) take(name string, now time.Time) (wait time.Duration) {
	if b.limit == (Limit{}) {
		return 0
	}
	reservation := b.of(name, now).ReserveN(now, 1)
	if !reservation.OK() {
		return time.Second
	}
	if wait = reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
	}
	return wait
}

func (b *buckets) of(name string, now time.Time) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.named[name]
	if one == nil {
		if len(b.named) >= mostBuckets {
			b.sweep(now)
		}
		one = rate.NewLimiter(rate.Limit(b.limit.Rate), b.limit.Burst)
		b.named[name] = one
	}
	return one
}

// sweep forgets the buckets that are full: a new one would be the same.
func (b *buckets) sweep(now time.Time) {
	for name, one := range b.named {
		if one.TokensAt(now) >= float64(b.limit.Burst) {
			delete(b.named, name)
		}
	}
	if len(b.named) >= mostBuckets {
		clear(b.named) // all of them are in use: better lenient for a moment than without bound
	}
}
