package ingest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/guard"
	"github.com/headrace/headrace/ingest/process"
	"github.com/headrace/headrace/ingest/segment"
)

// set is the pieces of all renditions at one place of a run's cut list.
type set struct {
	from   *run
	pieces []segment.Piece // in the order of the run's renditions
	breaks bool            // a discontinuity belongs before it
}

func (s set) release() {
	for i := range s.pieces {
		s.pieces[i].Release()
	}
	s.left()
}

// left tells the run that the set no longer waits.
func (s set) left() { s.from.queued.Add(-1) }

// arrived is when its first byte came in.
func (s set) arrived() time.Time {
	first := s.pieces[0].Arrived
	for _, p := range s.pieces[1:] {
		if p.Arrived.Before(first) {
			first = p.Arrived
		}
	}
	return first
}

// run is one FFmpeg process of a stream, from the wait for its start to its end,
// and the sets of segments that it makes. Sets are whole: what one rendition
// lost is dropped in all, so that numbers match across renditions.
//
// Its goroutines only hand over what they made; every decision is the stream's.
type run struct {
	spec     *StreamSpec
	source   int
	host     *childHost
	counters []*segment.Counters // of the renditions, for the sequence of continuity counters
	wake     func()              // tells the stream that there is news; must not block

	ctx     context.Context //nolint:containedctx // the run's own life, which its goroutines share
	cancel  context.CancelFunc
	done    chan struct{} // closed when the child is reaped and every reader has ended
	cutters []*segment.Cutter
	cores   float64 // that the child keeps busy, by estimate

	// Of the stream's goroutine: when its output last waited for a keyframe, and when
	// sound and picture were last together.
	waited, together time.Time
	// Of a run beside the current one: whether it is a standby, since when it is there
	// and since when it delivers.
	standby         bool
	begun, delivers time.Time

	child  atomic.Pointer[process.Child]
	way    atomic.Pointer[guard.Proxy] // to a source of http; nil: the child needs none
	speed  atomic.Uint64               // ×1000
	queued atomic.Int32                // whole sets that nobody has listed or dropped yet
	kill   atomic.Bool                 // end it by SIGKILL

	mu       sync.Mutex
	asked    Reason // why we ended it; ReasonNone: we did not
	ended    Reason // why it ended, valid once done is closed
	partial  map[int]*partial
	ready    []set
	whole    int // sets that were whole so far
	breaks   bool
	lost     map[segment.VoidReason]int64
	startErr error
	feedErr  error
	// feedEndedAt is when feedErr ended the feed.
	feedEndedAt time.Time

	cell *cell // what confines the child; nil before it is started
}

// partial is a set that some renditions have not delivered yet.
type partial struct {
	pieces []segment.Piece
	have   int
	void   segment.VoidReason
	breaks bool
}

// backlog is how many whole sets a run may be ahead of the listing before its
// pipes are left unread. A source that is faster than time, a file behind an http
// URL say, is slowed down by that.
const backlog = 12

// startRun begins a run. The caller watches done and wake.
func startRun(host *childHost, spec *StreamSpec, source int, counters []*segment.Counters, wake func()) *run {
	r := &run{
		spec: spec, source: source, host: host, counters: counters, wake: wake,
		done:    make(chan struct{}),
		partial: make(map[int]*partial),
		lost:    make(map[segment.VoidReason]int64),
		breaks:  true, begun: time.Now(),
	}
	r.cores = host.job(spec, source, 0, "", false).Cores()
	r.ctx, r.cancel = context.WithCancel(context.Background())
	timeline := segment.NewTimeline(spec.SegmentDuration, time.Duration(spec.TargetDuration())*time.Second)
	for i := range spec.Renditions {
		c, err := segment.NewCutter(segment.CutterOptions{Timeline: timeline, Counters: counters[i]})
		if err != nil {
			r.startErr = fmt.Errorf("preparing rendition %q: %w", spec.Renditions[i].Name, err)
			break
		}
		r.cutters = append(r.cutters, c)
	}
	go r.live()
	return r
}

// live is the run's life.
func (r *run) live() {
	defer r.wake()
	defer close(r.done)
	defer r.closeWay()
	defer r.cancel()
	child, err := r.start()
	if err != nil {
		for _, c := range r.cutters {
			c.Close()
		}
		r.finish(nil, err)
		return
	}
	var readers sync.WaitGroup
	readers.Go(func() { r.readProgress(child.Pipe(0)) })
	for i := range r.cutters {
		readers.Go(func() { r.readRendition(i, child.Pipe(1+i)) })
	}
	readers.Go(func() { r.watchLimits(child) })
	r.wake()
	select {
	case <-child.Done():
	case <-r.ctx.Done():
		if r.kill.Load() {
			child.Kill()
		}
		child.Stop()
	}
	readers.Wait()
	r.finish(child, nil)
}

