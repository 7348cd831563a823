package hls

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/caddymodule/streamtoken"
	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// What a Handler is provisioned with unless told otherwise.
const (
	defaultWriteIdle    = caddy.Duration(60 * time.Second)
	defaultWriteMinRate = 16 << 10
	defaultMaxWaiting   = 10_000
)

// Handler is the HTTP handler "hls". It serves the edge's streams:
//
//	/live/<token>/<stream>/index.m3u8               the multivariant playlist
//	/live/<token>/<stream>/<rendition>/index.m3u8   a media playlist
//	/live/<token>/<stream>/<rendition>/<msn>.ts     a media segment
//	/live/<token>/<stream>/<rendition>/live.ts      the same as one endless MPEG-TS
//
// With `?_HLS_msn=N` a media playlist is answered as soon as it lists segment N.
//
// It serves only requests that the matcher `stream_token` has let through, and
// refuses all others below `/live/`: a site needs it with that matcher, and once
// more without any, so that a refused viewer is answered by the 403 that players
// understand. Requests outside `/live/` go to the next handler.
//
// Everything comes from memory; a segment is written in one piece. A viewer who
// takes a segment too slowly is cut off: see the two write options. They apply
// unless the server's write idle timeout is switched off by a negative value.
//
// If the server writes an access log, each request leaves a line there as it would
// without this handler, but for the token: in its place stands its bearer,
// `reseller:user:key`, or `refused:` and the reason.
type Handler struct {
	// How long a viewer may take for one segment at most. Default: `60s`.
	WriteIdle caddy.Duration `json:"write_idle,omitempty"`

	// How many bytes per second a viewer has to take of a segment, on average and
	// after the first 10 seconds, which are free. A segment of n bytes may thus take
	// 10 s + n / write_min_rate, but no longer than write_idle. With the defaults
	// 16 KiB/s are always enough for segments up to 800 KiB, and for larger ones a
	// sixtieth of the segment per second. What the operating system's buffers hold
	// for a connection counts as taken: a server needs an `idle` timeout as well.
	// Default: 16384.
	WriteMinRate int64 `json:"write_min_rate,omitempty"`

	// How many requests may wait at once for a segment that is not there yet, in
	// each place where the handler stands. Those beyond are answered by 503 and are
	// welcome a second later. Default: 10000.
	MaxWaiting int64 `json:"max_waiting,omitempty"`

	host    host
	log     accessLog
	waiting atomic.Int64
}

// host is what the handler needs of edge.Host.
type host interface {
	Engine() *ingest.Engine
	Verifier() *token.Verifier
	Counters() *edge.Counters
	Draining() bool
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.hls",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets the defaults and finds the edge app.
func (h *Handler) Provision(ctx caddy.Context) error {
	app, err := ctx.AppIfConfigured("edge")
	if err != nil {
		return fmt.Errorf("finding the edge app (without it there are no streams; add an `edge` block to the global options): %w", err)
	}
	h.host = app.(*edge.App).Host()
	h.log = newAccessLog(ctx)
	h.setDefaults()
	return nil
}

func (h *Handler) setDefaults() {
	if h.WriteIdle == 0 {
		h.WriteIdle = defaultWriteIdle
	}
	if h.WriteMinRate == 0 {
		h.WriteMinRate = defaultWriteMinRate
	}
	if h.MaxWaiting == 0 {
		h.MaxWaiting = defaultMaxWaiting
	}
}

// Validate checks the options.
func (h *Handler) Validate() error {
	switch {
	case h.WriteIdle < 0:
		return errors.New("write_idle is negative; give a viewer some time")
	case h.WriteMinRate < 0:
		return errors.New("write_min_rate is negative; give a number of bytes per second")
	case h.MaxWaiting < 0:
		return errors.New("max_waiting is negative; give a number of requests")
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. Below /live/ it returns no
// error, because Caddy would log it together with the token.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !streamtoken.Guards(r.URL.Path) {
		return pass(w, r, next)
	}
	streamtoken.Unlog(r.Context())
	a := newAnswer(w, r)
	h.serve(a) //nolint:contextcheck // the answer holds the request, and that its context
	h.host.Counters().Request(a.kind(), a.status, a.counted())
	h.log.write(a) //nolint:contextcheck // the same
	return nil
}

// pass hands on what is not under /live/. If it holds a token all the same, in a
// place where none belongs, neither the access log nor the log of errors gets it.
func pass(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !streamtoken.Holds(r.RequestURI) {
		return next.ServeHTTP(w, r)
	}
	streamtoken.Unlog(r.Context())
	err := next.ServeHTTP(w, r)
	if failed := (caddyhttp.HandlerError{}); errors.As(err, &failed) {
		w.WriteHeader(failed.StatusCode)
		return nil
	}
	return err
}

// serve answers a request below /live/.
func (h *Handler) serve(a *answer) {
	if a.grant == nil {
		h.refuse(a)
		return
	}
	switch a.r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		a.preflight()
		return
	default:
		a.set("Allow", methods)
		a.fail(http.StatusMethodNotAllowed, "")
		return
	}
	s := h.stream(a)
	if s == nil {
		return
	}
	switch a.grant.Kind {
	case edge.KindMultivariant:
		h.multivariant(a, s)
	case edge.KindPlaylist:
		h.playlist(a, s)
	case edge.KindSegment:
		h.segment(a, s)
	case edge.KindLive:
		h.live(a, s)
	default:
		a.fail(http.StatusNotFound, "no such resource")
	}
}

// refuse gives the one answer to everyone without a grant. Only an edge that
// cannot check says so: players give up on a 403, but come back after a 503.
func (h *Handler) refuse(a *answer) {
	if a.verdict.Unready || !a.verdict.Checked && h.host.Verifier() == nil {
		a.retryLater("the edge is starting")
		return
	}
	a.fail(http.StatusForbidden, "")
}

// stream finds the stream or gives the answer itself.
func (h *Handler) stream(a *answer) *ingest.Stream {
	e := h.host.Engine()
	if e == nil {
		a.retryLater("the edge is starting")
		return nil
	}
	s := e.Lookup(a.grant.Stream)
	if s == nil {
		a.fail(http.StatusNotFound, "no such stream")
		return nil
	}
	s.Demand(a.began)
	return s
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
