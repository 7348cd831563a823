package segment

import "math"

// Format says what a segment holds, for CODECS, RESOLUTION and FRAME-RATE of
// the multivariant playlist (RFC 8216 §4.3.4.2). Formats compare with ==.
type Format struct {
	// Codecs is the list in the form of RFC 6381, video first, each name once:
	// "avc1.64001f,mp4a.40.2".
	Codecs string
	// Width and Height are in pixels, 0 if there is no video or it does not say.
	Width, Height int
	// FrameRate is in frames per second with three decimals, 0 if unknown. It
	// does not follow jitter: it changes only when the rate has.
	FrameRate float64
	// HasVideo and HasAudio say which tracks the program lists.
	HasVideo, HasAudio bool
	// HasCaptions says that the pictures carried CEA-608 or CEA-708 captions at some
	// time: they may pause for long.
	HasCaptions bool
}

// rateMeter keeps a frame rate steady over pieces.
type rateMeter struct {
	rate float64
	off  int // pieces in a row that contradicted rate
}

// add counts a piece and returns the rate. A declared rate is taken if the count
// bears it out; a new one, if three pieces in a row are more than 2 % off.
func (m *rateMeter) add(frames int, ticks int64, declared float64) float64 {
	if frames < 2 || ticks <= 0 {
		return m.rate
	}
	rate := float64(frames) * second / float64(ticks)
	if m.rate > 0 && math.Abs(rate-m.rate) <= 0.02*m.rate {
		m.off = 0
		return m.rate
	}
	if m.off++; m.rate > 0 && m.off < 3 {
		return m.rate
	}
	m.off = 0
	m.rate = nearRate(rate)
	if math.Abs(rate-declared) <= 0.05*declared {
		m.rate = math.Round(declared*1000) / 1000
	}
	return m.rate
}

// formatOf puts the descriptions of a program's tracks together.
func formatOf(tracks []*track) Format {
	var f Format
	seen := map[string]bool{}
	for _, t := range tracks {
		if t.codec.video() {
			f.HasVideo, f.HasCaptions, f.Width, f.Height = true, t.captions, t.shape.width, t.shape.height
		} else {
			f.HasAudio = true
		}
	}
	for _, video := range []bool{true, false} {
		for _, t := range tracks {
			if t.codec.video() != video || seen[t.shape.name] {
				continue
			}
			seen[t.shape.name] = true
			if f.Codecs != "" {
				f.Codecs += ","
			}
			f.Codecs += t.shape.name
		}
	}
	return f
}
