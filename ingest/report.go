package ingest

import (
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/ingest/segment"
)

// Status is what an operator sees of the stream.
func (s *Stream) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Usage = s.host.confiner.usage.of(s.id)
	st.Restarts, st.Void = maps.Clone(st.Restarts), maps.Clone(st.Void)
	st.Renditions, st.Log = slices.Clone(st.Renditions), slices.Clone(st.Log)
	if r := s.visible.Load(); r != nil {
		// The living child's lines; until it has any, the last one's.
		if lines := r.lines(); len(lines) > 0 {
			st.Log = lines
		}
	}
	return st
}

func (s *Stream) setState(state State, reason Reason) {
	s.mu.Lock()
	changed := s.status.State != state || s.status.Reason != reason
	if changed {
		s.status.State, s.status.Reason, s.status.Since = state, reason, time.Now()
	}
	s.mu.Unlock()
	if changed {
		s.host.metrics.State(s.id, state)
		s.log.Info("stream state changed", zap.String("state", string(state)), zap.String("reason", string(reason)))
	}
}

func (s *Stream) reason() Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.Reason
}

func (s *Stream) countEnd(reason Reason) {
	if reason == ReasonNone {
		return
	}
	s.mu.Lock()
	s.status.Restarts[reason]++
	s.mu.Unlock()
	s.host.metrics.Restarted(s.id, reason)
}

// RingBytes is the memory of the stream's segments, as in its status.
func (s *Stream) RingBytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.RingBytes
}

// keepLines keeps the last words of a child that ended.
func (s *Stream) keepLines(r *run) {
	lines := r.lines()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(lines) > 0 {
		s.status.Log = lines
	}
}

// report brings the status up to date with the current run.
func (s *Stream) report() {
	numbers := s.publisher.now
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.status
	st.LastMSN, st.DiscontinuitySequence, st.LastSegmentAt = numbers.msn, numbers.discontinuity, numbers.at
	st.RingBytes, st.Renditions = s.publisher.ringBytes(), s.publisher.measured
	st.PID, st.Speed, st.Cores, st.Standby = 0, 0, 0, ""
	if b := s.beside; b != nil {
		st.Standby = b.spec.Sources[b.source].String()
	}
	if s.current == nil {
		return
	}
	st.PID, st.Speed, st.Cores = s.current.pid(), float64(s.current.speed.Load())/1000, s.current.cores
	st.Source, st.SourceIndex = s.current.spec.Sources[s.current.source].String(), s.current.source
}

func (s *Stream) countLost(lost map[segment.VoidReason]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cause, n := range lost {
		s.status.Void[string(cause)] += n
	}
}
