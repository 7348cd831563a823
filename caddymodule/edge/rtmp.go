package edge

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"github.com/caddyserver/certmagic"

	"github.com/headrace/headrace/ingest/rtmp"
)

// rtmpPort is the port of an address that names none.
const rtmpPort = 1935

// RTMP is a port that encoders push streams to, at rtmp://host/live. The stream key
// is `<stream>?token=<token>`, or the token alone if its scope is one stream; the
// token's operation is publish (`edge token mint --operation publish`).
type RTMP struct {
	// Where to listen: `:1935`, or with a host in front. Encoders use TCP. A reload
	// that keeps the address leaves the port and everybody who publishes alone.
	Address string `json:"address"`

	// Whether it is RTMPS, with certificates that Caddy gets and renews.
	// Default: no, and then tokens and media can be read on their way.
	TLS bool `json:"tls,omitempty"`

	// The host names of the certificates. The first is also that of encoders that do
	// not say which host they want. Default: the host of `url`.
	Names []string `json:"names,omitempty"`

	// How long a stream waits for a publisher that left, until its next source takes
	// over. Who is back by then goes on in the same numbering. Default: 10s.
	Hold caddy.Duration `json:"hold,omitempty"`
}

func (a *App) parseRTMP(d *caddyfile.Dispenser) error {
	var r RTMP
	if !d.Args(&r.Address) {
		return d.ArgErr()
	}
	if slices.ContainsFunc(a.RTMP, func(o RTMP) bool { return o.Address == r.Address }) {
		return d.Errf("rtmp %s is given twice", r.Address)
	}
	err := options{
		"tls": once(func(d *caddyfile.Dispenser) error {
			r.TLS, r.Names = true, d.RemainingArgs()
			return nil
		}),
		"hold": duration(&r.Hold),
	}.parse(d)
	a.RTMP = append(a.RTMP, r)
	return err
}

func (r *RTMP) setDefaults(base string) {
	setDefault(&r.Hold, caddy.Duration(10*time.Second))
	if u, err := url.Parse(base); err == nil && r.TLS && len(r.Names) == 0 && u.Hostname() != "" {
		r.Names = []string{u.Hostname()}
	}
}

// network is the address to listen at, of an option that was checked.
func (r *RTMP) network() (caddy.NetworkAddress, error) {
	address, err := caddy.ParseNetworkAddressWithDefaults(r.Address, "tcp", rtmpPort)
	switch {
	case err != nil:
		return address, fmt.Errorf("rtmp %s: %w; write an address like :1935", r.Address, err)
	case !strings.HasPrefix(address.Network, "tcp") || address.PortRangeSize() != 1:
		return address, fmt.Errorf("rtmp %s: encoders connect by tcp, to one port; write an address like :1935", r.Address)
	case r.TLS && len(r.Names) == 0:
		return address, fmt.Errorf("rtmp %s: tls needs a host name for its certificate; write one behind tls, or set url", r.Address)
	case r.Hold < 0:
		return address, fmt.Errorf("rtmp %s: hold cannot be negative", r.Address)
	}
	return address, nil
}

// provisionRTMP readies the ports and their certificates.
func (a *App) provisionRTMP(ctx caddy.Context) error {
	for i := range a.RTMP {
		r := &a.RTMP[i]
		address, err := r.network()
		if err != nil {
			return err
		}
		spec := listenerSpec{address: address, settings: rtmp.Settings{Hold: time.Duration(r.Hold)}}
		if r.TLS {
			if spec.settings.TLS, err = a.certificates(ctx, r.Names); err != nil {
				return fmt.Errorf("rtmp %s: %w", r.Address, err)
			}
		}
		a.listeners = append(a.listeners, spec)
	}
	return nil
}

// certificates is a TLS configuration with Caddy's certificates.
func (a *App) certificates(ctx caddy.Context, names []string) (*tls.Config, error) {
	app, err := ctx.App("tls")
	if err != nil {
		return nil, fmt.Errorf("finding the tls app: %w", err)
	}
	a.tls = app.(*caddytls.TLS)
	if err := issueInternally(a.tls, names); err != nil {
		return nil, fmt.Errorf("readying certificates: %w", err)
	}
	policies := caddytls.ConnectionPolicies{{DefaultSNI: names[0], FallbackSNI: names[0]}}
	if err := policies.Provision(ctx); err != nil {
		return nil, err
	}
	return policies.TLSConfig(ctx), nil
}

// issueInternally has Caddy's own authority certify names that no public one would,
// localhost for one, unless the configuration says who does.
func issueInternally(app *caddytls.TLS, names []string) error {
	var internal []string
	for _, name := range names {
		if !certmagic.SubjectQualifiesForPublicCert(name) && !isCovered(app, name) {
			internal = append(internal, name)
		}
	}
	if len(internal) == 0 {
		return nil
	}
	return app.AddAutomationPolicy(&caddytls.AutomationPolicy{
		SubjectsRaw: internal, IssuersRaw: []json.RawMessage{json.RawMessage(`{"module":"internal"}`)},
	})
}

func isCovered(app *caddytls.TLS, name string) bool {
	return app.Automation != nil && slices.ContainsFunc(app.Automation.Policies, func(p *caddytls.AutomationPolicy) bool {
		covers := func(subject string) bool { return certmagic.MatchWildcard(name, subject) }
		return len(p.Subjects()) == 0 || slices.ContainsFunc(p.Subjects(), covers)
	})
}

// manageRTMP has Caddy get the certificates.
func (a *App) manageRTMP() error {
	names := make(map[string]struct{})
	for _, r := range a.RTMP {
		for _, name := range r.Names {
			names[name] = struct{}{}
		}
	}
	if len(names) == 0 || a.tls == nil {
		return nil
	}
	return a.tls.Manage(names)
}

// checkPushed tells of streams that nobody could push.
func (a *App) checkPushed() error {
	if len(a.RTMP) > 0 {
		return nil
	}
	for _, s := range a.Streams {
		if slices.Contains(s.Sources, "push:") {
			return fmt.Errorf("stream %q has the source push:, but no encoder can reach this edge; add an rtmp option, as in rtmp :1935", s.ID)
		}
	}
	return nil
}
