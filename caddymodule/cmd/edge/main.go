// Command edge is Caddy with its standard modules and Headrace's.
package main

import (
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/headrace/headrace/caddymodule"
	"github.com/headrace/headrace/caddymodule/edge"
)

// description is what "edge help" begins with.
const description = `edge takes live sources in, packages them with FFmpeg into HLS, and serves them to
whoever carries a signed token. It is the Caddy web server with a few modules more.

	edge run --config Caddyfile        run in the foreground
	edge reload --config Caddyfile     change the configuration; nobody's stream is touched
	edge validate --config Caddyfile   check a configuration without running it
	edge join URL CODE                 become an edge of a control plane
	edge token mint --help             make a stream token
	edge token check FILE              test tokens that others have made

Caddy's own commands and documentation apply: https://caddyserver.com/docs/`

// commit is what the program was built from; the Makefile sets it.
var commit string

func init() {
	caddy.CustomBinaryName = "edge"
	caddy.CustomLongDescription = description
	caddy.CustomVersion = version() + ", caddy" // Caddy writes its own behind it
}

// version is ours: the release, and the commit where it is known.
func version() string {
	if commit == "" {
		return "edge " + edge.Version()
	}
	return "edge " + edge.Version() + " (" + commit + ")"
}

func main() { caddycmd.Main() }
