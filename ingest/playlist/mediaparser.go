package playlist

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// ParseMedia reads a media playlist.
//
// Missing or repeated numbers, tags that belong to no segment and a
// multivariant playlist are errors, because a client that guesses there
// numbers segments wrongly. Unknown tags and attributes are ignored. An error
// wraps a SyntaxError.
//
// An EXTINF above TARGETDURATION is not an error of syntax: the caller judges it.
func ParseMedia(b []byte) (*Media, error) {
	p := mediaParser{lines: lines{rest: string(b)}, m: Media{Version: 1}}
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("parsing media playlist: %w", err)
	}
	return &p.m, nil
}

// mediaParser gathers a playlist line by line.
type mediaParser struct {
	lines
	m       Media
	seen    tagSet
	pending Segment // what the tags say about the URI that follows
	inf     bool    // pending has an EXTINF
	tags    bool    // pending has any tag
}

// tagSet remembers which of the tags that may stand only once were there.
type tagSet uint8

const (
	seenVersion tagSet = 1 << iota
	seenTargetDuration
	seenMediaSequence
	seenDiscontinuitySequence
	seenDiscontinuity
)

func (p *mediaParser) parse() error {
	if err := p.header(); err != nil {
		return err
	}
	for {
		line, ok, err := p.next()
		if err != nil {
			return err
		}
		if !ok {
			return p.finish()
		}
		if err := p.line(line); err != nil {
			return err
		}
	}
}

// line takes in one line that is not blank.
func (p *mediaParser) line(line string) error {
	name, value := tag(line)
	switch name {
	case "":
		return p.uri(value)
	case "EXTINF":
		return p.duration(value)
	case "EXT-X-DISCONTINUITY":
		return p.discontinuity()
	case "EXT-X-PROGRAM-DATE-TIME":
		return p.programDateTime(value)
	case "EXT-X-GAP":
		p.pending.Gap, p.tags = true, true
		return nil
	case "EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-MEDIA":
		return p.errorf("%s belongs to a multivariant playlist, and this must be a media playlist", name)
	}
	return p.number(name, value)
}

// number takes in a tag that describes the whole list by one number.
func (p *mediaParser) number(name, value string) error {
	var once tagSet
	least, limit := int64(0), int64(math.MaxInt64)
	switch name {
	case "EXT-X-VERSION":
		once, least, limit = seenVersion, 1, math.MaxInt32
	case "EXT-X-TARGETDURATION":
		once, least, limit = seenTargetDuration, 1, int64(longest/time.Second)
	case "EXT-X-MEDIA-SEQUENCE":
		once = seenMediaSequence
	case "EXT-X-DISCONTINUITY-SEQUENCE":
		once = seenDiscontinuitySequence
	default:
		return nil // unknown, hence ignored
	}
	n, ok := parseDecimal(value, limit)
	if !ok || n < least {
		return p.errorf("%s must be a whole number from %d to %d", name, least, limit)
	}
	if p.seen&once != 0 {
		return p.errorf("%s may stand only once", name)
	}
	p.seen |= once
	switch once {
	case seenVersion:
		p.m.Version = int(n)
	case seenTargetDuration:
		p.m.TargetDuration = int(n)
	case seenMediaSequence:
		p.m.MediaSequence = n
		return p.beforeSegments(name, len(p.m.Segments) > 0)
	case seenDiscontinuitySequence:
		p.m.DiscontinuitySequence = n
		return p.beforeSegments(name, len(p.m.Segments) > 0 || p.seen&seenDiscontinuity != 0)
	}
	return nil
}

// beforeSegments refuses a sequence number that comes too late to number what
// was already read (RFC 8216 §4.3.3.2, §4.3.3.3).
func (p *mediaParser) beforeSegments(name string, late bool) error {
	if late {
		return p.errorf("%s must stand before the first segment and its discontinuity", name)
	}
	return nil
}

func (p *mediaParser) duration(value string) error {
	seconds, _, _ := strings.Cut(value, ",") // what follows is a title
	d, ok := parseSeconds(seconds)
	if !ok {
		return p.errorf("EXTINF must be a decimal number of seconds, at most %d", longest/time.Second)
	}
	if p.inf {
		return p.errorf("EXTINF follows an EXTINF; a segment's name must stand between them")
	}
	p.pending.Duration, p.inf, p.tags = d, true, true
	return nil
}

func (p *mediaParser) discontinuity() error {
	if p.pending.Discontinuity {
		return p.errorf("EXT-X-DISCONTINUITY may stand only once per segment")
	}
	p.seen |= seenDiscontinuity
	p.pending.Discontinuity, p.tags = true, true
	return nil
}

func (p *mediaParser) programDateTime(value string) error {
	if !p.pending.ProgramDateTime.IsZero() {
		return p.errorf("EXT-X-PROGRAM-DATE-TIME may stand only once per segment")
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		// ISO 8601 allows an offset without a colon, and FFmpeg writes it so.
		t, err = time.Parse("2006-01-02T15:04:05Z0700", value)
	}
	t = t.UTC()
	// The last year is left free so that start + duration keeps four digits.
	if err != nil || t.Year() < 1970 || t.Year() >= 9999 {
		return p.errorf("EXT-X-PROGRAM-DATE-TIME must be a date and time with a zone, like 2030-01-01T00:00:00.000Z")
	}
	p.pending.ProgramDateTime, p.tags = t, true
	return nil
}

func (p *mediaParser) uri(name string) error {
	if !p.inf {
		return p.errorf("a segment's name needs an EXTINF before it")
	}
	p.pending.URI = name
	p.m.Segments = append(p.m.Segments, p.pending)
	p.pending, p.inf, p.tags = Segment{}, false, false
	return nil
}

// finish checks what can only be known at the end.
func (p *mediaParser) finish() error {
	// Neither sequence may run over the end of int64 inside the list.
	n := int64(len(p.m.Segments))
	switch {
	case p.tags:
		return p.errorf("the last tags describe a segment whose name is missing")
	case p.seen&seenTargetDuration == 0:
		return p.errorf("EXT-X-TARGETDURATION is missing")
	case p.m.MediaSequence > math.MaxInt64-n, p.m.DiscontinuitySequence > math.MaxInt64-n:
		return p.errorf("the sequence numbers run over %d", int64(math.MaxInt64))
	}
	return nil
}
