package edge

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/headrace/headrace/caddymodule/session"
	"github.com/headrace/headrace/controlapi/probe"
	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/process"
	"github.com/headrace/headrace/ingest/rtmp"
)

// sessionLimit bounds the session table.
const sessionLimit = 200_000

// childGrace is what an FFmpeg has to end by itself: it does within 20 ms, and an
// exit of the edge, after Caddy's grace period of 10 s, must be over in 12 s.
const childGrace = 1500 * time.Millisecond

// hosts holds the one Host of the process while a configuration uses it.
var hosts = caddy.NewUsagePool()

// hostKey is what the Host is known by in its pool. It is constant: a reload
// that renames the edge must find the one that runs, and be refused by it.
const hostKey = "edge"

// Host is what outlives a reload: the engine with its FFmpeg processes and
// segments, the sessions, the counters, and what is in force. There is one per
// process. Its exported methods take no lock and may be called by many
// goroutines at once.
type Host struct {
	counters   *Counters
	collectors []prometheus.Collector
	sessions   *session.Table
	logs       *currentLog
	egress     meter
	publishers atomic.Pointer[rtmp.Server]
	credential credential

	opened     chan struct{} // closed once a configuration runs
	engine     atomic.Pointer[ingest.Engine]
	configured atomic.Pointer[configuration]
	inForce    atomic.Pointer[generation]
	draining   atomic.Bool

	// mu makes starts, stops and new documents follow each other; the rest is theirs.
	mu sync.Mutex
	// started holds the configurations that run, newest last: one, or two while
	// Caddy changes over.
	started []*configuration
	// control is whose documents are followed.
	control controlHost
	// push is where encoders connect.
	push pushHost
	// memory is the goroutine that governs it, endMemory ends it.
	memory    sync.WaitGroup
	endMemory context.CancelFunc
}

func newHost() *Host {
	h := &Host{
		opened:   make(chan struct{}),
		counters: newCounters(),
		sessions: session.NewTable(sessionLimit),
		logs:     newCurrentLog(),

		credential: credential{gate: probe.NewGate()},
	}
	h.collectors = []prometheus.Collector{h.counters, gauges{h}}
	return h
}

// loadHost returns the process's Host, which is held until releaseHost.
func loadHost() (*Host, error) {
	h, _, err := hosts.LoadOrNew(hostKey, func() (caddy.Destructor, error) { return newHost(), nil })
	if err != nil {
		return nil, err
	}
	return h.(*Host), nil
}

func releaseHost() error {
	_, err := hosts.Delete(hostKey)
	return err
}

// Engine carries the streams. It is nil before an app has started and after the
// last one has stopped.
func (h *Host) Engine() *ingest.Engine { return h.engine.Load() }

// Verifier checks tokens with the keys in force; nil if nothing is in force.
func (h *Host) Verifier() *token.Verifier {
	if g := h.inForce.Load(); g != nil {
		return g.verifier
	}
	return nil
}

