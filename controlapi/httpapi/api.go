// Package httpapi is the control plane's API under /v1: it says in OpenAPI what there is,
// checks what comes in, and maps the codes of errors to HTTP. It decides nothing: that is
// the services' part, in the scope of the caller.
package httpapi

import (
	"context"
	"net/http"
	"path"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/snapshot"
)

// Store is the database as the API uses it. Every method that takes a scope is limited
// to it, and one that is called with the context of Idempotent belongs to that
// transaction.
type Store interface {
	Authenticator
	Idempotency
	Resellers
	Ledger
	GrantStore
	SigningKeys
	Users
	Plans
	Bouquets
	Streams
	Groups
	Edges
	Assignments
	APIKeys
	History
	// Ping tells whether the database answers.
	Ping(ctx context.Context) error
}

// Services are what the API speaks for.
type Services struct {
	Store    Store
	Playback Playback
	Health   Health
}

// Options are what an operator sets. The zero value is usable.
type Options struct {
	// Release is the version of the program, for the document.
	Release string
	// Fingerprint of the certificate that join codes carry; zero: none, because it is one
	// that every system trusts, or there is none.
	Fingerprint snapshot.Fingerprint
	// PerKey and PerTenant bound the requests of one API key and of one reseller.
	// Default: 500/s with bursts of 1,000, and 1,000/s with bursts of 2,000.
	PerKey, PerTenant Limit
	// MaxInFlight bounds the requests that are being answered; more are shed with a 503,
	// before they queue for the database. Default: 256.
	MaxInFlight int
	// Timeout bounds one request. Default: 15 s.
	Timeout time.Duration
	// Registry takes the API's metrics and is what /metrics shows; nil: one of its own.
	Registry *prometheus.Registry
	// Log is told of every request; nil: nobody is.
	Log *zap.Logger
}

func (o Options) withDefaults() Options {
	if o.PerKey == (Limit{}) {
		o.PerKey = Limit{Rate: 500, Burst: 1000}
	}
	if o.PerTenant == (Limit{}) {
		o.PerTenant = Limit{Rate: 1000, Burst: 2000}
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 256
	}
	if o.Timeout == 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

// API answers everything under /v1, and /openapi.json, /docs, /healthz and /metrics.
type API struct {
	services Services
	health   Health
	options  Options
	log      *zap.Logger
	metrics  *metrics
	huma     huma.API
	mux      *http.ServeMux

	perKey, perTenant *buckets
	inFlight          atomic.Int64
}

// New makes the API of the services.
func New(services Services, options Options) *API {
	options = options.withDefaults()
	a := &API{
		services: services, health: services.Health, options: options, log: options.Log, metrics: newMetrics(options.Registry),
		mux: http.NewServeMux(), perKey: newBuckets(options.PerKey), perTenant: newBuckets(options.PerTenant),
	}
	a.huma = huma.NewAPI(a.config(), humago.NewAdapter(a.mux, ""))
	store := services.Store
	a.registerResellers(store)
	a.registerCredits(store, store)
	a.registerGrants(store)
	a.registerSigningKeys(store)
	a.registerUsers(store)
	a.registerPlans(store)
	a.registerBouquets(store)
	a.registerStreams(store)
	a.registerAssignments(store)
	a.registerEdges(store)
	a.registerGroups(store)
	a.registerPlayback(services.Playback, store)
	a.registerAPIKeys(store)
	a.registerHistory(store)
	a.describeNeighbours()
	a.finishDocument()
	a.mountDocument()
	mountDocs(a.mux)
	a.mux.HandleFunc("GET /healthz", a.serveHealthz)
	a.mux.Handle("GET /metrics", a.operatorOnly(promhttp.HandlerFor(options.Registry, promhttp.HandlerOpts{})))
	return a
}

// Handler answers requests.
func (a *API) Handler() http.Handler { return a.front(a.routes()) }

// routes is the mux, with problems for what it does not know.
func (a *API) routes() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := a.mux.Handler(r)
		// The mux would redirect "/v1//users"; there is one spelling of a path.
		if pattern != "" && path.Clean(r.URL.Path) == r.URL.Path {
			a.mux.ServeHTTP(w, r)
			return
		}
		r.Pattern = ""
		// The mux's own answer says whether it is the path or the method.
		silent := &silent{header: http.Header{}}
		handler.ServeHTTP(silent, r)
		if silent.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", silent.header.Get("Allow"))
			a.write(w, r, problem(codeMethodNotAllowed, "allowed here: "+silent.header.Get("Allow")))
			return
		}
		a.write(w, r, problem(controlapi.CodeNotFound, "there is nothing at this path; /docs says what there is"))
	})
}

// silent takes an answer and shows it to nobody.
type silent struct {
	header http.Header
	status int
}

func (s *silent) Header() http.Header         { return s.header }
func (s *silent) WriteHeader(status int)      { s.status = status }
func (s *silent) Write(p []byte) (int, error) { return len(p), nil }

// serveHealthz says whether this instance can do its work: it can as long as its database
// answers.
func (a *API) serveHealthz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := a.services.Store.Ping(ctx); err != nil {
		a.log.Warn("database does not answer", zap.Error(err))
		a.write(w, r, unavailable("the database does not answer"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{\"status\":\"ok\"}\n")) // the caller has gone, if that fails
}
