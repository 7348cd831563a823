// Package ingest is the media engine: a source goes in, segments come out. It runs
// one supervised FFmpeg per stream, cuts what that writes into segments held in
// memory, and renders the playlists that list them.
//
// It knows no Caddy, no Consul and no SQL: it is told which streams to carry and
// serves what it has through Views.
package ingest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/guard"
	"github.com/headrace/headrace/ingest/process"
	"github.com/headrace/headrace/ingest/source"
)

// ErrNoStream says that the engine carries no stream of that id.
var ErrNoStream = errors.New("no such stream")

// ErrClosed says that the engine is closed.
var ErrClosed = errors.New("the engine is closed")

// Options is what an engine needs to be told.
type Options struct {
	// StateDir is the folder that it owns while it runs: numbers and child records.
	// It is made if missing, and locked.
	StateDir string
	// FFmpeg is the program; empty: "ffmpeg" on PATH.
	FFmpeg string
	// Logger takes state changes, ends of children and what an operator must act on.
	Logger *zap.Logger
	// Metrics is told what happens; nil: nobody is.
	Metrics Metrics
	// Pushes tells of publishers; nil: there are none, and pushed sources wait.
	Pushes Pushes
	// Viewers is how many viewers a stream has: those with more start first. nil: none have any.
	Viewers func(stream string) int
	// StartsPerSecond bounds the starts of children on this node; 0: twice the number of cores.
	StartsPerSecond int
	// RingBytes bounds the memory of one rendition's segments; 0: 256 MiB.
	RingBytes int64
	// Hardware encodes what is not copied; it is tried when the engine is opened. The
	// zero value is the processor.
	Hardware ffmpeg.Hardware
	// Grace is the time between a child's SIGTERM and SIGKILL; 0: 5 s.
	Grace time.Duration
	// Sandbox says how much of a sandbox children must have; empty: SandboxAuto.
	Sandbox SandboxMode
}

// childHost is what all streams of an engine share to run their children.
type childHost struct {
	path      string
	build     ffmpeg.Build
	hardware  ffmpeg.Hardware
	limiter   *process.Limiter
	grace     time.Duration
	records   string
	numbers   string
	lists     string
	ringBytes int64
	viewers   func(string) int
	metrics   Metrics
	breaker   *source.Breaker
	log       *zap.Logger
	pushes    Pushes
	guard     *guard.Guard
	confiner  *confiner
	buried    sync.WaitGroup
}

// bury waits, in the background, for a run that was asked to end.
func (h *childHost) bury(r *run) {
	h.buried.Go(func() {
		<-r.done
		r.discard()
	})
}

// Engine carries streams.
type Engine struct {
	host    *childHost
	state   *stateFolder
	streams atomic.Pointer[map[string]*Stream]

	mu     sync.Mutex // held by Apply and Close
	specs  map[string]*StreamSpec
	closed bool
}

// New opens the state folder, ends what an earlier life left running, and asks
// FFmpeg what it can do. Every error says what is wrong and what mends it.
func New(o Options) (*Engine, error) {
	o = o.withDefaults()
	path, err := locate(o.FFmpeg)
	if err != nil {
		return nil, err
	}
	state, err := openState(o.StateDir)
	if err != nil {
		return nil, err
	}
	build, err := detect(path, state.detected())
	if err == nil {
		err = probe(path, o.Hardware)
	}
	if err != nil {
		_ = state.close()
		return nil, err
	}
	confiner, err := openConfiner(o.Sandbox, o.StateDir, path, o.Logger)
	if err != nil {
		_ = state.close()
		return nil, err
	}
	orphans, err := process.ReapOrphans(state.children())
	if err != nil {
		o.Logger.Warn("some records of an earlier life could not be used", zap.Error(err))
	}
	for _, orphan := range orphans {
		o.Logger.Warn("ended a child that an earlier life left running", zap.String("stream_id", orphan.Name), zap.Int("pid", orphan.PID))
	}
	e := &Engine{
		host: &childHost{
			path: path, build: build, hardware: o.Hardware, limiter: process.NewLimiter(o.StartsPerSecond), grace: o.Grace,
			records: state.children(), numbers: state.numbers(), lists: state.lists(), ringBytes: o.RingBytes,
			viewers: o.Viewers, metrics: o.Metrics, log: o.Logger,
			pushes: o.Pushes,
			guard:  guard.New(guard.Policy{}),
		},
		state: state, specs: make(map[string]*StreamSpec),
	}
	e.host.confiner = confiner
	e.host.breaker = source.NewBreaker(e.originReturned)
	e.streams.Store(&map[string]*Stream{})
	o.Logger.Info("media engine is open", zap.String("ffmpeg", path), zap.String("ffmpeg_version", build.Version), zap.String("state", o.StateDir))
	return e, nil
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Metrics == nil {
		o.Metrics = NopMetrics{}
	}
	if o.Pushes == nil {
		o.Pushes = noPushes{}
	}
	if o.Viewers == nil {
		o.Viewers = func(string) int { return 0 }
	}
	if o.StartsPerSecond <= 0 {
		o.StartsPerSecond = 2 * runtime.NumCPU()
	}
	if o.RingBytes <= 0 {
		o.RingBytes = 256 << 20
	}
	return o
}

