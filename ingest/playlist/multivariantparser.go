package playlist

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseMultivariant reads a multivariant playlist. A media playlist, a variant
// without BANDWIDTH or URI and a malformed attribute list are errors; unknown tags
// and attributes are ignored. An error wraps a SyntaxError.
func ParseMultivariant(b []byte) (*Multivariant, error) {
	p := multivariantParser{lines: lines{rest: string(b)}}
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("parsing multivariant playlist: %w", err)
	}
	return &p.m, nil
}

// multivariantParser gathers a playlist line by line.
type multivariantParser struct {
	lines
	m       Multivariant
	pending *Variant // its URI comes next
}

func (p *multivariantParser) parse() error {
	if err := p.header(); err != nil {
		return err
	}
	for {
		line, ok, err := p.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := p.line(line); err != nil {
			return err
		}
	}
	if p.pending != nil {
		return p.errorf("the last EXT-X-STREAM-INF has no URI after it")
	}
	return nil
}

// line takes in one line that is not blank.
func (p *multivariantParser) line(line string) error {
	name, value := tag(line)
	switch name {
	case "":
		if p.pending == nil {
			return p.errorf("a URI needs an EXT-X-STREAM-INF before it")
		}
		p.pending.URI = value
		p.m.Variants = append(p.m.Variants, *p.pending)
		p.pending = nil
	case "EXT-X-STREAM-INF":
		if p.pending != nil {
			return p.errorf("EXT-X-STREAM-INF follows an EXT-X-STREAM-INF; a URI must stand between them")
		}
		return p.variant(value)
	case "EXT-X-MEDIA":
		return p.alternative(value)
	case "EXT-X-CONTENT-STEERING":
		return p.steering(value)
	case "EXTINF", "EXT-X-TARGETDURATION":
		return p.errorf("%s belongs to a media playlist, and this must be a multivariant playlist", name)
	}
	return nil
}

func (p *multivariantParser) steering(value string) error {
	if p.m.SteeringURI != "" {
		return p.errorf("EXT-X-CONTENT-STEERING may stand only once")
	}
	ok := parseAttributes(value, func(a attribute) {
		switch a.name {
		case "SERVER-URI":
			p.m.SteeringURI = a.value
		case "PATHWAY-ID":
			p.m.PathwayID = a.value
		}
	})
	if !ok || p.m.SteeringURI == "" {
		return p.errorf("EXT-X-CONTENT-STEERING must be a list of attributes with a SERVER-URI")
	}
	return nil
}

// alternative takes in an EXT-X-MEDIA of a type that this package writes; others,
// and those that belong to no group, are passed over.
func (p *multivariantParser) alternative(value string) error {
	var a Alternative
	if !parseAttributes(value, a.set) {
		return p.errorf("EXT-X-MEDIA must be a list of attributes, each named once")
	}
	if (a.Type == Audio || a.Type == ClosedCaptions) && a.GroupID != "" {
		p.m.Alternatives = append(p.m.Alternatives, a)
	}
	return nil
}

// set takes over one attribute.
func (a *Alternative) set(from attribute) {
	switch from.name {
	case "TYPE":
		a.Type = AlternativeType(from.value)
	case "GROUP-ID":
		a.GroupID = from.value
	case "NAME":
		a.Name = from.value
	case "LANGUAGE":
		a.Language = from.value
	case "DEFAULT":
		a.Default = from.value == "YES"
	case "URI":
		a.URI = from.value
	case "INSTREAM-ID":
		a.InstreamID = from.value
	}
}

func (p *multivariantParser) variant(value string) error {
	p.pending = &Variant{}
	bad := ""
	ok := parseAttributes(value, func(a attribute) {
		if !p.pending.set(a) {
			bad = a.name
		}
	})
	switch {
	case !ok:
		return p.errorf("EXT-X-STREAM-INF must be a list of attributes, each named once")
	case bad != "":
		return p.errorf("EXT-X-STREAM-INF has a malformed %s", bad)
	case p.pending.Bandwidth == 0:
		return p.errorf("EXT-X-STREAM-INF must say its BANDWIDTH")
	}
	return nil
}

// set takes over one attribute and reports whether it is well formed.
func (v *Variant) set(a attribute) (ok bool) {
	switch a.name {
	case "BANDWIDTH":
		v.Bandwidth, ok = parsePositive(a.value)
	case "AVERAGE-BANDWIDTH":
		v.AverageBandwidth, ok = parsePositive(a.value)
	case "RESOLUTION":
		width, height, _ := strings.Cut(a.value, "x")
		if v.Width, ok = parsePositive(width); ok {
			v.Height, ok = parsePositive(height)
		}
	case "FRAME-RATE":
		v.FrameRate, ok = parseFrameRate(a.value)
	case "CODECS":
		v.Codecs, ok = a.value, a.quoted
	case "AUDIO":
		v.Audio, ok = a.value, a.quoted
	case "CLOSED-CAPTIONS":
		// NONE, unquoted, says that there are none.
		if ok = true; a.quoted {
			v.ClosedCaptions = a.value
		}
	case "STABLE-VARIANT-ID":
		v.StableVariantID, ok = a.value, a.quoted
	case "PATHWAY-ID":
		v.PathwayID, ok = a.value, a.quoted
	default:
		ok = true
	}
	return ok
}

// parsePositive reads a decimal integer from 1 to 2³¹−1: room for 2 Gbit/s.
func parsePositive(s string) (int, bool) {
	n, ok := parseDecimal(s, math.MaxInt32)
	return int(n), ok && n > 0
}

// parseFrameRate reads a decimal number up to 2³¹−1 and keeps three decimals, the
// precision in which FRAME-RATE is given (RFC 8216 §4.3.4.2).
func parseFrameRate(s string) (float64, bool) {
	whole, fraction, point := strings.Cut(s, ".")
	if _, ok := parseDecimal(whole, math.MaxInt32); !ok || point && !digits(fraction) {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	f = math.Round(f*1000) / 1000
	return f, err == nil && f <= math.MaxInt32
}
