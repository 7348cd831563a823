package playlist

import (
	"math"
	"time"
)

// Sample is the size and length of one segment, as Bandwidth weighs it.
type Sample struct {
	// Bytes is the size of the segment.
	Bytes int
	// Duration is the length of its media.
	Duration time.Duration
}

// Bandwidth measures the bit rates of a window of consecutive segments in bits
// per second. The peak, for BANDWIDTH, is the largest rate of any contiguous run
// that is between 0.5 and 1.5 target durations long; the average, for
// AVERAGE-BANDWIDTH, is that of the whole window (RFC 8216 §4.1, RFC 8216bis §4.1).
// The peak is never below the average, even where no run has such a length. An
// empty window has rates of 0.
func Bandwidth(window []Sample, target time.Duration) (peak, average int) {
	var total Sample
	for i := range window {
		total = total.plus(window[i])
		var run Sample
		for _, s := range window[i:] {
			run = run.plus(s)
			// Doubled, so that halves of an odd nanosecond count exactly.
			if 2*run.Duration > 3*target {
				break
			}
			if 2*run.Duration >= target {
				peak = max(peak, run.rate())
			}
		}
	}
	average = total.rate()
	return max(peak, average), average
}

// plus returns s and t taken together.
func (s Sample) plus(t Sample) Sample {
	return Sample{Bytes: s.Bytes + t.Bytes, Duration: s.Duration + t.Duration}
}

// rate is the bit rate of the sample, rounded up: the attributes are bounds.
func (s Sample) rate() int {
	if s.Duration <= 0 {
		return 0
	}
	// A float64 holds the bits of a petabyte exactly; the small step back keeps
	// a quotient that is whole from being rounded up by its last digit.
	return int(math.Ceil(float64(s.Bytes)*8/s.Duration.Seconds() - 1e-6))
}
