package nodehealth

import (
	"math"
	"slices"
	"time"
)

// The times and bounds by which answers are slow.
const (
	latencyWindow   = 10 * time.Second
	baselineSamples = 300 // five minutes of probes
	// baselineStep is how many samples pass between two computations of the median.
	baselineStep = 10
	slowFloor    = 250 * time.Millisecond
	slowFactor   = 3
	bestLatency  = 50 * time.Millisecond // and below: full marks
	worstLatency = time.Second           // and above: none
	freshTau     = 10.0                  // seconds of the moving average of fresh streams
	staleShare   = 0.1
)

// meter measures one edge over time: how long its answers take, and how many of its
// streams move on.
type meter struct {
	recent   []sample // of the last 10 s, oldest first
	past     []time.Duration
	next     int // where the next sample goes in past, once it is full
	taken    int // samples since the median was computed
	baseline time.Duration

	fresh   float64 // moving average of the share of fresh streams
	freshAt time.Time
}

type sample struct {
	at   time.Time
	took time.Duration
}

// answered adds the time that an answer took.
func (m *meter) answered(now time.Time, took time.Duration) {
	m.recent = append(m.expire(now), sample{now, took})
	if len(m.past) < baselineSamples {
		m.past = append(m.past, took)
	} else {
		m.past[m.next] = took
		m.next = (m.next + 1) % baselineSamples
	}
	if m.taken++; m.baseline == 0 || m.taken >= baselineStep {
		m.taken = 0
		m.baseline = median(m.past)
	}
}

// expire gives the recent samples without those that are too old.
func (m *meter) expire(now time.Time) []sample {
	i := 0
	for i < len(m.recent) && now.Sub(m.recent[i].at) > latencyWindow {
		i++
	}
	return slices.Delete(m.recent, 0, i)
}

// limit is how long an answer may take: three times what is usual there, or 250 ms.
func (m *meter) limit() time.Duration { return max(slowFloor, slowFactor*m.baseline) }

// slow tells whether two answers of the last 10 s took too long, the first of them at
// least worseFor ago; and whether the last one did.
func (m *meter) slow(now time.Time) (lasting, last bool) {
	m.recent = m.expire(now)
	limit, count := m.limit(), 0
	var first time.Time
	for _, s := range m.recent {
		last = s.took > limit
		if last {
			if count++; count == 1 {
				first = s.at
			}
		}
	}
	return count >= 2 && now.Sub(first) >= worseFor, last
}

// p95 is the time within which 95 % of the recent answers came, by the nearest lower
// rank: of ten, one may be an accident. 0: there was none.
func (m *meter) p95() time.Duration {
	if len(m.recent) == 0 {
		return 0
	}
	sorted := make([]time.Duration, 0, len(m.recent))
	for _, s := range m.recent {
		sorted = append(sorted, s.took)
	}
	slices.Sort(sorted)
	return sorted[int(0.95*float64(len(sorted)-1))]
}

// streams takes the share of streams that are fresh into its moving average.
func (m *meter) streams(now time.Time, share float64) {
	if m.freshAt.IsZero() {
		m.fresh = share
	} else {
		m.fresh += (share - m.fresh) * (1 - math.Exp(-now.Sub(m.freshAt).Seconds()/freshTau))
	}
	m.freshAt = now
}

func (m *meter) stale() bool { return !m.freshAt.IsZero() && m.fresh < 1-staleShare }

// score is round(100 · q · (0.7·h + 0.3·l)): q the average share of fresh streams, h what
// of the edge is free, l how fast it answers; 0 to 100.
func (m *meter) score(load float64) int {
	l := 1 - clamp(float64(m.p95()-bestLatency)/float64(worstLatency-bestLatency))
	return int(math.Round(100 * clamp(m.fresh) * (0.7*(1-clamp(load)) + 0.3*l)))
}

// reset forgets what was measured before the edge was lost: a long absence says nothing
// of how it is now.
func (m *meter) reset() {
	m.recent, m.freshAt = nil, time.Time{}
}

func median(of []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// clamp brings a number between 0 and 1; what is none is 0.
func clamp(x float64) float64 {
	if !(x > 0) {
		return 0
	}
	return min(x, 1)
}
