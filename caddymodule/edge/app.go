package edge

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"go.uber.org/zap"

	"github.com/headrace/headrace/ingest"
)

func init() {
	caddy.RegisterModule(App{})
}

// App is the Caddy app "edge". It takes live sources in, has FFmpeg package them
// into segments that are held in memory, and gives them to the handlers and
// matchers of the sites: `stream_token`, `hls`, `edge_status`.
//
// A reload never disturbs what did not change: a stream whose configuration is
// the same keeps its FFmpeg, its segments and its viewers. The fields `id`,
// `state`, `ffmpeg`, `hwaccel`, `sandbox` and `starts_per_second` need a restart of the
// process, and a reload that changes one of them is refused.
//
// Placeholders such as `{env.HEADRACE_KEY}` are replaced in the secrets of keys
// and in sources, when the app starts: a configuration can be validated where
// they have no value, and Caddy's admin endpoint shows the placeholder.
type App struct {
	// The name of this edge within its group: 1 to 32 characters of A-Z a-z 0-9 - _.
	// Default: `edge-1`.
	ID string `json:"id,omitempty"`

	// The folder that this edge owns while it runs: the numbers that its streams
	// have used, and records of its child processes. Two edges cannot share one.
	// Default: the folder `headrace` in Caddy's data folder.
	State string `json:"state,omitempty"`

	// The group of edges that share keys and streams. Default: `default`.
	Group string `json:"group,omitempty"`

	// The base URL at which viewers reach this edge, `https://edge-1.example.com`.
	// Default: none; no other edge or control plane can then point at this one.
	URL string `json:"url,omitempty"`

	// The FFmpeg program, a path or a name that is looked up in PATH.
	// Default: `ffmpeg`.
	FFmpeg string `json:"ffmpeg,omitempty"`

	// How many FFmpeg processes may be started per second, over all streams, so
	// that a node on which everything fails at once does not drown in starts.
	// Default: twice the number of cores.
	StartsPerSecond int `json:"starts_per_second,omitempty"`

	// What encodes pictures in the place of the processor. It is tried when the edge
	// starts, and the edge refuses to start where it does not work. Default: the
	// processor.
	HWAccel *HWAccel `json:"hwaccel,omitempty"`

	// What the whole node may be given.
	Capacity Capacity `json:"capacity,omitzero"`

	// What each FFmpeg may use. Control groups enforce it, where the edge may make
	// some: `confinement` in `/-/health` lists the limits that are in force. A
	// stream whose limits change goes over to another FFmpeg without a hole.
	// Default: no limits.
	Limits Limits `json:"limits,omitzero"`

	// How much of a sandbox each FFmpeg must have. `auto`: as much as the machine
	// has, of control groups, Landlock, a user id of its own and resource limits.
	// `require`: a configuration is refused unless every stream gets Landlock
	// (Linux 5.13, for sources of http and https 6.7) and a control group that
	// enforces all of `limits`. `off`: nothing of that, and no limits.
	// `/-/health` and the log at the start say what is in force, and what is
	// missing. Default: `auto`.
	Sandbox string `json:"sandbox,omitempty"`

	// Which addresses sources may be at.
	Guard Guard `json:"guard,omitzero"`

	// Where the node stands, for routing by distance. Default: unknown.
	Location *Location `json:"location,omitempty"`

	// The ports that encoders push streams to. Default: none.
	RTMP []RTMP `json:"rtmp,omitempty"`

	// The control plane that says which streams this edge carries and whose tokens it
	// accepts. Then `keys` and `streams` must be left out: they come from there, are
	// kept in the state folder, and stay in force while the control plane is gone.
	// Default: none, and what to do is said here.
	Control *Control `json:"control,omitempty"`

	// The keys with which resellers sign stream tokens. Each reseller named here
	// may show and publish every stream of this edge. At most two per reseller.
	// Default: none, and then every token is refused.
	Keys []Key `json:"keys,omitempty"`

	// Which of the keys signs tokens in the short form, that name only a stream. With
	// `control` it may name one that comes from there.
	// Default: none, and then short tokens are refused.
	DefaultKey *KeyName `json:"default_key,omitempty"`

	// The streams that this edge carries. Default: none.
	Streams []Stream `json:"streams,omitempty"`

	host      *Host
	tls       *caddytls.TLS // where a port for encoders uses it
	listeners []listenerSpec
	running   *configuration
	logger    *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "edge",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision fills in defaults and takes hold of the Host. It touches neither
// disk nor network: Caddy also provisions configurations that it only validates.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger = ctx.Logger()
	a.setDefaults()
	if err := a.provisionRTMP(ctx); err != nil {
		return err
	}
	host, err := loadHost()
	if err != nil {
		return err
	}
	a.host = host
	for _, c := range host.collectors {
		if err := ctx.GetMetricsRegistry().Register(c); err != nil {
			return fmt.Errorf("registering the metrics: %w", err)
		}
	}
	return nil
}

