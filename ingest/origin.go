package ingest

import "time"

// origin is the host of the run's source, empty if it has none.
func (r *run) origin() string { return r.spec.Sources[r.source].Origin() }

// next is the source to start and when. Sources whose origin is down are passed
// over, unless it is this stream that is to try it.
func (s *Stream) next(now time.Time) (index int, at time.Time) {
	held := false
	for {
		index, at = s.order.Next(now)
		if at.After(now) {
			if held {
				s.setState(StateWaiting, ReasonOriginDown)
			}
			return index, at
		}
		again, ok := s.host.breaker.Admit(s.spec.Sources[index].Origin(), s.id, now)
		if ok {
			return index, at
		}
		s.order.Hold(index, again)
		held = true
	}
}

// settle tells the breaker how a run on its origin went.
func (s *Stream) settle(ended *run, reason Reason, delivered bool, now time.Time) {
	switch {
	case delivered:
	case reason.isUnreachable():
		s.host.breaker.Failed(ended.origin(), s.id, now)
		return
	}
	s.host.breaker.Left(ended.origin(), s.id)
}

// isUnreachable tells reasons that speak of the origin, not of one stream there.
func (r Reason) isUnreachable() bool {
	return r == ReasonSourceUnreachable || r == ReasonSourceTimeout || r == ReasonNoOutput
}

// hold gives up the wait for a start on an origin that went down meanwhile.
func (s *Stream) hold() {
	r := s.current
	if r != nil && r.child.Load() == nil && s.host.breaker.Holds(r.origin(), s.id) {
		r.stop(ReasonOriginDown, false)
	}
}

// originReturned lets sources of an origin that answers again be tried at once.
func (s *Stream) originReturned(origin string) {
	now := time.Now()
	for i, src := range s.spec.Sources {
		if src.Origin() == origin {
			s.order.Hold(i, now)
		}
	}
	s.startAt = now
}
