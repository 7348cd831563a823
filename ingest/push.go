package ingest

import (
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/ingest/source"
)

// Pushes tells of the publishers of pushed streams. It may be asked by many at once.
type Pushes interface {
	// Presence tells whether a stream's publisher is there and sends; if not, until
	// when it is waited for before another source takes its place. Zero: there was none.
	Presence(stream string, now time.Time) (present bool, heldUntil time.Time)
	// Feed is the publisher's media; nil without one.
	Feed(stream string) source.Feed
}

// noPushes is an engine without a listener.
type noPushes struct{}

func (noPushes) Presence(string, time.Time) (present bool, heldUntil time.Time) {
	return false, time.Time{}
}

func (noPushes) Feed(string) source.Feed { return nil }

// Arrived tells a stream that its publisher came or left, so that it looks at once.
func (e *Engine) Arrived(id string) {
	if s := e.Lookup(id); s != nil {
		s.wake()
	}
}

// attend looks which of the stream's publishers are there.
func (s *Stream) attend(now time.Time) {
	if s.attendOrder(s.spec, s.order, now) {
		s.startAt = time.Time{}
	}
	if r := s.replacement; r != nil {
		s.attendOrder(r.spec, r.order, now)
	}
}

func (s *Stream) attendOrder(spec *StreamSpec, order *source.Order, now time.Time) (changed bool) {
	for i, src := range spec.Sources {
		if src.Kind() != source.Push {
			continue
		}
		present, heldUntil := s.host.pushes.Presence(s.id, now)
		if order.Attend(i, present, heldUntil) {
			changed = true
			s.log.Info("pushed source", zap.Bool("publisher", present))
		}
	}
	return changed
}
