package edge

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

// options are those of a block, by name.
type options map[string]option

// option reads what follows an option's name: its arguments, on the same line,
// and perhaps its block.
type option struct {
	parse      func(d *caddyfile.Dispenser) error
	repeatable bool
}

// parse reads the block that opens behind the token that d stands on, if one
// does. Nothing else may stand there.
func (o options) parse(d *caddyfile.Dispenser) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		opt, known := o[name]
		switch {
		case !known:
			return d.Errf("unknown option '%s'; known here: %s", name, o.names())
		case seen[name] && !opt.repeatable:
			return d.Errf("option '%s' is given twice", name)
		}
		seen[name] = true
		if err := opt.parse(d); err != nil {
			return err
		}
		if d.NextArg() {
			return d.ArgErr()
		}
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

func (o options) names() string {
	var names []string
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func once(parse func(*caddyfile.Dispenser) error) option { return option{parse: parse} }

func many(parse func(*caddyfile.Dispenser) error) option {
	return option{parse: parse, repeatable: true}
}

func block(o options) option { return once(o.parse) }

// argument is an option with one argument that set understands.
func argument(set func(d *caddyfile.Dispenser) error) option {
	return once(func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.ArgErr()
		}
		return set(d)
	})
}

// flag is an option that stands alone.
func flag(to *bool) option {
	return once(func(*caddyfile.Dispenser) error {
		*to = true
		return nil
	})
}

func text(to *string) option {
	return argument(func(d *caddyfile.Dispenser) error {
		if d.Val() == "" {
			return d.Err("an empty value; leave the option out for its default")
		}
		*to = d.Val()
		return nil
	})
}

func count(to *int) option {
	return argument(func(d *caddyfile.Dispenser) error {
		n, err := strconv.Atoi(d.Val())
		if err != nil || n < 1 {
			return d.Errf("'%s' is not a whole number above 0", d.Val())
		}
		*to = n
		return nil
	})
}

func number(to *float64) option {
	return argument(func(d *caddyfile.Dispenser) error {
		n, err := strconv.ParseFloat(d.Val(), 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return d.Errf("'%s' is not a number", d.Val())
		}
		*to = n
		return nil
	})
}

func duration(to *caddy.Duration) option {
	return argument(func(d *caddyfile.Dispenser) error {
		dur, err := caddy.ParseDuration(d.Val())
		if err != nil || dur <= 0 {
			return d.Errf("'%s' is not a duration; write one like 2s or 1.92s", d.Val())
		}
		*to = caddy.Duration(dur)
		return nil
	})
}

func size(to *int64) option {
	return argument(func(d *caddyfile.Dispenser) error {
		n, err := humanize.ParseBytes(d.Val())
		if err != nil || n < 1 || n > math.MaxInt64 {
			return d.Errf("'%s' is not a size; write one like 512MiB", d.Val())
		}
		*to = int64(n)
		return nil
	})
}

func rate(to *int64) option {
	return argument(func(d *caddyfile.Dispenser) (err error) {
		n, err := bitrate(d)
		*to = int64(n)
		return err
	})
}

// bitrate reads the word that d stands on. Humanize knows the decimal units; it
// takes them for bytes, but k, m and g are the same for bits. A B of its own
// would mean bytes, and is refused.
func bitrate(d *caddyfile.Dispenser) (int, error) {
	word := strings.TrimSuffix(strings.ToLower(d.Val()), "bit")
	n, err := humanize.ParseBytes(word)
	if err != nil || strings.ContainsAny(word, "bi") || n < 1 || n > math.MaxInt64 {
		return 0, d.Errf("'%s' is not a bit rate; write bits per second like 1200k, 3m or 10gbit", d.Val())
	}
	return int(n), nil
}
