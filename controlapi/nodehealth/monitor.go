package nodehealth

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/probe"
	"github.com/headrace/headrace/controlapi/snapshot"
)

// Inventory knows which edges there are, and what they should have applied. Its answers
// are asked for every second.
type Inventory interface {
	ProbeTargets(ctx context.Context) ([]controlapi.ProbeTarget, error)
	ConfigVersion(ctx context.Context) (epoch, version int64, err error)
}

// Catalog is what Consul holds of the edges.
type Catalog interface {
	// Opinion answers at once from what is known.
	Opinion(edge string) Opinion
}

// Ballot is where the instances of the control plane tell each other which edges do not
// answer them.
type Ballot interface {
	// CastVotes leaves what an instance says, good until the lease has passed. It gives how
	// many instances are alive, this one among them, and how many of the others say so of
	// an edge.
	CastVotes(ctx context.Context, instance string, down []string, lease time.Duration) (instances int, others map[string]int, err error)
}

// Numbers keeps the highest numbers of the streams. RaiseNumbers never lowers one.
type Numbers interface {
	RaiseNumbers(ctx context.Context, numbers []controlapi.Numbers) error
}

// Options are what a Monitor works with.
type Options struct {
	// Instance is this instance's name among those of the control plane.
	Instance  string
	Inventory Inventory
	// Catalog, Ballot and Numbers may be nil: without Consul, as the only instance,
	// without a memory.
	Catalog Catalog
	Ballot  Ballot
	Numbers Numbers
	// Notify is told of each change, one after the other; nil: nobody is. It may take
	// its time.
	Notify func(context.Context, Change)
	// Interval is from one probe of an edge to the next. Default: 1 s.
	Interval time.Duration
	// Transport carries the probes; nil: one that goes straight to the edges and trusts
	// the system's certificates.
	Transport http.RoundTripper
	Logger    *zap.Logger
}

// lease is how long an instance's vote is good: it votes every second.
const lease = 3 * time.Second

// numbersEvery is how often numbers are written down, if they have risen.
const numbersEvery = time.Minute

// changeBacklog bounds the changes that wait to be told; more are logged and dropped.
const changeBacklog = 1024

// Monitor watches all edges. Make it with New, and let one goroutine Run it; the other
// methods may be called by any.
type Monitor struct {
	options Options
	client  *http.Client
	log     *zap.Logger

	events  chan func(now time.Time, f *fleet)
	reports sync.Map // edge id → report: the newest one of each
	view    atomic.Pointer[View]
	missing atomic.Pointer[[]string]
	changes chan Change

	mu      sync.Mutex
	changed chan struct{} // closed at the next change
}

type report struct {
	applied snapshot.Version
	health  snapshot.Health
}

// New makes a Monitor.
func New(o Options) *Monitor {
	if o.Interval <= 0 {
		o.Interval = defaultInterval
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	m := &Monitor{
		options: o, client: newClient(o.Transport), log: o.Logger.Named("nodehealth"),
		events: make(chan func(time.Time, *fleet), 256), changes: make(chan Change, changeBacklog), changed: make(chan struct{}),
	}
	m.view.Store(&View{})
	m.missing.Store(&[]string{})
	return m
}

// View is how all edges are now; before the first answers it is empty.
func (m *Monitor) View() *View { return m.view.Load() }

// Changed is closed when the state of an edge changes after this call.
func (m *Monitor) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// Report takes what an edge said of itself with its poll or acknowledgement, and which
// version it has applied. It never blocks.
func (m *Monitor) Report(edge string, applied snapshot.Version, health snapshot.Health) {
	m.reports.Store(edge, report{applied, health})
}

// Run watches until ctx is done, and returns when all that it started has ended.
func (m *Monitor) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { m.every(ctx, m.takeStock) })
	running.Go(func() { m.tellChanges(ctx) })
	if m.options.Ballot != nil {
		running.Go(func() { m.every(ctx, m.vote) })
	}
	watched := &watched{monitor: m, probers: make(map[string]*watch), running: &running}
	f := newFleet()
	tick := time.NewTicker(m.options.Interval / 2)
	defer tick.Stop()
	whole := time.NewTicker(m.options.Interval)
	defer whole.Stop()
	minute := time.NewTicker(numbersEvery)
	defer minute.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-m.events:
			event(time.Now(), f)
			m.drain(f)
		case <-tick.C:
		case <-whole.C:
			f.silent(time.Now())
		case <-minute.C:
			m.save(ctx, &running, f.numbers)
		}
		m.advance(f)
		watched.follow(ctx, f)
	}
}

// drain takes what else has happened meanwhile, so that one step serves all.
func (m *Monitor) drain(f *fleet) {
	for range len(m.events) {
		(<-m.events)(time.Now(), f)
	}
}

