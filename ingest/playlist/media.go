// Package playlist writes and reads the two kinds of HLS playlist that an edge
// deals in: the media playlist of one rendition and the multivariant playlist
// of a stream.
//
// It is pure: values in, text out, and back. What it writes follows RFC 8216
// and the choices of this project (PROGRAM-DATE-TIME on every segment, bare
// relative names, DISCONTINUITY-SEQUENCE always). What it reads may come from a
// peer edge or from a server under test, so reading is strict about everything
// that numbering rests on, and silent about tags that it does not know
// (RFC 8216 §6.3.1).
package playlist

import (
	"strconv"
	"time"
)

// defaultVersion is the protocol version of what this package writes. 6 is what
// RFC 8216 §7 asks for the tags in use, and what every player in the field reads.
const defaultVersion = 6

// Media is a media playlist: a rendition's window of segments, oldest first
// (RFC 8216 §4.3.3).
type Media struct {
	// Version is EXT-X-VERSION. Zero is written as 6; a list that does not name
	// its version is read as 1 (RFC 8216 §4.3.1.2).
	Version int
	// TargetDuration is EXT-X-TARGETDURATION in seconds. No EXTINF, rounded to
	// whole seconds, may be above it, and it never changes (RFC 8216 §4.3.3.1).
	TargetDuration int
	// MediaSequence is the number (MSN) of the first segment; those that follow
	// count on from it (RFC 8216 §4.3.3.2).
	MediaSequence int64
	// DiscontinuitySequence is the number of EXT-X-DISCONTINUITY tags that have
	// left the list (RFC 8216 §4.3.3.3). The tag of the first segment is still
	// in the list: that segment's own discontinuity number is one higher.
	DiscontinuitySequence int64
	// Segments is the window, oldest first.
	Segments []Segment
}

// Segment is one entry of a media playlist.
type Segment struct {
	// URI is the segment's relative name. When empty, the name that the numbering
	// rules give it is written: "<MSN>.ts".
	URI string
	// Duration is the exact length of the segment's media. See AppendText for
	// how it is rounded.
	Duration time.Duration
	// Discontinuity says that codec, tracks or timestamps do not continue those
	// of the segment before (RFC 8216 §4.3.2.3).
	Discontinuity bool
	// Gap says that the number exists, but its media are absent (RFC 8216bis
	// §4.4.4.7).
	Gap bool
	// ProgramDateTime is the instant of the segment's first sample (RFC 8216
	// §4.3.2.6). The zero time means that the list does not say; the tag is
	// left out then.
	ProgramDateTime time.Time
}

// AppendText appends the playlist's text to dst and returns the longer slice.
//
// Dates are cut to milliseconds, and EXTINF is the distance from the cut start
// to the cut end, not a rounded length. So a segment reads the same in every
// list it appears in, PROGRAM-DATE-TIME + EXTINF is to the millisecond the
// PROGRAM-DATE-TIME of the segment that follows, and the sum of a window never
// drifts from the media, while no single EXTINF is off by a millisecond or
// more. A length that is within TargetDuration is never rounded above it.
//
// A URI can hold neither a control character nor begin with "#"; such bytes are
// percent-encoded, so that no name breaks its line.
func (m *Media) AppendText(dst []byte) []byte {
	version := m.Version
	if version == 0 {
		version = defaultVersion
	}
	dst = append(dst, "#EXTM3U\n#EXT-X-VERSION:"...)
	dst = strconv.AppendInt(dst, int64(version), 10)
	dst = append(dst, "\n#EXT-X-TARGETDURATION:"...)
	dst = strconv.AppendInt(dst, int64(m.TargetDuration), 10)
	dst = append(dst, "\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MEDIA-SEQUENCE:"...)
	dst = strconv.AppendInt(dst, m.MediaSequence, 10)
	dst = append(dst, "\n#EXT-X-DISCONTINUITY-SEQUENCE:"...)
	dst = strconv.AppendInt(dst, m.DiscontinuitySequence, 10)
	dst = append(dst, '\n')
	for i := range m.Segments {
		dst = m.Segments[i].appendText(dst, m.MediaSequence+int64(i), m.TargetDuration)
	}
	return dst
}

// appendText appends the lines of one entry, whose number is msn.
func (s *Segment) appendText(dst []byte, msn int64, targetDuration int) []byte {
	if s.Discontinuity {
		dst = append(dst, "#EXT-X-DISCONTINUITY\n"...)
	}
	if s.Gap {
		dst = append(dst, "#EXT-X-GAP\n"...)
	}
	if !s.ProgramDateTime.IsZero() {
		dst = append(dst, "#EXT-X-PROGRAM-DATE-TIME:"...)
		// The layout's fraction cuts, it does not round: as UnixMilli below does.
		dst = s.ProgramDateTime.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
		dst = append(dst, '\n')
	}
	dst = append(dst, "#EXTINF:"...)
	dst = appendMillis(dst, s.millis(targetDuration))
	dst = append(dst, ",\n"...)
	if s.URI == "" {
		dst = strconv.AppendInt(dst, msn, 10)
		dst = append(dst, ".ts"...)
	} else {
		dst = appendURILine(dst, s.URI)
	}
	return append(dst, '\n')
}

// millis is the EXTINF of the segment in milliseconds.
func (s *Segment) millis(targetDuration int) int64 {
	ms := s.Duration.Round(time.Millisecond).Milliseconds()
	if !s.ProgramDateTime.IsZero() {
		ms = s.ProgramDateTime.Add(s.Duration).UnixMilli() - s.ProgramDateTime.UnixMilli()
	}
	// The last millisecond that a player still rounds down to TARGETDURATION.
	// A segment that is truly too long stays visible as such.
	last := int64(targetDuration)*1000 + 499
	if ms > last && s.Duration < time.Duration(targetDuration)*time.Second+time.Second/2 {
		ms = last
	}
	return ms
}

// appendMillis appends ms thousandths as a decimal number with three decimals.
func appendMillis(dst []byte, ms int64) []byte {
	dst = strconv.AppendInt(dst, ms/1000, 10)
	ms %= 1000
	return append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}