func (r *run) start() (*process.Child, error) {
	if r.startErr != nil {
		return nil, r.startErr
	}
	if err := r.host.limiter.Wait(r.ctx, func() int { return r.host.viewers(r.spec.ID) }); err != nil {
		return nil, err
	}
	now := time.Now()
	// A generated source counts on from the time of day, so that its timestamps go
	// on after a restart as a real source's would.
	timeline := time.Duration(now.Unix()%86400) * time.Second
	list, err := r.writeList()
	if err != nil {
		return nil, err
	}
	way, err := r.openWay()
	if err != nil {
		return nil, err
	}
	stdin, opus, err := r.openFeed()
	if err != nil {
		return nil, err
	}
	child, err := r.launch(list, process.Spec{
		Stdin: stdin, Path: r.host.path, Args: r.host.job(r.spec, r.source, timeline, list, opus).Args(), Env: append(childEnvironment(), way...),
		Pipes: 1 + len(r.spec.Renditions), PipeSize: 1 << 20,
		Grace: r.host.grace, Records: r.host.records, Name: r.spec.ID,
	})
	if err != nil {
		return nil, err
	}
	if warning := child.Warning(); warning != nil {
		r.host.log.Warn("child runs without some of its protection", zap.String("stream_id", r.spec.ID), zap.Error(warning))
	}
	r.child.Store(child)
	r.host.metrics.Started(r.spec.ID)
	return child, nil
}

// writeList writes what a looped source is read from and gives its path.
func (r *run) writeList() (path string, err error) {
	loop := r.spec.Sources[r.source].Loop()
	if loop == "" {
		return "", nil
	}
	path = filepath.Join(r.host.lists, fmt.Sprintf("%s.%d", r.spec.ID, r.source))
	if err := os.WriteFile(path, []byte(loop), 0o600); err != nil {
		return "", fmt.Errorf("writing the list of a looped file: %w", err)
	}
	return path, nil
}

// childEnvironment is all that FFmpeg sees of ours: no_proxy and its like would
// change where it connects to.
func childEnvironment() []string {
	env := []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	if tz := os.Getenv("TZ"); tz != "" {
		env = append(env, "TZ="+tz)
	}
	return env
}

// stop asks the run to end for a reason of ours and does not wait. kill spares
// the grace, for a child that does not react.
func (r *run) stop(reason Reason, kill bool) {
	r.mu.Lock()
	if r.asked == ReasonNone {
		r.asked = reason
	}
	r.mu.Unlock()
	if kill {
		r.kill.Store(true)
	}
	r.cancel()
}

func (r *run) finish(child *process.Child, startErr error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.startErr = startErr
	defer r.dropPartial()
	trouble := r.trouble()
	switch {
	case r.asked == ReasonNoOutput && trouble != nil:
		r.ended = Reason(trouble.err.Failure) // which is why there was none
	case r.asked != ReasonNone:
		r.ended = r.asked
	case startErr != nil && r.ctx.Err() != nil:
		r.ended = ReasonNone // the stream itself is going
	case failureOf(startErr) != ffmpeg.FailureNone:
		r.ended = Reason(failureOf(startErr))
	case startErr != nil:
		r.ended = ReasonStartFailed
	case trouble != nil && child.Exit().Signal == 0:
		r.ended = Reason(trouble.err.Failure)
	default:
		r.ended = exitReason(child.Exit(), r.childLines())
	}
	r.ended = r.cell.blame(r.ended)
}

// dropPartial gives up the sets that not every rendition has delivered. r.mu is held.
func (r *run) dropPartial() {
	for _, p := range r.partial {
		for i := range p.pieces {
			p.pieces[i].Release()
		}
	}
	clear(r.partial)
}

// exitReason names why a child ended that we did not end.
func exitReason(exit process.Exit, lines []LogLine) Reason {
	if exit.Signal != 0 {
		return ReasonKilled
	}
	texts := make([]string, len(lines))
	for i, l := range lines {
		texts[i] = l.Text
	}
	if f := ffmpeg.Classify(texts); f != ffmpeg.FailureNone {
		return Reason(f)
	}
	if exit.Code == 0 {
		return ReasonSourceEnded
	}
	return ReasonExit
}

func (r *run) readProgress(pipe *os.File) {
	defer func() { _ = pipe.Close() }()
	var parser ffmpeg.ProgressParser
	lines := bufio.NewReaderSize(pipe, 4096)
	for {
		line, err := lines.ReadSlice('\n')
		if p, ok := parser.Line(string(line)); ok {
			r.speed.Store(uint64(p.Speed * 1000))
		}
		if err != nil && err != bufio.ErrBufferFull { //nolint:errorlint // ReadSlice gives the bare value
			return
		}
	}
}

// readRendition moves one pipe's bytes straight into the growing segment.
func (r *run) readRendition(i int, pipe *os.File) {
	defer func() { _ = pipe.Close() }()
	cutter := r.cutters[i]
	defer cutter.Close()
	for {
		r.throttle()
		n, err := pipe.Read(cutter.Space())
		if n > 0 {
			for _, p := range cutter.Advance(n) {
				r.deliver(i, p)
			}
		}
		if err != nil {
			return
		}
	}
}