// Await waits until a configuration runs, ctx is done or the limit has passed. Caddy may
// open its ports before the edge has started: a viewer who comes in between waits,
// instead of being sent away. Nobody waits for the first document of a control plane,
// which nobody knows when to expect.
func (h *Host) Await(ctx context.Context, limit time.Duration) {
	if h.configured.Load() != nil {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-h.opened:
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Document tells the edge what to do, here without the secrets of its keys; nil
// if nothing is in force. It is shared: do not change it.
func (h *Host) Document() *snapshot.Document {
	if g := h.inForce.Load(); g != nil {
		return g.document
	}
	return nil
}

// Node is what the configuration that runs says of the node itself; zero if there is
// none.
func (h *Host) Node() Node {
	if c := h.configured.Load(); c != nil {
		return c.node
	}
	return Node{}
}

// Sessions tells who is watching.
func (h *Host) Sessions() *session.Table { return h.sessions }

// Counters counts requests and what happens to streams.
func (h *Host) Counters() *Counters { return h.counters }

// Egress is what the edge sends, in bits per second of bodies, measured between
// this call and an earlier one that was at least a second ago.
func (h *Host) Egress() float64 {
	return 8 * h.egress.rate(time.Now(), h.counters.SentBytes())
}

// Draining reports whether an operator wants new viewers to go elsewhere. Those
// who watch go on. It outlives a reload, not the process.
func (h *Host) Draining() bool { return h.draining.Load() }

// SetDraining begins or ends draining.
func (h *Host) SetDraining(on bool) { h.draining.Store(on) }

// start makes a configuration the one that runs. On an error the one before stays.
func (h *Host) start(c *configuration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.engine.Load() == nil {
		if err := h.open(c); err != nil {
			return err
		}
	}
	if err := h.change(c); err != nil {
		if len(h.started) == 0 {
			h.close()
		}
		return err
	}
	h.started = append(h.started, c)
	return nil
}

// open starts an engine that carries nothing yet.
func (h *Host) open(c *configuration) error {
	h.logs.use(c.logger)
	if err := process.Harden(); err != nil {
		c.logger.Warn("preparing the process for its children", zap.Error(err))
	}
	log := zap.New(h.logs).Named(string(App{}.CaddyModule().ID))
	h.push.open(h.pushOptions(log))
	e, err := ingest.New(ingest.Options{
		StateDir:        c.node.State,
		FFmpeg:          c.node.FFmpeg,
		StartsPerSecond: c.node.StartsPerSecond,
		Logger:          log,
		Metrics:         h.counters,
		Viewers:         h.sessions.Viewers,
		Pushes:          h.push.server,
		Grace:           childGrace,
		Sandbox:         c.node.Sandbox,
		Hardware:        ffmpeg.Hardware{Kind: ffmpeg.HardwareKind(c.node.HWAccel.Kind), Device: c.node.HWAccel.Device},
	})
	if err != nil {
		return fmt.Errorf("starting edge %q: %w", c.node.ID, err)
	}
	h.engine.Store(e)
	h.publishers.Store(h.push.server)
	ctx, cancel := context.WithCancel(context.Background())
	h.endMemory = cancel
	h.memory.Go(func() { governMemory(ctx, e.RingBytes) })
	h.memory.Go(func() { settle(ctx, log) })
	return nil
}

// change makes c the configuration that runs, or leaves all as it is.
func (h *Host) change(c *configuration) error {
	if n := len(h.started); n > 0 {
		if err := h.started[n-1].checkReload(c); err != nil {
			return err
		}
	}
	undo, err := h.push.listen(c.listeners)
	if err != nil {
		return err
	}
	follow, err := h.putDocument(c)
	if err != nil {
		undo()
		return err
	}
	h.logs.use(c.logger)
	h.configured.Store(c)
	h.push.use(c.listeners)
	h.follow(follow)
	select {
	case <-h.opened:
	default:
		close(h.opened)
	}
	return nil
}

// putDocument puts the document in force that c has, or that its control plane has sent,
// and returns who is to follow that from here on; nil: nobody. Until the first document
// of a control plane has come, what is in force stays.
func (h *Host) putDocument(c *configuration) (*following, error) {
	if c.control == nil {
		return nil, h.put(c.own)
	}
	f, err := h.control.prepare(h, c)
	if err != nil {
		return nil, err
	}
	if doc := h.control.document; doc != nil {
		g, err := newGeneration(c, doc)
		if err != nil {
			return nil, fmt.Errorf("with %v: %w", doc, err)
		}
		return f, h.put(g)
	}
	f.boot(func(doc *snapshot.Document) error { return h.take(c, doc) })
	return f, nil
}

// take puts a document of the control plane in force, under a configuration.
func (h *Host) take(c *configuration, doc *snapshot.Document) error {
	g, err := newGeneration(c, doc)
	if err != nil {
		return err
	}
	if err := h.put(g); err != nil {
		return err
	}
	h.control.document = doc
	return nil
}

// put puts a generation in force, or leaves all as it is. The engine comes first: it may
// refuse, and its streams must be there before tokens for them are good.
func (h *Host) put(g *generation) error {
	engine := h.engine.Load()
	engine.SetPolicy(g.node.Guard)
	if err := engine.Apply(g.specs); err != nil {
		if before := h.configured.Load(); before != nil {
			engine.SetPolicy(before.node.Guard)
		}
		return fmt.Errorf("applying the streams: %w", err)
	}
	h.inForce.Store(g)
	g.logger.Info("configuration is in force", zap.String("edge_id", g.node.ID), zap.Stringer("snapshot_version", g.document.Name()),
		zap.Int("streams", len(g.specs)), zap.Int("keys", len(g.document.Keys)))
	return nil
}

// stop takes a configuration away. After a reload that is the older one, and
// nothing changes. If it is the newest, another app of the same one failed
// to start, and the configuration before runs again. After the last one
// all goes on until the Host is destroyed: Caddy stops its apps one by one, and
// requests that the server is still finishing want their segments. A configuration
// that does not run is none of these.
func (h *Host) stop(c *configuration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(h.started, c)
	if i < 0 {
		return
	}
	h.started = slices.Delete(h.started, i, i+1)
	if i < len(h.started) || i == 0 {
		return
	}
	if err := h.change(h.started[i-1]); err != nil {
		c.logger.Error("putting the configuration before in force again failed; restart the edge", zap.Error(err))
	}
}

// close stops every FFmpeg and frees the state folder. Requests find no engine
// from here on.
func (h *Host) close() {
	h.follow(nil)
	h.publishers.Store(nil)
	h.push.close()
	e := h.engine.Swap(nil)
	h.inForce.Store(nil)
	h.configured.Store(nil)
	if e != nil {
		e.Close()
		h.endMemory()
		h.memory.Wait()
	}
}

// Destruct implements caddy.Destructor. The pool calls it when no configuration
// holds the Host; the last Stop has closed it by then.
func (h *Host) Destruct() error {
	h.mu.Lock()
	h.started = nil
	h.close()
	h.mu.Unlock()
	h.control.running.Wait() // a follower that is about to apply a document waits for the lock
	return nil
}

// Interface guard
var _ caddy.Destructor = (*Host)(nil)
