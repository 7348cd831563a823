// Command edge is Caddy with its standard modules and Headrace's.
package main

import (
	"os"

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
	edge token mint --help             make a stream token
	edge token check FILE              test tokens that others have made

Caddy's own commands and documentation apply: https://caddyserver.com/docs/`

// commit is what the program was built from; the Makefile sets it.
var commit string

// memoryShare is the part of the machine's memory, or of the container's, that
// Go's runtime may take before it collects harder. Caddy would take nine tenths,
// as if it were alone: here FFmpeg runs beside it, and the segments lie outside
// of Go's heap.
const memoryShare = "0.25"

func init() {
	caddy.CustomBinaryName = "edge"
	caddy.CustomLongDescription = description
	caddy.CustomVersion = version() + ", caddy" // Caddy writes its own behind it
	shareMemory()
}

// version is ours: the release, and the commit where it is known.
func version() string {
	if commit == "" {
		return "edge " + edge.Version()
	}
	return "edge " + edge.Version() + " (" + commit + ")"
}

// shareMemory sets the share that Caddy asks the environment for. An operator's
// own choice, in either variable, wins.
func shareMemory() {
	for _, name := range []string{"GOMEMLIMIT", "AUTOMEMLIMIT"} {
		if os.Getenv(name) != "" {
			return
		}
	}
	_ = os.Setenv("AUTOMEMLIMIT", memoryShare) // the name is good, so it cannot fail
}

func main() { caddycmd.Main() }
