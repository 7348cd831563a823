package ingest

import (
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/ingest/source"
)

// replaceLimit is how long a stream whose configuration changed goes on as it was
// while no child with the new one delivers. Then the new one takes over all the
// same: what an operator took away is not played on, and the state says what is
// wrong with the new one.
const replaceLimit = 30 * time.Second

// replacement is a configuration that waits to take over. Its child runs beside
// the current one until it delivers, so that viewers see a seam, not a hole.
type replacement struct {
	spec  *StreamSpec
	order *source.Order
	by    time.Time
}

// change gives the stream a new configuration.
func (s *Stream) change(spec *StreamSpec) {
	s.log.Info("configuration of stream changed")
	s.dropBeside()
	s.replacement = nil
	now := time.Now()
	switch {
	case s.spec.sameMedia(spec):
		s.adopt(spec, s.order)
	case !s.spec.sameTiming(spec):
		s.restartCold(spec)
	case s.current == nil || s.View().LastMSN() == 0:
		s.takeOver(spec, newOrder(spec), now)
	default:
		s.replacement = &replacement{spec: spec, order: newOrder(spec), by: now.Add(replaceLimit)}
	}
}

// beginBeside starts a child beside the current one: for a new configuration, or
// for a more preferred source that may be tried again.
func (s *Stream) beginBeside(now time.Time) {
	if s.beside != nil || s.current == nil {
		return
	}
	if r := s.replacement; r != nil {
		if index, at := r.order.Next(now); !at.After(now) {
			s.beside = startRun(s.host, r.spec, index, freshCounters(r.spec), s.wake)
		}
		return
	}
	index, at, ok := s.order.Preferred(s.current.source)
	if !ok || at.After(now) || s.current.wholeSets() == 0 {
		return
	}
	if _, ok := s.host.breaker.Admit(s.spec.Sources[index].Origin(), s.id, now); !ok {
		return
	}
	s.beside = startRun(s.host, s.spec, index, freshCounters(s.spec), s.wake)
}

// promote puts the child beside, which delivers, in the current one's place.
func (s *Stream) promote(now time.Time) {
	next := s.beside
	reason := ReasonPreferred
	if s.replacement != nil {
		reason = ReasonChanged
	}
	if s.current != nil {
		s.queue = append(s.queue, s.current.take()...)
	}
	s.flush(now)
	s.dropCurrent(reason)
	if s.replacement != nil {
		s.adopt(s.replacement.spec, s.replacement.order)
		s.replacement = nil
	}
	s.beside = nil
	s.running(next)
	s.publisher.takeCounters(next.counters)
	s.order.Running(next.source)
	s.log.Info("stream goes on from another child",
		zap.String("reason", string(reason)), zap.Bool("standby", next.standby), zap.Stringer("source", s.spec.Sources[next.source]))
}

// buryBeside looks for a child beside that ended before it delivered.
func (s *Stream) buryBeside(now time.Time) {
	ended := s.beside
	if ended == nil || !isClosed(ended.done) || s.proven(now) {
		return
	}
	s.beside = nil
	ended.discard()
	if s.current == nil {
		s.startAt = time.Time{} // it was waited for
	}
	reason, _, startErr := ended.end()
	s.logEnd(ended, reason, false, startErr, 0)
	s.settle(ended, reason, false, now)
	if s.replacement != nil {
		s.replacement.order.Ended(ended.source, now, false)
		return
	}
	if ended.standby {
		s.order.Ended(ended.source, now, false)
		return
	}
	slate := s.current != nil && s.spec.Sources[s.current.source].Kind() == source.Slate
	s.order.TriedBeside(ended.source, now, slate)
}

// replaceLate lets a new configuration take over when its child took too long, or
// when there is nothing left to go on with, and ends a preferred source's child
// that hangs.
func (s *Stream) replaceLate(now time.Time) {
	if r := s.replacement; r != nil && (now.After(r.by) || s.current == nil) {
		s.replacement = nil
		s.dropBeside()
		s.takeOver(r.spec, r.order, now)
	}
	if b := s.beside; b != nil && s.replacement == nil && b.child.Load() != nil {
		started := b.child.Load().Exit().Started
		if reason := newWatchdog(s.spec).verdict(now, b.vitals(now, started)); reason != ReasonNone {
			b.stop(reason, true)
		}
	}
}

// takeOver makes a configuration that shares the playlists the stream's own, now.
func (s *Stream) takeOver(spec *StreamSpec, order *source.Order, now time.Time) {
	s.flush(now)
	s.dropCurrent(ReasonChanged)
	s.adopt(spec, order)
	s.startAt = time.Time{}
}

// restartCold begins the stream anew under a configuration that cannot share the
// old playlists. Its numbers go on above the old ones.
func (s *Stream) restartCold(spec *StreamSpec) {
	s.dropCurrent(ReasonChanged)
	s.dropQueue()
	s.show(&View{changed: make(chan struct{})})
	s.publisher.restart(spec)
	s.target.Store(int64(spec.TargetDuration()) * int64(time.Second))
	s.spec, s.order = spec, newOrder(spec)
	s.startAt = time.Time{}
}

// adopt makes a configuration the stream's own. Nothing of the old one is queued.
func (s *Stream) adopt(spec *StreamSpec, order *source.Order) {
	s.spec, s.order = spec, order
	s.publisher.adopt(spec)
}

// flush lists what is queued without waiting for its time.
func (s *Stream) flush(now time.Time) {
	for len(s.queue) > 0 {
		s.publishNext(now)
	}
}

// dropCurrent ends the current child, whose output is no longer wanted. It may
// still be writing: the next one gets continuity counters of its own.
func (s *Stream) dropCurrent(reason Reason) {
	if s.current == nil {
		return
	}
	s.current.stop(reason, false)
	s.host.bury(s.current)
	s.host.breaker.Left(s.current.origin(), s.id)
	s.countEnd(reason)
	s.running(nil)
	s.publisher.takeCounters(freshCounters(s.spec))
}

func (s *Stream) dropBeside() {
	if s.beside == nil {
		return
	}
	s.beside.stop(ReasonChanged, false)
	s.host.bury(s.beside)
	s.host.breaker.Left(s.beside.origin(), s.id)
	s.beside = nil
}
