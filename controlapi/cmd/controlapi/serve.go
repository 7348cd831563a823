package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi/assignment"
	"github.com/headrace/headrace/controlapi/distribution"
	"github.com/headrace/headrace/controlapi/httpapi"
	"github.com/headrace/headrace/controlapi/nodehealth"
	"github.com/headrace/headrace/controlapi/playback"
	"github.com/headrace/headrace/controlapi/routing/geo"
	"github.com/headrace/headrace/controlapi/sqlstore"
	"github.com/headrace/headrace/controlapi/viewerapi"
)

// server is what "controlapi serve" is told besides the common settings.
type server struct {
	*settings
	listen         string
	certFile       string
	keyFile        string
	trustedProxies []string
	positions      geo.Files
	perKey         int
	perTenant      int
}

func newServe(s *settings) *cobra.Command {
	v := &server{settings: s}
	cmd := &cobra.Command{
		Use: "serve", Short: "Serve the API (this is what controlapi does without a command)", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return v.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&v.listen, "listen", "127.0.0.1:8090", "`address` to listen on. Beyond loopback only HTTPS is spoken")
	flags.StringVar(&v.certFile, "tls-cert", "", "`file` with the certificate, PEM. Default beyond loopback: one that is made and kept in --data, which edges know by its fingerprint")
	flags.StringVar(&v.keyFile, "tls-key", "", "`file` with the certificate's key, PEM")
	flags.StringSliceVar(&v.trustedProxies, "trusted-proxies", nil, "`networks` of proxies whose X-Forwarded-For is believed, 10.0.0.0/8; edges need the same list")
	flags.IntVar(&v.perKey, "limit-per-key", 500, "`requests` per second that one API key may send; twice as many at once")
	flags.IntVar(&v.perTenant, "limit-per-tenant", 1000, "`requests` per second that all keys of one reseller may send; twice as many at once")
	flags.StringVar(&v.positions.MaxMind, "geo-database", "", "`file` in MaxMind's format that tells where viewers are, GeoLite2-City.mmdb; taken up when it changes")
	flags.StringVar(&v.positions.Table, "geo-networks", "", "`file` that tells where networks are that the database does not know: lines of network, latitude, longitude")
	return cmd
}

func (v *server) run(ctx context.Context) error {
	log, err := v.log()
	if err != nil {
		return err
	}
	if v.perKey < 1 || v.perTenant < 1 {
		return usagef("--limit-per-key and --limit-per-tenant are at least 1")
	}
	behind, err := parseProxies(v.trustedProxies)
	if err != nil {
		return err
	}
	places, err := geo.Open(v.positions, log.Named("geo"))
	if err != nil {
		return err
	}
	store, err := v.open(ctx, log)
	if err != nil {
		return err
	}
	l, err := listen(v.listen, v.certFile, v.keyFile, v.data)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	if has, err := hasKey(ctx, store, store.LocalOperator()); err == nil && !has {
		log.Warn("nobody can use the API yet: print the operator's key with controlapi init")
	}
	err = v.serve(ctx, l, store, behind, places, log)
	return errors.Join(err, store.Close())
}

// ballot is where instances tell each other which edges do not answer. A file has one
// instance: it need not be written every second.
func (v *server) ballot(store *sqlstore.Store) nodehealth.Ballot {
	if !strings.HasPrefix(v.database, "postgres") {
		return nil
	}
	return store
}

// serve runs all parts until ctx is done, and waits for each.
func (v *server) serve(ctx context.Context, l *listener, store *sqlstore.Store, behind proxies, places *geo.Locator, log *zap.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	instance := instanceName()
	monitor := nodehealth.New(nodehealth.Options{
		Instance: instance, Inventory: store, Ballot: v.ballot(store), Numbers: store,
		Notify: func(ctx context.Context, c nodehealth.Change) { recordChange(ctx, store, c, log) }, Logger: log,
	})
	registry.MustRegister(monitor)
	runner := &assignment.Runner{
		Store: store, Nodes: monitor, Notify: func(ctx context.Context, m assignment.Move) { recordMove(ctx, store, m, log) }, Logger: log.Named("assignment"),
	}
	edges := distribution.New(store, distribution.Options{Report: monitor.Report, Logger: log.Named("distribution")})
	registry.MustRegister(edges)
	viewers := playback.New(store, monitor, places)
	api := httpapi.New(httpapi.Services{Store: store, Playback: playbackAPI{viewers}, Health: httpapi.NodeHealth(monitor.View)}, httpapi.Options{
		Release: version(), Fingerprint: l.fingerprint, PerKey: perSecond(v.perKey), PerTenant: perSecond(v.perTenant), Registry: registry, Log: log.Named("api"),
	})
	mux := http.NewServeMux()
	mux.Handle("/", api.Handler())
	mux.Handle("/edge/v1/", edges.Handler())
	mux.Handle("/play/{stream}", viewerapi.New(viewers, viewerapi.Options{Log: log.Named("viewerapi")}))

	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel()
	parts.Go(func() { edges.Run(ctx) })
	parts.Go(func() { monitor.Run(ctx) })
	parts.Go(func() { runner.Run(ctx) })
	parts.Go(func() { places.Follow(ctx) })
	parts.Go(func() { prune(ctx, store, log) })
	log.Info("control plane serves", zap.String("url", l.scheme+"://"+l.Addr().String()), zap.String("version", version()), zap.String("instance", instance),
		zap.Stringer("fingerprint", l.fingerprint))
	err := serveHTTP(ctx, l, behind.resolve(mux), log)
	log.Info("control plane ends")
	return err
}

// perSecond is a limit with bursts of two seconds' worth.
func perSecond(n int) httpapi.Limit { return httpapi.Limit{Rate: float64(n), Burst: 2 * n} }
