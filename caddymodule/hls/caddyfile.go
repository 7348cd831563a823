package hls

import (
	"math"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("hls", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("hls", httpcaddyfile.Before, "error")
}

func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	hls [<matcher>] {
//		write_idle     <duration>
//		write_min_rate <size>
//		max_waiting    <count>
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.ArgErr()
	}
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		option := d.Val()
		if seen[option] {
			return d.Errf("option '%s' stands here twice", option)
		}
		seen[option] = true
		if err := h.unmarshalOption(option, d); err != nil {
			return err
		}
	}
	return nil
}

func (h *Handler) unmarshalOption(option string, d *caddyfile.Dispenser) error {
	var set func(value string) bool
	switch option {
	case "write_idle":
		set = func(value string) bool {
			idle, err := caddy.ParseDuration(value)
			h.WriteIdle = caddy.Duration(idle)
			return err == nil && idle > 0
		}
	case "write_min_rate":
		set = func(value string) bool {
			rate, err := humanize.ParseBytes(value)
			if err != nil || rate > math.MaxInt64 {
				return false
			}
			h.WriteMinRate = int64(rate)
			return rate > 0
		}
	case "max_waiting":
		set = func(value string) bool {
			count, err := strconv.ParseInt(value, 10, 64)
			h.MaxWaiting = count
			return err == nil && count > 0
		}
	default:
		return d.Errf("unknown option '%s'; hls has write_idle, write_min_rate and max_waiting", option)
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	value := d.Val()
	if d.NextArg() {
		return d.ArgErr()
	}
	if !set(value) {
		return d.Errf("%s cannot be '%s'; it takes more than zero, such as %s", option, value, examples[option])
	}
	return nil
}

// examples are values of the options, for those who gave a bad one.
var examples = map[string]string{"write_idle": "60s", "write_min_rate": "16KiB", "max_waiting": "10000"}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
