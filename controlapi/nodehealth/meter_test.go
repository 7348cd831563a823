package nodehealth

import (
	"math"
	"testing"
	"time"
)

func TestMeterScore(t *testing.T) {
	for _, tt := range []struct {
		name    string
		latency time.Duration
		fresh   float64
		load    float64
		want    int
	}{
		{"all well", 10 * time.Millisecond, 1, 0, 100},
		{"at full marks for latency", 50 * time.Millisecond, 1, 0, 100},
		{"half of the way to the worst latency", 525 * time.Millisecond, 1, 0, 85},
		{"the worst latency", time.Second, 1, 0, 70},
		{"full", 10 * time.Millisecond, 1, 1, 30},
		{"full and slow", 2 * time.Second, 1, 1, 0},
		{"half of the streams", 10 * time.Millisecond, 0.5, 0, 50},
		{"a load that is no number", 10 * time.Millisecond, 1, math.NaN(), 100},
		{"a load beyond all", 10 * time.Millisecond, 1, 7, 30},
	} {
		var m meter
		m.answered(start, tt.latency)
		m.streams(start, tt.fresh)
		if got := m.score(tt.load); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestMeterSlow(t *testing.T) {
	type answer struct {
		second float64
		took   time.Duration
	}
	const fast, late = 20 * time.Millisecond, 400 * time.Millisecond
	for _, tt := range []struct {
		name          string
		answers       []answer
		at            float64
		lasting, last bool
	}{
		{"none", nil, 1, false, false},
		{"fast", []answer{{0, fast}, {1, fast}}, 5, false, false},
		{"one accident", []answer{{0, fast}, {1, late}, {2, fast}}, 6, false, false},
		{"two, not long ago", []answer{{0, late}, {1, late}}, 2.9, false, true},
		{"two, the first 3 s ago", []answer{{0, late}, {1, late}}, 3, true, true},
		{"two, with fast ones between", []answer{{0, late}, {1, fast}, {2, late}, {3, fast}}, 4, true, false},
		{"long ago", []answer{{0, late}, {1, late}, {11.5, fast}}, 12, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := meter{baseline: fast}
			for _, a := range tt.answers {
				m.answered(start.Add(time.Duration(a.second*float64(time.Second))), a.took)
				m.baseline = fast
			}
			lasting, last := m.slow(start.Add(time.Duration(tt.at * float64(time.Second))))
			if lasting != tt.lasting || last != tt.last {
				t.Errorf("got %v, %v, want %v, %v", lasting, last, tt.lasting, tt.last)
			}
		})
	}
}

// TestMeterLearnsWhatIsUsual has an edge far away: 300 ms are nothing there.
func TestMeterLearnsWhatIsUsual(t *testing.T) {
	var m meter
	now := start
	for range 400 {
		now = now.Add(time.Second)
		m.answered(now, 300*time.Millisecond)
	}
	if got, want := m.limit(), 900*time.Millisecond; got != want {
		t.Errorf("got a limit of %v, want %v", got, want)
	}
	if lasting, last := m.slow(now); lasting || last {
		t.Error("what is usual there counts as slow")
	}
	if got := m.p95(); got != 300*time.Millisecond {
		t.Errorf("got %v", got)
	}
	if len(m.recent) > 11 || len(m.past) != baselineSamples {
		t.Errorf("the meter keeps %d and %d samples", len(m.recent), len(m.past))
	}
}

func TestMeterStale(t *testing.T) {
	var m meter
	if m.stale() {
		t.Error("stale before anything was measured")
	}
	now := start
	m.streams(now, 1)
	now = now.Add(time.Second)
	m.streams(now, 0.5)
	if m.stale() {
		t.Error("a moment makes it stale")
	}
	for range 5 {
		now = now.Add(time.Second)
		m.streams(now, 0.5)
	}
	if !m.stale() {
		t.Errorf("half of the streams do not move for 5 s: %g", m.fresh)
	}
}
