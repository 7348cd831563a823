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
	"github.com/headrace/headrace/ingest/source"
)

// run is one FFmpeg process of a stream, from the wait for its start to its end,
// and the sets of segments that it makes. Sets are whole: what one rendition
// lost is dropped in all, so that numbers match across renditions.
//
// Its goroutines only hand over what they made; every decision is the stream's.
type run struct {
	assembler

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

	// Of the stream's goroutine: when its output last waited for a keyframe, when sound
	// and picture were last together, and what the child is excused for.
	waited, together time.Time
	patience         patience
	// Of a run beside the current one: whether it is a standby, since when it is there
	// and since when it delivers.
	standby         bool
	begun, delivers time.Time

	child atomic.Pointer[process.Child]
	way   atomic.Pointer[guard.Proxy] // to a source of http; nil: the child needs none
	speed atomic.Uint64               // ×1000
	kill  atomic.Bool                 // end it by SIGKILL

	mu       sync.Mutex
	asked    Reason // why we ended it; ReasonNone: we did not
	ended    Reason // why it ended, valid once done is closed
	startErr error
	feedErr  error
	// feedEndedAt is when feedErr ended the feed.
	feedEndedAt time.Time

	cell *cell // what confines the child; nil before it is started
}

// startRun begins a run. The caller watches done and wake.
func startRun(host *childHost, spec *StreamSpec, index int, counters []*segment.Counters, wake func()) *run {
	r := &run{
		spec: spec, source: index, host: host, counters: counters, wake: wake,
		done: make(chan struct{}), begun: time.Now(),
	}
	r.init(r, len(spec.Renditions))
	r.cores = host.job(spec, index, source.Place{}).Cores()
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
	started, err := r.host.limiter.Wait(r.ctx, func() int { return r.host.viewers(r.spec.ID) })
	if err != nil {
		return nil, err
	}
	defer started()
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
	job := r.host.job(r.spec, r.source, source.Place{Timeline: timeline, List: list, Opus: opus})
	child, err := r.launch(list, process.Spec{
		Stdin: stdin, Path: r.host.path, Args: job.Args(), Env: append(childEnvironment(), way...),
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
	return r.ended, r.wholeSets() >= 2, err
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