// Check tells what Apply would refuse, and does nothing.
func (e *Engine) Check(specs []StreamSpec) error {
	seen := make(map[string]bool, len(specs))
	for i := range specs {
		s := &specs[i]
		if err := errors.Join(s.check(), e.host.confiner.check(s)); err != nil {
			return err
		}
		if seen[s.ID] {
			return fmt.Errorf("stream %q is listed twice", s.ID)
		}
		seen[s.ID] = true
		for index := range s.Sources {
			if err := e.host.build.Check(e.host.job(s, index, source.Place{})); err != nil {
				return fmt.Errorf("stream %q: %w", s.ID, err)
			}
		}
	}
	return nil
}

// Apply makes the engine carry these streams and no others. A stream whose spec is
// equal to what it was is not touched; all specs are checked before any is applied.
func (e *Engine) Apply(specs []StreamSpec) error {
	if err := e.Check(specs); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	before := *e.streams.Load()
	after := make(map[string]*Stream, len(specs))
	wanted := make(map[string]*StreamSpec, len(specs))
	var started []*Stream
	for i := range specs {
		spec := specs[i]
		wanted[spec.ID] = &spec
		if s := before[spec.ID]; s != nil {
			after[spec.ID] = s
			continue
		}
		s, err := newStream(e.host, &spec)
		if err != nil {
			for _, s := range started {
				s.end()
			}
			return err
		}
		started = append(started, s)
		after[spec.ID] = s
	}
	e.streams.Store(&after)
	e.reconcile(before, after, wanted)
	return nil
}

// reconcile ends the streams that are gone and changes those that differ.
func (e *Engine) reconcile(before, after map[string]*Stream, wanted map[string]*StreamSpec) {
	var gone sync.WaitGroup
	for id, s := range before {
		if after[id] == nil {
			gone.Go(s.end)
			continue
		}
		if spec := wanted[id]; !spec.Equal(e.specs[id]) {
			s.do(func() { s.change(spec) })
		}
	}
	gone.Wait()
	e.specs = wanted
}

// Lookup finds a stream; nil if the engine carries none of that id.
func (e *Engine) Lookup(id string) *Stream { return (*e.streams.Load())[id] }

// Streams are all of them, by id.
func (e *Engine) Streams() []*Stream {
	return slices.SortedFunc(maps.Values(*e.streams.Load()), func(a, b *Stream) int { return strings.Compare(a.id, b.id) })
}

// RingBytes is the memory of all streams' segments.
func (e *Engine) RingBytes() (sum int64) {
	for _, s := range *e.streams.Load() {
		sum += s.RingBytes()
	}
	return sum
}

// Restart ends a stream's child and starts it anew, as an operator asked.
func (e *Engine) Restart(id string) error {
	s := e.Lookup(id)
	if s == nil || !s.do(s.restart) {
		return fmt.Errorf("%w: %q", ErrNoStream, id)
	}
	return nil
}

// originReturned tells the streams that they need not wait any longer.
func (e *Engine) originReturned(origin string) {
	e.host.log.Info("origin answers again", zap.String("origin", origin))
	for _, s := range e.Streams() {
		go s.do(func() { s.originReturned(origin) })
	}
}

// Confinement is what bounds the children.
func (e *Engine) Confinement() Confinement { return e.host.confiner.inForce() }

// SetPolicy says where sources may be from now on; at first that is the public
// internet alone.
func (e *Engine) SetPolicy(p guard.Policy) { e.host.guard.SetPolicy(p) }

// FFmpegVersion is the version that FFmpeg gives itself.
func (e *Engine) FFmpegVersion() string { return e.host.build.Version }

// Close ends every child, waits for them, and gives the state folder up.
func (e *Engine) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.closed = true
	var all sync.WaitGroup
	for _, s := range *e.streams.Load() {
		all.Go(s.end)
	}
	all.Wait()
	e.host.buried.Wait()
	e.streams.Store(&map[string]*Stream{})
	if err := e.host.confiner.close(); err != nil {
		e.host.log.Warn("leaving the control groups", zap.Error(err))
	}
	if err := e.state.close(); err != nil && !errors.Is(err, os.ErrClosed) {
		e.host.log.Warn("giving up the lock of the state folder", zap.Error(err))
	}
}

// end stops the stream and waits until nothing of it is left.
func (s *Stream) end() {
	s.cancel()
	<-s.done
}
