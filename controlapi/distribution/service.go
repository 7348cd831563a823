// Package distribution gives the edges of each group the newest snapshot: it holds their
// polls until there is one, builds it once, and takes down what became of it.
package distribution

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/snapshot"
)

// Store is what the service needs of the database. Errors that an edge can do something
// about are controlapi.Errors.
type Store interface {
	// ConfigVersion is the newest version. It grows, within its epoch, with every
	// change that a snapshot shows.
	ConfigVersion(ctx context.Context) (epoch, version int64, err error)
	// Changed is closed when this process has committed a change that snapshots show.
	Changed() <-chan struct{}
	// Document reads the snapshot of a group at one moment: its version is that of
	// ConfigVersion at that moment.
	Document(ctx context.Context, group string) (*snapshot.Document, error)
	// AuthenticateEdge tells whose credential it is; CodeUnauthenticated: nobody's, or
	// not any more.
	AuthenticateEdge(ctx context.Context, credential string) (controlapi.EdgeIdentity, error)
	// RecordAck remembers what an edge did with a version.
	RecordAck(ctx context.Context, edgeID string, ack controlapi.Ack) error
	// RedeemJoinCode exchanges a join code, once, for the edge's credential.
	RedeemJoinCode(ctx context.Context, code string) (controlapi.Edge, controlapi.Secret, error)
}

// Times and bounds. They are the protocol's, and no options.
const (
	// pollEvery is how long a change that another instance made can go unnoticed.
	pollEvery = time.Second
	// leastGap lies between two looks at the version, so that a hundred changes in a
	// row do not make a hundred snapshots.
	leastGap = 200 * time.Millisecond
	// recheckEvery is how often the credential of a held poll is looked at again.
	recheckEvery = 3 * time.Second
	// defaultWait and longestWait bound how long a poll is held, before jitter.
	defaultWait = 25 * time.Second
	longestWait = time.Minute
	// downloads is how many snapshots are sent at once; who finds no place within
	// placeWait is asked to come back.
	downloads = 32
	placeWait = 2 * time.Second
	// sendTimeout is what one download may take.
	sendTimeout = 30 * time.Second
	// buildTimeout bounds the reading of one document; a failed build is not tried
	// again within rebuildGap.
	buildTimeout = 30 * time.Second
	rebuildGap   = time.Second
)

// Options are what a Service is told besides its store.
type Options struct {
	// Report is told how an edge is and which version it has applied, each time that it
	// says so; nil: nobody asks.
	Report func(edgeID string, applied snapshot.Version, health snapshot.Health)
	// Logger; nil: none.
	Logger *zap.Logger
}

// Service distributes snapshots. Run keeps it up to date.
type Service struct {
	store  Store
	report func(string, snapshot.Version, snapshot.Health)
	log    *zap.Logger

	latest  atomic.Pointer[latest]
	refresh sync.Mutex // held while the version is read
	looked  time.Time  // when that was last; guarded by refresh
	places  chan struct{}
	builder builder
	counts  counts

	closing chan struct{}
	close   sync.Once
}

// latest is the newest version that the service knows of; next is closed when there is
// another one.
type latest struct {
	version snapshot.Version
	next    chan struct{}
}

// New returns a Service on a store.
func New(store Store, o Options) *Service {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Report == nil {
		o.Report = func(string, snapshot.Version, snapshot.Health) {}
	}
	s := &Service{
		store: store, report: o.Report, log: o.Logger,
		places:  make(chan struct{}, downloads),
		closing: make(chan struct{}),
	}
	s.builder = builder{read: store.Document, log: o.Logger, counts: &s.counts, builds: make(map[string]*build)}
	return s
}

// Handler answers the edges:
//
//	GET  /edge/v1/snapshot?have=<epoch>.<version>&wait=25s
//	POST /edge/v1/ack
//	POST /edge/v1/join
//
// It needs no timeouts of the server's: it sets the deadlines of its answers itself.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /edge/v1/snapshot", s.serveSnapshot)
	mux.HandleFunc("POST /edge/v1/ack", s.serveAck)
	mux.HandleFunc("POST /edge/v1/join", s.serveJoin)
	return mux
}

// Run looks for new versions until ctx is done; then it lets go of the polls that are
// held, so that the server can end.
func (s *Service) Run(ctx context.Context) {
	defer s.Close()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		changed := s.store.Changed()
		if _, err := s.look(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("reading the version failed", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(leastGap):
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-changed:
		}
	}
}

// Close answers held polls, and those that come from here on, with 503.
func (s *Service) Close() { s.close.Do(func() { close(s.closing) }) }

// current is the newest version that is known, read anew if there is none.
func (s *Service) current(ctx context.Context) (*latest, error) {
	if l := s.latest.Load(); l != nil {
		return l, nil
	}
	return s.look(ctx)
}

// look reads the version, unless somebody just has.
func (s *Service) look(ctx context.Context) (*latest, error) {
	s.refresh.Lock()
	defer s.refresh.Unlock()
	before := s.latest.Load()
	if before != nil && time.Since(s.looked) < leastGap/2 {
		return before, nil
	}
	epoch, number, err := s.store.ConfigVersion(ctx)
	if err != nil {
		return nil, err
	}
	s.looked = time.Now()
	version := snapshot.Version{Epoch: epoch, Number: number}
	if before != nil && before.version == version {
		return before, nil
	}
	now := &latest{version: version, next: make(chan struct{})}
	s.latest.Store(now)
	if before != nil {
		if version.Compare(before.version) < 0 {
			s.log.Error("the database went back to an older version; edges refuse it: run `controlapi restore`, which raises the epoch",
				zap.Stringer("snapshot_version", version), zap.Stringer("before", before.version))
		}
		close(before.next)
	}
	return now, nil
}

// jitter spreads d evenly over ±20 %.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5+1) //nolint:gosec // it spreads load, and hides nothing
}
