package playlist

import "strconv"

// Multivariant is a multivariant playlist: the renditions of a stream, and where
// to ask which pathway to take (RFC 8216 §4.3.4, RFC 8216bis §4.4.6).
type Multivariant struct {
	// Variants in the order in which a player should consider them.
	Variants []Variant
	// Alternatives are what a viewer may choose beside or instead of what the
	// variants hold: languages, captions.
	Alternatives []Alternative
	// SteeringURI is the SERVER-URI of EXT-X-CONTENT-STEERING. Empty means that
	// the stream is not steered, and the tag is left out.
	SteeringURI string
	// PathwayID is the pathway that a player starts on. Empty leaves it to the
	// player. It has a meaning only beside SteeringURI.
	PathwayID string
}

// Variant is one EXT-X-STREAM-INF with the URI that follows it (RFC 8216
// §4.3.4.2). A field's zero value means unknown: its attribute is left out,
// except BANDWIDTH, which is required.
type Variant struct {
	// URI of the media playlist. A variant without one is not written.
	URI string
	// Bandwidth is the peak and AverageBandwidth the mean bit rate in bits per
	// second. Function Bandwidth measures both.
	Bandwidth, AverageBandwidth int
	// Codecs is a comma-separated list in the format of RFC 6381.
	Codecs string
	// Width and Height are the size of the picture in pixels, written if both
	// are known.
	Width, Height int
	// FrameRate is in frames per second, to three decimals.
	FrameRate float64
	// Audio and ClosedCaptions name the groups of alternatives that go with the
	// variant; empty: none.
	Audio, ClosedCaptions string
	// PathwayID names the group of variants that stand on one edge.
	PathwayID string
	// StableVariantID is the same for the same rendition on every pathway.
	StableVariantID string
}

// AppendText appends the playlist's text to dst and returns the longer slice.
// Quotes, control characters and broken UTF-8 in its strings are percent-encoded,
// so that no value ends its attribute or its line.
func (m *Multivariant) AppendText(dst []byte) []byte {
	dst = append(dst, "#EXTM3U\n#EXT-X-VERSION:"...)
	dst = strconv.AppendInt(dst, defaultVersion, 10)
	dst = append(dst, "\n#EXT-X-INDEPENDENT-SEGMENTS\n"...)
	if m.SteeringURI != "" {
		dst = append(dst, "#EXT-X-CONTENT-STEERING:SERVER-URI="...)
		dst = appendQuoted(dst, m.SteeringURI)
		dst = appendString(dst, ",PATHWAY-ID=", m.PathwayID)
		dst = append(dst, '\n')
	}
	for i := range m.Alternatives {
		dst = m.Alternatives[i].appendText(dst)
	}
	for i := range m.Variants {
		dst = m.Variants[i].appendText(dst)
	}
	return dst
}

// appendText appends the two lines of one variant.
func (v *Variant) appendText(dst []byte) []byte {
	if v.URI == "" {
		return dst
	}
	dst = append(dst, "#EXT-X-STREAM-INF:BANDWIDTH="...)
	dst = strconv.AppendInt(dst, int64(v.Bandwidth), 10)
	if v.AverageBandwidth > 0 {
		dst = append(dst, ",AVERAGE-BANDWIDTH="...)
		dst = strconv.AppendInt(dst, int64(v.AverageBandwidth), 10)
	}
	if v.Width > 0 && v.Height > 0 {
		dst = append(dst, ",RESOLUTION="...)
		dst = strconv.AppendInt(dst, int64(v.Width), 10)
		dst = append(dst, 'x')
		dst = strconv.AppendInt(dst, int64(v.Height), 10)
	}
	if v.FrameRate >= 0.0005 { // what three decimals can still tell from nothing
		dst = append(dst, ",FRAME-RATE="...)
		dst = strconv.AppendFloat(dst, v.FrameRate, 'f', 3, 64)
	}
	dst = appendString(dst, ",CODECS=", v.Codecs)
	dst = appendString(dst, ",AUDIO=", v.Audio)
	dst = appendString(dst, ",CLOSED-CAPTIONS=", v.ClosedCaptions)
	dst = appendString(dst, ",STABLE-VARIANT-ID=", v.StableVariantID)
	dst = appendString(dst, ",PATHWAY-ID=", v.PathwayID)
	dst = append(dst, '\n')
	dst = appendURILine(dst, v.URI)
	return append(dst, '\n')
}

// appendString appends an attribute that holds a quoted string, or nothing if
// the string is empty.
func appendString(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendQuoted(append(dst, name...), value)
}
