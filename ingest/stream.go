package ingest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/ingest/process"
	"github.com/headrace/headrace/ingest/source"
)

// tick is how often a stream looks at its child when nothing happens.
const tick = 100 * time.Millisecond

// Stream is one live stream. A goroutine of its own makes every decision; what
// others see of it is a View, swapped atomically, and a Status.
type Stream struct {
	id   string
	host *childHost
	log  *zap.Logger

	target atomic.Int64 // target duration
	view   atomic.Pointer[View]
	wakes  chan struct{}
	asks   chan func() // what others want of the goroutine
	cancel context.CancelFunc
	done   chan struct{}

	visible atomic.Pointer[run] // the current run, for Status
	demand  demand

	mu     sync.Mutex
	status Status

	// What follows belongs to the goroutine.
	spec        *StreamSpec
	order       *source.Order
	publisher   *publisher
	current     *run
	beside      *run         // a child that may take the current one's place
	replacement *replacement // a new configuration that waits for its child to deliver
	startAt     time.Time    // when the next start is due while there is no current run
	queue       []set        // sets that wait for their time, all of the current configuration
	pace        pacer
	silent      time.Duration // how long the current run has delivered no byte
	began       time.Time     // when the current run's child was seen alive
	nextCensus  time.Time     // when a stream on demand looks for viewers again
}

func newStream(host *childHost, spec *StreamSpec) (*Stream, error) {
	p, err := newPublisher(host, spec)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Stream{
		id: spec.ID, host: host, log: host.log.With(zap.String("stream_id", spec.ID)),
		wakes: make(chan struct{}, 1), asks: make(chan func()), cancel: cancel, done: make(chan struct{}),
		spec: spec, publisher: p,
	}
	s.order = newOrder(spec)
	s.demand.init()
	s.target.Store(int64(spec.TargetDuration()) * int64(time.Second))
	s.view.Store(&View{changed: make(chan struct{})})
	s.status = Status{ID: spec.ID, State: StateWaiting, Since: time.Now(), Restarts: map[Reason]int64{}, Void: map[string]int64{}}
	if spec.IdleAfter == 0 {
		s.setState(StateStarting, ReasonNone)
	}
	go s.live(ctx)
	return s, nil
}

func newOrder(spec *StreamSpec) *source.Order {
	order := source.NewOrder(len(spec.Sources), func() source.Policy { return process.NewBackoff(nil) })
	for i, src := range spec.Sources {
		if src.Kind() == source.Push {
			order.Attend(i, false, time.Time{}) // until one is seen
		}
	}
	return order
}

// ID names the stream.
func (s *Stream) ID() string { return s.id }

// TargetDuration is EXT-X-TARGETDURATION.
func (s *Stream) TargetDuration() time.Duration { return time.Duration(s.target.Load()) }

// View is what viewers see now; never nil.
func (s *Stream) View() *View { return s.view.Load() }

// live is the stream's goroutine.
func (s *Stream) live(ctx context.Context) {
	defer close(s.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			s.shut()
			return
		case ask := <-s.asks:
			ask()
		case <-s.wakes:
		case <-timer.C:
		}
		now := time.Now()
		s.attend(now)
		s.collect(now)
		s.publish(now)
		s.bury(now)
		s.buryBeside(now)
		s.watch(now)
		s.replaceLate(now)
		s.rest(now)
		s.hold()
		s.begin(now)
		s.beginStandby(now)
		s.beginBeside(now)
		s.report()
		timer.Reset(s.nextLook(time.Now()))
	}
}

// nextLook is how long the goroutine may sleep if nobody wakes it.
func (s *Stream) nextLook(now time.Time) time.Duration {
	next := now.Add(tick)
	if len(s.queue) > 0 && s.pace.due().Before(next) {
		next = s.pace.due()
	}
	if s.current == nil && s.startAt.Before(next) && !s.demand.idle.Load() {
		next = s.startAt
	}
	return max(next.Sub(now), time.Millisecond)
}

func (s *Stream) wake() {
	select {
	case s.wakes <- struct{}{}:
	default:
	}
}

// do has the goroutine carry f out and waits for it; false if the stream is gone.
func (s *Stream) do(f func()) bool {
	finished := make(chan struct{})
	select {
	case s.asks <- func() { f(); close(finished) }:
		<-finished
		return true
	case <-s.done:
		return false
	}
}

// collect takes the sets that runs have made. A child beside that delivers takes
// the current one's place, at the seam of two segments.
func (s *Stream) collect(now time.Time) {
	if s.beside != nil && s.proven(now) {
		s.promote(now)
	}
	if s.current != nil {
		s.queue = append(s.queue, s.current.take()...)
		s.countLost(s.current.takeLost())
	}
}

// publish lists the sets whose time has come.
func (s *Stream) publish(now time.Time) {
	for len(s.queue) > 0 {
		if s.queue[0].breaks {
			s.pace.restart()
		}
		if s.pace.due().After(now) {
			return
		}
		s.publishNext(now)
	}
}

