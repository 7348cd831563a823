package streamtoken

import (
	"context"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/controlapi/token"
)

// The request variables in which the matcher leaves its verdict.
const (
	grantVar   = "edge.grant"
	refusalVar = "edge.refusal"
)

// Grant is what the bearer of a verified token asks for in one request, and may
// have. Its strings are slices of the request's path.
type Grant struct {
	// Claims is what the token says.
	Claims token.Claims

	// Kind is what the path asks for; [edge.KindOther] is something that is none of
	// the edge's own resources.
	Kind edge.RequestKind
	// Stream is the one that the path names and that the token covers.
	Stream string
	// Rendition is the one that the path names, if Kind is about one.
	Rendition string
	// MSN is the media sequence number of a segment, else 0.
	MSN int64

	// Client is the viewer's address, which may be behind trusted proxies.
	Client netip.Addr
	// At is when the request came to the matcher.
	At time.Time

	operation token.Operation
	token     string
	path      string
	matcher   *Matcher
}

// String names the bearer, never the token: reseller:user:key id.
func (g *Grant) String() string {
	return g.Claims.Reseller + ":" + g.Claims.User + ":" + g.Claims.Kid
}

// Renew asks again for a connection that lasts, when it is about to get its next
// segment: is the key still in force, expiry and grace not passed, the user not
// denied? It keeps the viewer's session open.
func (g *Grant) Renew(now time.Time) bool {
	return g.matcher.check(g, token.Segment, now) == token.Accepted
}

// Verdict is what the matcher found out about a request.
type Verdict struct {
	// Grant is nil unless the token was accepted.
	Grant *Grant
	// Checked says that a matcher looked at the request at all.
	Checked bool
	// Reason says why the token was refused.
	Reason token.Reason
	// Unready says that no token could be checked, because the edge has no keys in
	// force yet, or none any more.
	Unready bool
}

// unready takes the place of a reason among the request variables.
type unready struct{}

// VerdictOf returns what the matcher left in a request's context.
func VerdictOf(ctx context.Context) Verdict {
	vars, _ := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
	switch refusal := vars[refusalVar].(type) {
	case token.Reason:
		return Verdict{Checked: true, Reason: refusal}
	case unready:
		return Verdict{Checked: true, Unready: true}
	}
	g, _ := vars[grantVar].(*Grant)
	return Verdict{Grant: g, Checked: g != nil}
}

// String is the bearer's name, or "refused:" and the reason, for logs.
func (v Verdict) String() string {
	switch {
	case v.Grant != nil:
		return v.Grant.String()
	case v.Unready:
		return "refused:unready"
	case v.Checked:
		return "refused:" + v.Reason.String()
	}
	return "refused:no_matcher"
}
