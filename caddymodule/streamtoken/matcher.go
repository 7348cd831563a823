package streamtoken

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/caddymodule/session"
	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
)

func init() {
	caddy.RegisterModule(Matcher{})
}

// relayHeader marks a pull by another edge, and holds the ids of the edges that
// the stream has come through.
const relayHeader = "Headrace-Relay"

// A session lives for so many target durations after a request, here too where
// the stream is not one of the edge's own.
const (
	sessionTargets = 3
	sessionDefault = 18 * time.Second
)

// Matcher is the request matcher "stream_token". It matches requests under
// `/live/<token>/<stream>/` whose token allows them: its signature is that of a
// key of this edge, it has not expired, it covers the stream, its reseller may
// show that stream, and its user is not denied and has no more sessions open than
// the token permits. What the token is asked for is told by the request alone: with
// a header `Headrace-Relay` it is a relay's pull, else play.
//
// The viewer's address is the one that Caddy finds: behind a proxy set
// `trusted_proxies` for the server.
//
// Put it before the `hls` handler:
//
//	@viewer stream_token
//	hls @viewer
//	hls
//
// It can also guard other handlers, for instance a `file_server` with a channel's
// archive below `/live/<token>/<stream>/archive/`: combine it with a `path` matcher
// and put the handler into a `handle` block, which comes before `hls`. A path that
// such a handler might read in two ways (with `..`, an escaped slash, a backslash
// or a percent sign) never matches.
//
// Because the token is a part of the path, the server's access log leaves these
// requests out. The `hls` handler writes a line of its own to the same log, with
// the token's bearer in its place; for other handlers there is none. The log of
// errors is beyond a matcher's reach: where other handlers stand behind this one,
// put a filter on the field `request>uri` of every log.
type Matcher struct {
	host   host
	logger *zap.Logger
}

// startLimit is how long a request waits for an edge that is starting: three target
// durations of the default.
const startLimit = 12 * time.Second

// host is what the matcher needs of edge.Host.
type host interface {
	Await(ctx context.Context, limit time.Duration)
	Engine() *ingest.Engine
	Verifier() *token.Verifier
	Sessions() *session.Table
	Counters() *edge.Counters
}

// CaddyModule returns the Caddy module information.
func (Matcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.matchers.stream_token",
		New: func() caddy.Module { return new(Matcher) },
	}
}

// Provision finds the edge app.
func (m *Matcher) Provision(ctx caddy.Context) error {
	app, err := ctx.AppIfConfigured("edge")
	if err != nil {
		return fmt.Errorf("finding the edge app (without it no token is valid; add an `edge` block to the global options): %w", err)
	}
	m.host = app.(*edge.App).Host()
	m.logger = ctx.Logger()
	return nil
}

// Match is MatchWithError for callers that know only that.
func (m *Matcher) Match(r *http.Request) bool {
	ok, _ := m.MatchWithError(r)
	return ok
}

// MatchWithError implements caddyhttp.RequestMatcherWithError. It returns no error
// at all, because Caddy would log it together with the token: an edge that cannot
// check is a matter for the verdict, see [VerdictOf]. Only the first matcher that
// a request comes to does the work.
func (m *Matcher) MatchWithError(r *http.Request) (bool, error) {
	if !strings.HasPrefix(r.URL.Path, Prefix) {
		return false, nil
	}
	vars, ok := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if !ok {
		return false, nil // no request of Caddy's: nowhere to leave the verdict
	}
	if vars[refusalVar] != nil {
		return false, nil
	}
	if g, ok := vars[grantVar].(*Grant); ok && g.path == r.URL.Path {
		return true, nil
	}
	unlog(vars)
	delete(vars, grantVar) // of a path that was rewritten since
	if m.host.Verifier() == nil {
		m.host.Await(r.Context(), startLimit)
	}
	if m.host.Verifier() == nil {
		vars[refusalVar] = unready{}
		return false, nil
	}
	client, _ := vars[caddyhttp.ClientIPVarKey].(string)
	g, reason := m.grant(r, client)
	m.host.Counters().Token(reason)
	if reason != token.Accepted {
		vars[refusalVar] = reason
		m.logRefusal(reason, client)
		return false, nil
	}
	vars[grantVar] = g
	return true, nil
}

// grant checks the request's token. The grant is worthless unless the reason is
// token.Accepted.
func (m *Matcher) grant(r *http.Request, client string) (*Grant, token.Reason) {
	t, ok := parsePath(r.URL)
	if !ok {
		return nil, token.Malformed
	}
	g := &Grant{
		Kind: t.kind, Stream: t.stream, Rendition: t.rendition, MSN: t.msn,
		At: time.Now(), token: t.token, path: r.URL.Path, matcher: m,
	}
	// Without an address, as over a Unix socket, it stays invalid and is in no network.
	g.Client, _ = netip.ParseAddr(client)
	if len(r.Header[relayHeader]) > 0 {
		g.operation = token.Relay
	}
	kind := token.Playlist
	if t.kind == edge.KindSegment {
		kind = token.Segment
	}
	return g, m.check(g, kind, g.At)
}

// check makes all the tests of a token.
func (m *Matcher) check(g *Grant, kind token.Kind, now time.Time) token.Reason {
	v := m.host.Verifier()
	if v == nil {
		return token.UnknownKey
	}
	claims, reason := v.Verify(g.token, token.Request{
		Stream: g.Stream, Operation: g.operation, Kind: kind, Client: g.Client, Now: now.Unix(),
	})
	if reason != token.Accepted {
		return reason
	}
	g.Claims = claims
	if g.operation == token.Relay {
		return token.Accepted // an edge is no viewer
	}
	if !m.host.Sessions().Touch(&g.Claims, g.Client, g.Stream, now, m.sessionLife(g.Stream)) {
		return token.TooManyConnections
	}
	return token.Accepted
}

func (m *Matcher) sessionLife(stream string) time.Duration {
	if e := m.host.Engine(); e != nil {
		if s := e.Lookup(stream); s != nil {
			return sessionTargets * s.TargetDuration()
		}
	}
	return sessionDefault
}

// logRefusal tells why, and nothing of the path, which holds the token wherever
// the asker has put it.
func (m *Matcher) logRefusal(reason token.Reason, client string) {
	if c := m.logger.Check(zapcore.DebugLevel, "token refused"); c != nil {
		c.Write(zap.Stringer("reason", reason), zap.String("client_ip", client))
	}
}

// Interface guards
var (
	_ caddy.Provisioner                 = (*Matcher)(nil)
	_ caddyhttp.RequestMatcherWithError = (*Matcher)(nil)
)
