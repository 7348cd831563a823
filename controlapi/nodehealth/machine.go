package nodehealth

import "time"

// The times and counts of the table.
const (
	deadAfter         = 2 // failed probes in a row
	deadAfterPassing  = 3 // the same where Consul contradicts
	aliveAfter        = 3 // good probes in a row
	worseFor          = 3 * time.Second
	clearFor          = 10 * time.Second
	rampFrom          = 0.1
	rampFor           = 30 * time.Second
	flapWindow        = 5 * time.Minute
	shortestPenalty   = 30 * time.Second
	longestPenalty    = 10 * time.Minute
	penaltyForgotten  = 30 * time.Minute // without going down
	lowScore          = 55
	goodScore         = 65
	barredScore       = 25
	unbarredScore     = 35
	flapsToQuarantine = 3
)

// signs is all that a machine decides by.
type signs struct {
	probe   outcome
	consul  Opinion
	drain   bool // the operator's wish
	current bool // the snapshot that it applied is the one that it should have
	// What its last answer says, or made of it:
	warning bool // it calls itself degraded
	stale   bool // a tenth of its streams or more
	slow    bool // answers took long, for long enough
	slowNow bool // the last one did
	score   int
	// What is known of the others:
	agreed bool // those who must agree that it is down do
	frozen bool // the group is in panic
	spare  bool // another edge of the group takes viewers
}

// outcome is how a probe ended.
type outcome int8

const (
	noProbe outcome = iota // time passed, nothing else
	good
	bad
)

// machine is the state of one edge. It is a value: a step gives the next one.
type machine struct {
	state  State
	reason Reason
	since  time.Time
	// good and bad count probes in a row; one of them is 0.
	good, bad int
	// low is since when the score is low, against when something last spoke against it.
	low, against time.Time
	// barred tells that the score is too low for anything new.
	barred bool
	// downs are the last times that it went down, newest first.
	downs [flapsToQuarantine]time.Time
	// penalty is the length of the last quarantine, until its end.
	penalty time.Duration
	until   time.Time
	// ramp is when it began to take viewers again; zero: it takes its share.
	ramp time.Time
}

func newMachine(now time.Time) machine { return machine{state: Joining, since: now, against: now} }

// observe counts a probe.
func (m machine) observe(o outcome) machine {
	switch o {
	case good:
		m.good, m.bad = min(m.good+1, aliveAfter), 0
	case bad:
		m.good, m.bad = 0, min(m.bad+1, deadAfterPassing)
	case noProbe:
	}
	return m
}

// unreachable tells whether its probes fail as far as is needed to call it down.
func (m machine) unreachable(consul Opinion) bool {
	return m.bad >= deadAfterPassing || m.bad >= deadAfter && consul != Passing
}

// step gives the machine after signs were seen; the probe is counted by observe.
func (m machine) step(now time.Time, s signs) machine {
	m = m.judge(now, s)
	state, reason := m.next(now, s)
	// One that was never up, as far as this instance knows, did not go down.
	if state == Down && m.state != Down && m.state != Quarantined && m.state != Joining {
		m.downs = [...]time.Time{now, m.downs[0], m.downs[1]}
		if s.spare && m.isFlapping(now) {
			state, reason = Quarantined, ReasonFlapping
			m = m.punish(now)
		}
	}
	if state == m.state {
		m.reason = reason
		return m
	}
	if m.state == Probation && state != Down && state != Quarantined {
		m.ramp = now
	}
	m.state, m.reason, m.since = state, reason, now
	if state == Probation {
		m.against = now // its time to prove itself begins
	}
	return m
}

// judge keeps account of what the signs say over time.
func (m machine) judge(now time.Time, s signs) machine {
	switch {
	case s.score >= lowScore:
		m.low = time.Time{}
	case m.low.IsZero():
		m.low = now
	}
	m.barred = s.score < barredScore || m.barred && s.score < unbarredScore
	// Probation asks for answers alone: an edge that is always near its limits would
	// never leave it.
	if m.bad > 0 || m.state != Probation && (s.warning || s.stale || s.slowNow || s.score < goodScore) {
		m.against = now
	}
	if m.penalty > 0 && m.state == Healthy && now.Sub(m.downs[0]) > penaltyForgotten {
		m.penalty = 0
	}
	return m
}

