package ingest

import (
	"time"

	"github.com/headrace/headrace/ingest/source"
)

// A child beside the current one takes its place when it has proven itself:
//
//	it runs for                     | it takes over
//	--------------------------------|------------------------------------------------
//	a new configuration             | with its first segment
//	a preferred source, over a slate| with its first segment
//	a preferred source              | when it has delivered for the stream's ReturnAfter
//	a standby: the next source      | when the current child has ended
//	any, and the current one ended  | with its next segment

// standbyAfter is how long a child that delivered may be silent until the next
// source is started beside it: the watchdog has patience for longer than a viewer's
// buffer would allow if the next source only began to start then.
const standbyAfter = 1200 * time.Millisecond

// standbyLife is how long a standby is kept at least, so that a source that comes in
// bursts does not start one after the other.
const standbyLife = 10 * time.Second

// standbyLimit is how long a stream without a child waits for the one beside to
// deliver.
const standbyLimit = 3 * time.Second

// proven tells whether the child beside is to take over now. What it delivers until
// then is dropped, but for the newest.
func (s *Stream) proven(now time.Time) bool {
	b := s.beside
	switch {
	case b.wholeSets() == 0:
		return false
	case s.replacement != nil:
		return true
	case s.current == nil:
		return b.hasReady()
	case b.standby:
	case s.spec.Sources[s.current.source].Kind() == source.Slate:
		return true
	default:
		if b.delivers.IsZero() {
			b.delivers = now
		}
		if now.Sub(b.delivers) >= s.spec.ReturnAfter {
			return b.hasReady()
		}
	}
	b.keepNewest()
	return false
}

// beginStandby starts the next source beside a child that has fallen silent, and
// ends it again when that goes on. A pushed source has none: its publisher is
// waited for.
func (s *Stream) beginStandby(now time.Time) {
	if s.replacement != nil || s.current == nil || s.current.wholeSets() == 0 {
		return
	}
	silent := s.silent > standbyAfter
	if b := s.beside; b != nil {
		if b.standby && !silent && now.Sub(b.begun) > standbyLife {
			s.dropBeside()
		}
		return
	}
	if !silent || s.spec.Sources[s.current.source].Kind() == source.Push {
		return
	}
	index, ok := s.order.Standby(s.current.source, now)
	if !ok {
		return
	}
	if _, ok = s.host.breaker.Admit(s.spec.Sources[index].Origin(), s.id, now); ok {
		s.beside = startRun(s.host, s.spec, index, freshCounters(s.spec), s.wake)
		s.beside.standby = true
	}
}

// awaitBeside puts the next start off while the child beside may take over.
func (s *Stream) awaitBeside(now time.Time) {
	if b := s.beside; b != nil && s.replacement == nil && (b.standby || b.wholeSets() > 0) {
		s.startAt = later(s.startAt, now.Add(standbyLimit))
	}
}
