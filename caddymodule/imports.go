// Package caddymodule gathers the modules that make Caddy an edge: import it for
// its side effects. It is the one path that xcaddy builds in.
package caddymodule

import (
	_ "github.com/headrace/headrace/caddymodule/admin"       // admin.api.edge
	_ "github.com/headrace/headrace/caddymodule/edge"        // app edge
	_ "github.com/headrace/headrace/caddymodule/hls"         // http.handlers.hls
	_ "github.com/headrace/headrace/caddymodule/status"      // http.handlers.edge_status
	_ "github.com/headrace/headrace/caddymodule/streamtoken" // http.matchers.stream_token, command token
)
