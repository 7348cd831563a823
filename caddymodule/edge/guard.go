package edge

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/headrace/headrace/ingest/guard"
)

// Guard says where sources may be. What a source leads to, by redirects, playlists
// and keys, is held to the same.
type Guard struct {
	// Addresses and prefixes at which sources may be besides the public internet:
	// `10.1.2.3`, `192.168.0.0/16`, `fd00::/8`. Private networks, the edge's own
	// machine and cloud metadata services are refused unless they are named here.
	// The multicast groups and addresses that udp sources are received on must be
	// named in any case. A reload counts for connections that are made after it.
	// Default: none.
	Allow []string `json:"allow,omitempty"`
}

func (g *Guard) parseAllow(d *caddyfile.Dispenser) error {
	allow := d.RemainingArgs()
	if len(allow) == 0 {
		return d.ArgErr()
	}
	for _, text := range allow {
		if _, err := guard.ParseAllow(text); err != nil {
			return d.WrapErr(err)
		}
	}
	g.Allow = append(g.Allow, allow...)
	return nil
}

// policy is what the engine takes.
func (g *Guard) policy() (p guard.Policy, err error) {
	for _, text := range g.Allow {
		prefix, err := guard.ParseAllow(text)
		if err != nil {
			return p, err
		}
		p.Allow = append(p.Allow, prefix)
	}
	return p, nil
}
