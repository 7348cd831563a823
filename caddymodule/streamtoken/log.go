package streamtoken

import (
	"context"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// loggedVar is the request variable that remembers whether the configuration
// wanted the request in the access log, before it was taken out for its token.
const loggedVar = "edge.logged"

// Unlog leaves a request out of the server's access log, whose line would hold the
// token.
func Unlog(ctx context.Context) {
	if vars, ok := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		unlog(vars)
	}
}

func unlog(vars map[string]any) {
	if vars[loggedVar] != nil {
		return
	}
	skipped, _ := vars[caddyhttp.LogSkipVar].(bool)
	vars[loggedVar] = !skipped
	vars[caddyhttp.LogSkipVar] = true
}

// Logged reports whether a request that went through [Unlog] should have a line
// without the token instead: not if the configuration says `log_skip`.
func Logged(ctx context.Context) bool {
	logged, _ := caddyhttp.GetVar(ctx, loggedVar).(bool)
	return logged
}