// advance moves the states on and publishes them.
func (m *Monitor) advance(f *fleet) {
	now := time.Now()
	m.reports.Range(func(edge, value any) bool {
		r := value.(report)
		f.report(now, edge.(string), r.applied, r.health)
		m.reports.CompareAndDelete(edge, value)
		return true
	})
	if m.options.Catalog != nil {
		for id, n := range f.nodes {
			n.opinion = m.options.Catalog.Opinion(id)
		}
	}
	changes := f.step(now)
	missing := f.missing(now)
	m.missing.Store(&missing)
	m.view.Store(f.view(now))
	if len(changes) == 0 {
		return
	}
	for _, c := range changes {
		m.announce(c)
	}
	m.mu.Lock()
	close(m.changed)
	m.changed = make(chan struct{})
	m.mu.Unlock()
}

// announce logs a change and queues it for whoever wants to know.
func (m *Monitor) announce(c Change) {
	c.Instance = m.options.Instance
	log := m.log.Info
	if c.To == Down || c.To == Quarantined {
		log = m.log.Warn
	}
	log("edge changed its state", zap.String("edge_id", c.EdgeID), zap.String("group", c.GroupID),
		zap.String("from", string(c.From)), zap.String("to", string(c.To)), zap.String("reason", string(c.Reason)))
	if m.options.Notify == nil {
		return
	}
	select {
	case m.changes <- c:
	default:
		m.log.Error("nobody takes the changes of edges; one is dropped", zap.String("edge_id", c.EdgeID))
	}
}

func (m *Monitor) tellChanges(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-m.changes:
			m.options.Notify(ctx, c)
		}
	}
}

// takeStock asks the inventory. When that cannot answer, all goes on with what is known.
func (m *Monitor) takeStock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	targets, err := m.options.Inventory.ProbeTargets(ctx)
	if err != nil {
		m.log.Warn("reading the inventory of edges failed; going on with what is known", zap.Error(err))
		return
	}
	epoch, version, err := m.options.Inventory.ConfigVersion(ctx)
	if err != nil {
		m.log.Warn("reading the version of the configuration failed; going on with what is known", zap.Error(err))
		return
	}
	m.send(ctx, func(now time.Time, f *fleet) {
		f.targets(now, targets)
		f.version(now, epoch, version)
	})
}

// vote tells the other instances which edges do not answer, and hears from them. An
// instance that cannot hear the others decides alone, but then it cannot move a stream
// either: that is written where the votes are.
func (m *Monitor) vote(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lease)
	defer cancel()
	instances, others, err := m.options.Ballot.CastVotes(ctx, m.options.Instance, *m.missing.Load(), lease)
	if err != nil {
		m.log.Warn("voting on edges failed; deciding alone", zap.Error(err))
	}
	m.send(ctx, func(_ time.Time, f *fleet) { f.tally = tally{instances, others} })
}

// save writes down what numbers have risen.
func (m *Monitor) save(ctx context.Context, running *sync.WaitGroup, n *numbers) {
	due := n.due()
	if m.options.Numbers == nil || len(due) == 0 {
		return
	}
	n.written(due)
	running.Go(func() {
		writing, cancel := context.WithTimeout(ctx, numbersEvery/2)
		defer cancel()
		if err := m.options.Numbers.RaiseNumbers(writing, due); err != nil {
			m.log.Warn("writing down the numbers of streams failed; trying again in a minute", zap.Int("streams", len(due)), zap.Error(err))
			m.send(ctx, func(_ time.Time, f *fleet) { f.numbers.lost(due) })
		}
	})
}

func (m *Monitor) send(ctx context.Context, event func(time.Time, *fleet)) {
	select {
	case m.events <- event:
	case <-ctx.Done():
	}
}

// every calls f at once and then once per interval, until ctx is done.
func (m *Monitor) every(ctx context.Context, f func(context.Context)) {
	tick := time.NewTicker(m.options.Interval)
	defer tick.Stop()
	for {
		f(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// watched are the probers that run: one for each edge that has joined and has an address.
type watched struct {
	monitor *Monitor
	probers map[string]*watch
	running *sync.WaitGroup
}

type watch struct {
	url  string
	key  probe.Key
	stop context.CancelFunc
}

// follow starts and ends probers as edges come, change and go.
func (w *watched) follow(ctx context.Context, f *fleet) {
	for id, p := range w.probers {
		n := f.nodes[id]
		if n == nil || !n.probed() || n.target.URL != p.url || probe.Key(n.target.ProbeKey) != p.key {
			p.stop()
			delete(w.probers, id)
		}
	}
	for id, n := range f.nodes {
		if w.probers[id] == nil && n.probed() {
			w.start(ctx, id, n.target)
		}
	}
}

func (w *watched) start(ctx context.Context, id string, t controlapi.ProbeTarget) {
	ctx, stop := context.WithCancel(ctx)
	key := probe.Key(t.ProbeKey)
	w.probers[id] = &watch{url: t.URL, key: key, stop: stop}
	p := &prober{edge: id, url: t.URL + "/-/health", key: key, client: w.monitor.client, interval: w.monitor.options.Interval}
	w.running.Go(func() {
		p.run(ctx, func(a answer) {
			w.monitor.send(ctx, func(now time.Time, f *fleet) {
				if a.err != nil {
					f.failed(id, a.err.Error())
					return
				}
				f.answered(now, id, a.document, a.took, a.offset)
			})
		})
	})
}
