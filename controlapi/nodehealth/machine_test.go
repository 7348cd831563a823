package nodehealth

import (
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// fine are the signs of an edge of which there is nothing to say.
func fine(o outcome) signs {
	return signs{probe: o, current: true, score: 100, agreed: true, spare: true}
}

// act is one sign at one second.
type act struct {
	second float64
	signs  signs
	want   State
	reason Reason
}

func with(s signs, change func(*signs)) signs {
	change(&s)
	return s
}

// play lets acts happen and compares the state after each.
func play(t *testing.T, acts []act) machine {
	t.Helper()
	m := newMachine(start)
	for _, a := range acts {
		m = m.observe(a.signs.probe).step(start.Add(time.Duration(a.second*float64(time.Second))), a.signs)
		if m.state != a.want || m.reason != a.reason {
			t.Fatalf("at %g s: got %s (%s), want %s (%s)", a.second, m.state, m.reason, a.want, a.reason)
		}
	}
	return m
}

func TestTable(t *testing.T) {
	ok, lost := fine(good), fine(bad)
	passing := func(s signs) signs { return with(s, func(s *signs) { s.consul = Passing }) }
	behind := with(ok, func(s *signs) { s.current = false })
	drained := func(s signs) signs { return with(s, func(s *signs) { s.drain = true }) }
	score := func(n int) signs { return with(ok, func(s *signs) { s.score = n }) }
	for _, tt := range []struct {
		name string
		acts []act
	}{
		{"a new edge", []act{{0, behind, Joining, ""}, {1, ok, Healthy, ""}}},
		{"one failed probe is nothing", []act{{0, ok, Healthy, ""}, {1, lost, Healthy, ""}, {2, ok, Healthy, ""}, {3, lost, Healthy, ""}}},
		{"two failed probes", []act{{0, ok, Healthy, ""}, {1, lost, Healthy, ""}, {2, lost, Down, ReasonUnreachable}}},
		{"three, where Consul contradicts", []act{{0, ok, Healthy, ""}, {1, passing(lost), Healthy, ""}, {2, passing(lost), Healthy, ""}, {3, passing(lost), Down, ReasonUnreachable}}},
		{"Consul's word alone is nothing", []act{{0, ok, Healthy, ""}, {1, with(ok, func(s *signs) { s.consul = Critical }), Healthy, ""}}},
		{"nobody else sees it", []act{{0, ok, Healthy, ""}, {1, lost, Healthy, ""}, {2, with(lost, func(s *signs) { s.agreed = false }), Degraded, ReasonUnconfirmed}, {3, lost, Down, ReasonUnreachable}}},
		{"panic", []act{{0, ok, Healthy, ""}, {1, lost, Healthy, ""}, {2, with(lost, func(s *signs) { s.frozen = true }), Degraded, ReasonPanic}, {3, ok, Degraded, ReasonPanic}, {13, ok, Healthy, ""}}},
		{"panic does not hold what is drained", []act{{0, drained(ok), Draining, ReasonDrain}, {1, drained(lost), Draining, ReasonDrain}, {2, with(drained(lost), func(s *signs) { s.frozen = true }), Down, ReasonUnreachable}}},
		{"the way back", []act{
			{0, lost, Joining, ""},
			{1, lost, Down, ReasonUnreachable},
			{2, ok, Down, ReasonUnreachable},
			{3, ok, Down, ReasonUnreachable},
			{4, behind, Down, ReasonUnreachable},
			{5, ok, Probation, ReasonReturning},
			{14, ok, Probation, ReasonReturning},
			{15, ok, Healthy, ""},
		}},
		{"a failed probe begins probation anew", []act{
			{0, lost, Joining, ""},
			{1, lost, Down, ReasonUnreachable},
			{2, ok, Down, ReasonUnreachable},
			{3, ok, Down, ReasonUnreachable},
			{4, ok, Probation, ReasonReturning},
			{13, lost, Probation, ReasonReturning},
			{14, ok, Probation, ReasonReturning},
			{22, ok, Probation, ReasonReturning},
			{23, ok, Healthy, ""},
		}},
		{"an edge that is always near its limits leaves probation", []act{
			{0, lost, Joining, ""},
			{1, lost, Down, ReasonUnreachable},
			{2, score(50), Down, ReasonUnreachable},
			{3, score(50), Down, ReasonUnreachable},
			{4, score(50), Probation, ReasonReturning},
			{14, score(50), Degraded, ReasonScore},
		}},
		{"a low score for 3 s", []act{{0, ok, Healthy, ""}, {1, score(54), Healthy, ""}, {3.9, score(54), Healthy, ""}, {4, score(54), Degraded, ReasonScore}, {5, score(64), Degraded, ReasonScore}, {6, score(65), Degraded, ReasonScore}, {15, score(65), Healthy, ""}}},
		{"a low score for a moment", []act{{0, ok, Healthy, ""}, {1, score(40), Healthy, ""}, {2, ok, Healthy, ""}, {5, score(40), Healthy, ""}}},
		{"it says so itself", []act{{0, ok, Healthy, ""}, {1, with(ok, func(s *signs) { s.warning = true }), Degraded, ReasonSelfReport}, {10.9, ok, Degraded, ReasonSelfReport}, {11, ok, Healthy, ""}}},
		{"stale streams", []act{{0, ok, Healthy, ""}, {1, with(ok, func(s *signs) { s.stale = true }), Degraded, ReasonStale}}},
		{"slow answers", []act{{0, ok, Healthy, ""}, {1, with(ok, func(s *signs) { s.slow, s.slowNow = true, true }), Degraded, ReasonSlow}, {2, ok, Degraded, ReasonSlow}, {11, ok, Healthy, ""}}},
		{"drain", []act{{0, ok, Healthy, ""}, {1, drained(ok), Draining, ReasonDrain}, {99, drained(ok), Draining, ReasonDrain}, {100, ok, Probation, ReasonReturning}, {110, ok, Healthy, ""}}},
		{"maintenance", []act{{0, ok, Healthy, ""}, {1, with(ok, func(s *signs) { s.consul = Maintenance }), Draining, ReasonMaintenance}}},
		{"one that is down drains when it answers", []act{
			{0, drained(lost), Draining, ReasonDrain},
			{1, drained(lost), Down, ReasonUnreachable},
			{2, drained(ok), Down, ReasonUnreachable},
			{3, drained(ok), Down, ReasonUnreachable},
			{4, drained(ok), Draining, ReasonDrain},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { play(t, tt.acts) })
	}
}

func TestFlapping(t *testing.T) {
	now := start
	m := newMachine(now).observe(good).step(now, fine(good))
	second := func(o outcome, spare bool) {
		now = now.Add(time.Second)
		m = m.observe(o).step(now, with(fine(o), func(s *signs) { s.spare = spare }))
	}
	// fall is a loss and, if it is let, the way back to health.
	fall := func(spare bool) {
		second(bad, spare)
		second(bad, spare)
		for range 13 {
			second(good, spare)
		}
	}
	fall(true)
	fall(true)
	if m.state != Healthy {
		t.Fatalf("after two falls: %s", m.state)
	}
	fall(true)
	for _, seconds := range []int{30, 60, 120, 240, 480, 600, 600} {
		want := time.Duration(seconds) * time.Second
		if m.state != Quarantined || m.reason != ReasonFlapping || m.penalty != want {
			t.Fatalf("got %s (%s) for %v, want a quarantine of %v", m.state, m.reason, m.penalty, want)
		}
		for m.state == Quarantined {
			second(good, true)
		}
		if got := now.Sub(m.since); m.state != Probation || got != 0 {
			t.Fatalf("got %s after the quarantine", m.state)
		}
		// It goes down three times at once: the first time after a long quarantine,
		// what was before is forgotten.
		for m.state != Quarantined {
			fall(true)
		}
	}
	for m.state == Quarantined {
		second(good, true)
	}
	for range 10 {
		fall(false)
	}
	if m.state == Quarantined {
		t.Error("it was quarantined with nobody to stand in")
	}
	for range 12 {
		second(good, true)
	}
	for range int(penaltyForgotten/time.Second) + 60 {
		second(good, true)
	}
	for m.state != Quarantined {
		fall(true)
	}
	if m.penalty != shortestPenalty {
		t.Errorf("after half an hour of health the quarantine is %v, want %v", m.penalty, shortestPenalty)
	}
}

func TestWeight(t *testing.T) {
	m := machine{state: Healthy, ramp: start}
	for _, tt := range []struct {
		name   string
		change func(*machine)
		after  time.Duration
		want   float64
	}{
		{"at the beginning of the ramp", nil, 0, 0.1},
		{"in the middle", nil, 15 * time.Second, 0.55},
		{"at its end", nil, 30 * time.Second, 1},
		{"without one", func(m *machine) { m.ramp = time.Time{} }, 0, 1},
		{"degraded", func(m *machine) { m.state = Degraded }, time.Hour, 1},
		{"probation", func(m *machine) { m.state = Probation }, time.Hour, 0.1},
		{"down", func(m *machine) { m.state = Down }, time.Hour, 0},
		{"draining", func(m *machine) { m.state = Draining }, time.Hour, 0},
		{"barred", func(m *machine) { m.barred = true }, time.Hour, 0},
	} {
		m := m
		if tt.change != nil {
			tt.change(&m)
		}
		if got := m.weight(start.Add(tt.after)); got < tt.want-1e-9 || got > tt.want+1e-9 {
			t.Errorf("%s: got %g, want %g", tt.name, got, tt.want)
		}
	}
}

func TestBarred(t *testing.T) {
	m := newMachine(start)
	for _, tt := range []struct {
		score int
		want  bool
	}{{100, false}, {25, false}, {24, true}, {34, true}, {35, false}, {30, false}} {
		m = m.step(start, with(fine(good), func(s *signs) { s.score = tt.score }))
		if m.barred != tt.want {
			t.Errorf("a score of %d: barred %v, want %v", tt.score, m.barred, tt.want)
		}
	}
}