// publishNext lists the first set of the queue.
func (s *Stream) publishNext(now time.Time) {
	next := s.queue[0]
	s.queue[0] = set{}
	s.queue = s.queue[1:]
	next.left()
	view, bytes := s.publisher.publish(next, now)
	s.pace.listed(now, next.pieces[0].Duration)
	s.setState(StateLive, ReasonNone)
	s.report()
	s.show(view)
	s.host.metrics.Published(s.id, bytes)
	s.order.Running(next.from.source)
}

// show makes a view the one that viewers see.
func (s *Stream) show(v *View) {
	old := s.view.Swap(v)
	close(old.changed)
}

// bury looks for a run that has ended and sets the time of the next start.
func (s *Stream) bury(now time.Time) {
	if s.current == nil || !isClosed(s.current.done) {
		return
	}
	ended := s.current
	s.queue = append(s.queue, ended.take()...)
	reason, delivered, startErr := ended.end()
	s.running(nil)
	s.startAt = now
	if reason == ReasonOriginDown {
		return // there was no child yet
	}
	s.countEnd(reason)
	s.settle(ended, reason, delivered, now)
	if reason != ReasonOperator {
		s.order.Ended(ended.source, now, delivered)
		_, s.startAt = s.order.Next(now)
	}
	s.awaitBeside(now)
	s.logEnd(ended, reason, delivered, startErr, s.startAt.Sub(now))
	s.keepLines(ended)
	if s.order.Failed() {
		s.setState(StateFailed, reason)
	} else {
		s.setState(StateWaiting, reason)
	}
	if s.spec.IdleAfter > 0 && !delivered && s.startAt.After(now) && !s.View().Ready() {
		s.demand.fail()
	}
}

// running makes r the current run; nil: there is none.
func (s *Stream) running(r *run) {
	s.current = r
	s.visible.Store(r)
	s.began, s.silent = time.Time{}, 0
}

func (s *Stream) logEnd(r *run, reason Reason, delivered bool, startErr error, backoff time.Duration) {
	fields := []zap.Field{
		zap.String("reason", string(reason)), zap.Stringer("source", r.spec.Sources[r.source]),
		zap.Bool("delivered", delivered), zap.Duration("backoff", backoff),
	}
	if startErr != nil {
		fields = append(fields, zap.Error(startErr))
	}
	if c := r.child.Load(); c != nil {
		exit := c.Exit()
		fields = append(fields, zap.Int("pid", c.PID()), zap.Int("exit_code", exit.Code), zap.String("signal", signalName(exit)))
	}
	if lines := r.lines(); len(lines) > 0 && !delivered {
		fields = append(fields, zap.String("last_line", lines[len(lines)-1].Text))
	}
	s.log.Warn("child of stream ended", fields...)
}

func signalName(exit process.Exit) string {
	if exit.Signal == 0 {
		return ""
	}
	return exit.Signal.String()
}

// watch ends a child whose output is no longer that of a live stream.
func (s *Stream) watch(now time.Time) {
	if s.current == nil || s.current.child.Load() == nil {
		return
	}
	if s.began.IsZero() {
		s.began = now
	}
	if s.current.queued.Load() >= backlog {
		return // its pipes are left unread on purpose
	}
	v := s.current.vitals(now, s.began)
	w := newWatchdog(s.spec)
	excused := s.current.excuse(w.late(now, v))
	s.silent = now.Sub(later(v.lastByte, s.began)) - excused
	if now.Sub(v.lastByte) < time.Second {
		s.host.breaker.Answered(s.current.origin())
	}
	if v.blind > s.TargetDuration() && !v.lastByte.IsZero() {
		s.setState(StateNoKeyframe, ReasonNoKeyframe)
	}
	if reason := w.verdict(now.Add(-excused), v); reason != ReasonNone {
		s.current.stop(reason, true)
	}
}

// begin starts a child when there is none and its time has come.
func (s *Stream) begin(now time.Time) {
	if s.current != nil || s.startAt.After(now) || s.demand.idle.Load() {
		return
	}
	index, at := s.next(now)
	if index == source.Nobody {
		s.setState(StateWaiting, ReasonNoPublisher)
		s.demand.fail()
	}
	if at.After(now) {
		s.startAt = at
		return
	}
	s.running(startRun(s.host, s.spec, index, s.publisher.counters(), s.wake))
	if !s.order.Failed() {
		s.setState(StateStarting, s.reason())
	}
}

// restart ends the current child because an operator wants it. It also forgets
// what failed before.
func (s *Stream) restart() {
	s.order = newOrder(s.spec)
	s.startAt = time.Time{}
	if s.current != nil {
		s.current.stop(ReasonOperator, false)
	}
}

// shut ends everything and waits until it has ended.
func (s *Stream) shut() {
	for _, r := range []*run{s.current, s.beside} {
		if r != nil {
			r.stop(ReasonChanged, false)
		}
	}
	for _, r := range []*run{s.current, s.beside} {
		if r != nil {
			<-r.done
			r.discard()
		}
	}
	s.dropQueue()
	s.setState(StateStopped, ReasonNone)
	s.host.metrics.Removed(s.id)
	s.host.confiner.usage.forget(s.id)
	s.publisher.close()
}

func (s *Stream) dropQueue() {
	for _, q := range s.queue {
		q.release()
	}
	s.queue = nil
	s.pace.restart()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