// Validate checks all that can be known without the environment: stand-ins take
// the places of placeholders and of secrets in files.
func (a *App) Validate() error {
	if err := a.check(); err != nil {
		return err
	}
	_, err := a.translate(standIns{})
	return err
}

// Start puts the configuration in force. The first one opens the engine.
func (a *App) Start() error {
	a.warnOfLiteralSecrets()
	c, err := a.translate(newEnvironment())
	if err != nil {
		return err
	}
	if err := a.manageRTMP(); err != nil {
		return fmt.Errorf("getting the certificates of the rtmp ports: %w", err)
	}
	if err := a.host.start(c); err != nil {
		return err
	}
	a.running = c
	return nil
}

// Stop ends the configuration's part. A younger one goes on with all that runs.
func (a *App) Stop() error {
	if a.running != nil {
		a.host.stop(a.running)
		a.running = nil
	}
	return nil
}

// Cleanup lets go of the Host. Caddy can come here without a Stop, when what
// follows the start of all apps fails; and after a Provision that failed.
func (a *App) Cleanup() error {
	if a.host == nil {
		return nil
	}
	return errors.Join(a.Stop(), releaseHost())
}

// Host is what outlives this configuration. It is there from Provision on.
func (a *App) Host() *Host { return a.host }

func (a *App) setDefaults() {
	setDefault(&a.ID, "edge-1")
	setDefault(&a.State, filepath.Join(caddy.AppDataDir(), "headrace"))
	setDefault(&a.Group, "default")
	setDefault(&a.FFmpeg, "ffmpeg")
	setDefault(&a.Sandbox, string(ingest.SandboxAuto))
	setDefault(&a.Capacity.Streams, 200)
	for i := range a.RTMP {
		a.RTMP[i].setDefaults(a.URL)
	}
	for i := range a.Streams {
		a.Streams[i].setDefaults()
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// translate makes what the Host takes, with the texts that t finds.
func (a *App) translate(t texts) (*configuration, error) {
	node, err := a.node()
	if err != nil {
		return nil, err
	}
	c := &configuration{node: node, group: a.Group, logger: a.logger, defaultKey: a.defaultKey(), listeners: a.listeners}
	if a.Control != nil {
		c.control, err = a.Control.settings()
		return c, err
	}
	doc, err := a.document(t)
	if err != nil {
		return nil, err
	}
	if err := doc.Check(); err != nil {
		return nil, err
	}
	c.own, err = newGeneration(c, doc)
	return c, err
}

func (a *App) node() (Node, error) {
	policy, err := a.Guard.policy()
	if err != nil {
		return Node{}, fmt.Errorf("guard: %w", err)
	}
	n := Node{ID: a.ID, State: a.State, FFmpeg: a.FFmpeg, Capacity: a.Capacity, StartsPerSecond: a.StartsPerSecond, Sandbox: ingest.SandboxMode(a.Sandbox), Guard: policy}
	if a.HWAccel != nil {
		n.HWAccel = *a.HWAccel
	}
	return n, nil
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.Validator    = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