// next is the table of the package comment.
func (m machine) next(now time.Time, s signs) (State, Reason) {
	wish := s.drain || s.consul == Maintenance
	if m.unreachable(s.consul) {
		return m.lost(s, wish)
	}
	returned := m.good >= aliveAfter && s.current
	switch m.state {
	case Joining:
		if wish {
			return Draining, wishReason(s)
		}
		if m.good > 0 && s.current {
			return m.wellness(now, s)
		}
		return Joining, m.reason
	case Down:
		if m.good >= aliveAfter && wish {
			return Draining, wishReason(s)
		}
		if returned {
			return Probation, ReasonReturning
		}
		return Down, m.reason
	case Quarantined:
		if returned && !now.Before(m.until) {
			return Probation, ReasonReturning
		}
		return Quarantined, m.reason
	case Draining:
		if !wish {
			return Probation, ReasonReturning
		}
		return Draining, wishReason(s)
	case Probation:
		if wish {
			return Draining, wishReason(s)
		}
		if now.Sub(m.against) >= clearFor {
			return m.wellness(now, s)
		}
		return Probation, ReasonReturning
	case Healthy:
		if wish {
			return Draining, wishReason(s)
		}
		return m.wellness(now, s)
	case Degraded:
		if wish {
			return Draining, wishReason(s)
		}
		if state, reason := m.wellness(now, s); state == Degraded {
			return state, reason
		}
		if now.Sub(m.against) >= clearFor {
			return Healthy, ReasonNone
		}
		return Degraded, m.reason
	}
	return m.state, m.reason
}

// lost is where an edge whose probes fail goes.
func (m machine) lost(s signs, wish bool) (State, Reason) {
	switch {
	case m.state == Down, m.state == Quarantined:
		return m.state, m.reason
	case !s.agreed:
		return m.held(ReasonUnconfirmed)
	case s.frozen && !wish:
		return m.held(ReasonPanic)
	}
	return Down, ReasonUnreachable
}

// held is an edge that would be down but must not be: it is the last to be sent anybody.
func (m machine) held(why Reason) (State, Reason) {
	if m.state == Healthy || m.state == Degraded {
		return Degraded, why
	}
	return m.state, why
}

// wellness tells healthy from degraded, for an edge that answers.
func (m machine) wellness(now time.Time, s signs) (State, Reason) {
	switch {
	case s.warning:
		return Degraded, ReasonSelfReport
	case s.stale:
		return Degraded, ReasonStale
	case s.slow:
		return Degraded, ReasonSlow
	case !m.low.IsZero() && now.Sub(m.low) >= worseFor:
		return Degraded, ReasonScore
	}
	return Healthy, ReasonNone
}

func (m machine) isFlapping(now time.Time) bool {
	oldest := m.downs[flapsToQuarantine-1]
	return !oldest.IsZero() && now.Sub(oldest) <= flapWindow
}

// punish begins a quarantine, twice as long as the last one.
func (m machine) punish(now time.Time) machine {
	m.penalty = min(max(shortestPenalty, 2*m.penalty), longestPenalty)
	m.until = now.Add(m.penalty)
	return m
}

// takes tells whether viewers are sent there as a rule.
func (m machine) takes() bool { return m.state == Healthy || m.state == Degraded }

// weight is the share of new viewers that it is given, 0 to 1.
func (m machine) weight(now time.Time) float64 {
	if m.barred {
		return 0
	}
	switch m.state {
	case Healthy, Degraded:
		if m.ramp.IsZero() || now.Sub(m.ramp) >= rampFor {
			return 1
		}
		return rampFrom + (1-rampFrom)*now.Sub(m.ramp).Seconds()/rampFor.Seconds()
	case Probation:
		return rampFrom
	case Joining, Down, Draining, Quarantined:
	}
	return 0
}

func wishReason(s signs) Reason {
	if s.drain {
		return ReasonDrain
	}
	return ReasonMaintenance
}