// throttle leaves the pipe unread while the run is too far ahead.
func (r *run) throttle() {
	if r.queued.Load() < backlog {
		return
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for r.queued.Load() >= backlog {
		select {
		case <-tick.C:
		case <-r.ctx.Done():
			return
		}
	}
}

// deliver takes a piece of rendition i; the last one completes its set.
func (r *run) deliver(i int, p segment.Piece) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry := r.partial[p.Index]
	if entry == nil {
		entry = &partial{}
		r.partial[p.Index] = entry
	}
	entry.have++
	entry.breaks = entry.breaks || p.Break
	if p.Void != "" {
		entry.void = p.Void
	} else {
		if entry.pieces == nil {
			entry.pieces = make([]segment.Piece, len(r.cutters))
		}
		entry.pieces[i] = p
	}
	if entry.have < len(r.cutters) {
		return
	}
	delete(r.partial, p.Index)
	r.complete(entry)
}

// complete takes a set that every rendition has delivered. r.mu is held.
func (r *run) complete(entry *partial) {
	defer r.wake()
	if entry.void != "" {
		r.lost[entry.void]++
		r.breaks = true
		for i := range entry.pieces {
			entry.pieces[i].Release()
		}
		return
	}
	r.ready = append(r.ready, set{from: r, pieces: entry.pieces, breaks: entry.breaks || r.breaks})
	r.breaks = false
	r.whole++
	r.queued.Add(1)
}

// take gives the sets that became whole since the last call.
func (r *run) take() []set {
	r.mu.Lock()
	defer r.mu.Unlock()
	sets := r.ready
	r.ready = nil
	return sets
}

// wholeSets is how many sets it has delivered so far.
func (r *run) wholeSets() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.whole
}

// discard drops what was delivered and not taken.
func (r *run) discard() {
	for _, s := range r.take() {
		s.release()
	}
}

// takeLost gives the sets that were lost since the last call, by cause.
func (r *run) takeLost() map[segment.VoidReason]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lost) == 0 {
		return nil
	}
	lost := r.lost
	r.lost = make(map[segment.VoidReason]int64)
	return lost
}

// end is how the run ended, and what the edge itself knows of why; valid once done
// is closed.
func (r *run) end() (reason Reason, delivered bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err = r.startErr
	if trouble := r.trouble(); err == nil && trouble != nil {
		err = trouble.err
	}
	// design.md, Failover: two segments since its start make a child that delivered.
	return r.ended, r.whole >= 2, err
}

// vitals are the signs of life of its output, which began at a time. Only the
// stream's goroutine asks.
func (r *run) vitals(now, began time.Time) vitals {
	v := vitals{started: began}
	waits, apart := false, false
	for i, c := range r.cutters {
		p := c.Progress()
		if i == 0 {
			v.lastByte, v.lastAdvance, v.lastPiece = p.LastByte, p.LastAdvance, p.LastPiece
		}
		v.lastByte = earlier(v.lastByte, p.LastByte)
		v.lastAdvance = earlier(v.lastAdvance, p.LastAdvance)
		v.lastPiece = earlier(v.lastPiece, p.LastPiece)
		waits = waits || p.Waiting
		apart = apart || drift(p) > driftLimit || drift(p) < -driftLimit
	}
	if !apart {
		r.together = now
	}
	v.apart = now.Sub(later(r.together, began))
	if waits {
		r.waited = now
		v.blind = max(now.Sub(later(v.lastPiece, began)), 1)
	}
	// Segments and pictures can be late only once there is a keyframe to begin with.
	v.lastPiece, v.lastAdvance = later(v.lastPiece, r.waited), later(v.lastAdvance, r.waited)
	return v
}

// drift is how far the picture is ahead of the sound.
func drift(p segment.Progress) time.Duration {
	if p.VideoDTS == 0 || p.AudioDTS == 0 {
		return 0
	}
	return time.Duration(p.VideoDTS-p.AudioDTS) * time.Second / 90_000
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// pid is the child's, 0 before its start.
func (r *run) pid() int {
	if c := r.child.Load(); c != nil {
		return c.PID()
	}
	return 0
}

// lines are the child's last ones, and what the edge knows of its source.
func (r *run) lines() []LogLine {
	lines := r.childLines()
	r.mu.Lock()
	defer r.mu.Unlock()
	if trouble := r.trouble(); trouble != nil {
		lines = append(lines, LogLine{Time: trouble.at, Text: "[source] " + trouble.err.Error()})
	}
	return lines
}

// childLines are the child's last ones with the source's secrets replaced.
func (r *run) childLines() []LogLine {
	child := r.child.Load()
	if child == nil {
		return nil
	}
	return redact(child.Lines(), r.spec.Sources[r.source].Secrets())
}
