package streamtoken

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

// UnmarshalCaddyfile sets up the matcher from Caddyfile tokens. Syntax:
//
//	stream_token
func (m *Matcher) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for first := true; d.Next(); first = false {
		if !first {
			return d.Err("stream_token stands twice in one matcher; once is enough")
		}
		if d.NextArg() {
			return d.ArgErr()
		}
		if d.NextBlock(0) {
			return d.Errf("unknown option '%s'; stream_token has none", d.Val())
		}
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Matcher)(nil)
