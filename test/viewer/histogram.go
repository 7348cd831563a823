package viewer

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// fineness is the number of buckets per doubling: 16 keep a figure within 7 %.
const (
	fineBits = 4
	fineness = 1 << fineBits
)

// histogram counts times in buckets of constant relative width, from 1 µs to some
// hours, without a lock. Its zero value is ready.
type histogram struct {
	buckets [32 * fineness]atomic.Int64
	longest peak
}

// observe counts one time.
func (h *histogram) observe(d time.Duration) {
	h.longest.observe(d)
	h.buckets[min(bucket(d), len(h.buckets)-1)].Add(1)
}

// bucket is the place of a time: up to fineness microseconds exact, then by its
// highest bit and the fineBits below.
func bucket(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < fineness {
		return int(us)
	}
	shift := bits.Len64(us) - fineBits - 1
	return (shift+1)<<fineBits | int(us>>shift)&(fineness-1)
}

// bound is the end of a bucket: no time in it is longer.
func bound(i int) time.Duration {
	if i < fineness {
		return time.Duration(i+1) * time.Microsecond
	}
	shift := i>>fineBits - 1
	return time.Duration(i&(fineness-1)+fineness+1) << shift * time.Microsecond
}

// latency returns the figures so far.
func (h *histogram) latency() Latency {
	var counts [len(h.buckets)]int64
	var total int64
	for i := range counts {
		counts[i] = h.buckets[i].Load()
		total += counts[i]
	}
	longest := time.Duration(h.longest.Load())
	quantile := func(percent int64) time.Duration {
		// The smallest time that at least this share of all does not exceed.
		rank := (total*percent + 99) / 100
		for i, n := range counts {
			if rank -= n; rank <= 0 && n > 0 {
				return min(bound(i), longest)
			}
		}
		return longest
	}
	return Latency{Count: total, P50: quantile(50), P95: quantile(95), P99: quantile(99), Max: longest}
}
