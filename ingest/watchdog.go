package ingest

import "time"

// watchdog judges a child by its output alone: options that make FFmpeg end by
// itself are a courtesy, not a promise.
//
//	sign                                                          | reason
//	--------------------------------------------------------------|------------
//	not a byte since the start for 15 s                           | no_output
//	bytes came and stopped for max(3 s, 1.5 × T)                  | stalled
//	bytes come, timestamps stand still as long                    | frozen
//	timestamps move, no segment for 2.5 × (T + longest GOP)       | no_segment
//	sound and picture more than 10 s apart                        | av_drift
//
// A stream without keyframes is not ended: another start would not give it any.
type watchdog struct {
	start, silence, cadence time.Duration
}

// driftLimit is how far sound and picture may be apart.
const driftLimit = 10 * time.Second

func newWatchdog(spec *StreamSpec) watchdog {
	return watchdog{
		start:   15 * time.Second,
		silence: max(3*time.Second, spec.SegmentDuration*3/2),
		cadence: (spec.SegmentDuration + spec.LongestGOP) * 5 / 2,
	}
}

// vitals are the signs of life of one child's output; over several renditions,
// the worst of each. Zero times mean: never.
type vitals struct {
	started, lastByte, lastAdvance, lastPiece time.Time
	waitsForKeyframe                          bool
	drift                                     time.Duration
}

// verdict is the reason to end the child, or ReasonNone.
func (w watchdog) verdict(now time.Time, v vitals) Reason {
	since := func(t time.Time) time.Duration { return now.Sub(later(t, v.started)) }
	switch {
	case v.lastByte.IsZero():
		if since(v.started) > w.start {
			return ReasonNoOutput
		}
		return ReasonNone
	case since(v.lastByte) > w.silence:
		return ReasonStalled
	case since(v.lastAdvance) > w.silence:
		return ReasonFrozen
	case !v.waitsForKeyframe && since(v.lastPiece) > w.cadence:
		return ReasonNoSegment
	case v.drift > driftLimit || v.drift < -driftLimit:
		return ReasonDrift
	}
	return ReasonNone
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
