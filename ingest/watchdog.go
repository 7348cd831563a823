package ingest

import (
	"time"

	"github.com/headrace/headrace/ingest/segment"
)

// watchdog judges a child by its output alone: options that make FFmpeg end by
// itself are a courtesy, not a promise.
//
//	sign                                                          | reason
//	--------------------------------------------------------------|------------
//	not a byte since the start for 15 s                           | no_output
//	bytes came and stopped for max(2.8 s, 1.4 × T)                | stalled
//	bytes come, timestamps stand still as long                    | frozen
//	timestamps move, no segment for 2.5 × (T + longest GOP)       | no_segment
//	no keyframe to begin a segment with for 12 s or 3 × (T + GOP) | no_keyframe
//	sound and picture more than 10 s apart, as long as silence    | av_drift
//
// With the tick of its stream's goroutine a child that hangs is seen within 3 s. Time
// that a child has waited for the processor since it fell behind does not count.
//
// A stream that waits for a keyframe is given time: another start would hardly give
// it one sooner. It is started anew at last, because a source that went over to
// another codec shows the same sign, and that a start does mend.
type watchdog struct {
	start, silence, cadence, blind time.Duration
}

// driftLimit is how far sound and picture may be apart: for a while after a jump of
// the timestamps, they may be further.
const driftLimit = 10 * time.Second

func newWatchdog(spec *StreamSpec) watchdog {
	return watchdog{
		start:   15 * time.Second,
		silence: max(2800*time.Millisecond, spec.SegmentDuration*7/5),
		cadence: (spec.SegmentDuration + spec.LongestGOP) * 5 / 2,
		blind:   max(12*time.Second, (spec.SegmentDuration+spec.LongestGOP)*3),
	}
}

// vitals are the signs of life of one child's output; over several renditions,
// the worst of each. Zero times mean: never.
type vitals struct {
	started, lastByte, lastAdvance, lastPiece time.Time
	// blind is how long it has been waiting for a keyframe to begin a segment with; 0:
	// it does not.
	blind time.Duration
	// apart is how long sound and picture have been too far apart.
	apart time.Duration
}

// vitals are the signs of life of its output, which began at a time. Only the
// stream's goroutine asks.
func (r *run) vitals(now, began time.Time) vitals {
	v := vitals{started: began}
	waits, apart := false, false
	for i, c := range r.cutters {
		p := c.Progress()
		if i == 0 {
			v.lastByte, v.lastAdvance, v.lastPiece = p.LastByte, p.LastAdvance, p.LastPiece
		}
		v.lastByte = earlier(v.lastByte, p.LastByte)
		v.lastAdvance = earlier(v.lastAdvance, p.LastAdvance)
		v.lastPiece = earlier(v.lastPiece, p.LastPiece)
		waits = waits || p.Waiting
		apart = apart || drift(p) > driftLimit || drift(p) < -driftLimit
	}
	if !apart {
		r.together = now
	}
	v.apart = now.Sub(later(r.together, began))
	if waits {
		r.waited = now
		v.blind = max(now.Sub(later(v.lastPiece, began)), 1)
	}
	// Segments and pictures can be late only once there is a keyframe to begin with.
	v.lastPiece, v.lastAdvance = later(v.lastPiece, r.waited), later(v.lastAdvance, r.waited)
	return v
}

// drift is how far the picture is ahead of the sound.
func drift(p segment.Progress) time.Duration {
	if p.VideoDTS == 0 || p.AudioDTS == 0 {
		return 0
	}
	return time.Duration(p.VideoDTS-p.AudioDTS) * time.Second / 90_000
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// late tells whether a child is behind by half of what would end it: from then on it
// is worth asking why.
func (w watchdog) late(now time.Time, v vitals) bool {
	since := func(t time.Time) time.Duration { return now.Sub(later(t, v.started)) }
	return since(v.lastByte) > w.silence/2 || since(v.lastAdvance) > w.silence/2 || since(v.lastPiece) > w.cadence/2
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
	case v.blind > w.blind:
		return ReasonNoKeyframe
	case v.blind > 0:
		return ReasonNone // a copy leaves out the picture until its first keyframe
	case since(v.lastAdvance) > w.silence:
		return ReasonFrozen
	case since(v.lastPiece) > w.cadence:
		return ReasonNoSegment
	case v.apart > w.silence:
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
