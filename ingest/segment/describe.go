package segment

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

// description is what a stream's own headers say about it.
type description struct {
	name          string // RFC 6381
	width, height int
	rate          float64 // frames per second as declared, 0 if not
}

// maxSide bounds what is believed of a frame's width and height, in pixels.
const maxSide = 16384

// describeVideo reads an SPS, or an MPEG-2 sequence header.
func describeVideo(c codec, b []byte) description {
	d := description{name: c.defaultName()}
	switch c {
	case codecH264:
		d.readH264(b)
	case codecHEVC:
		d.readHEVC(b)
	case codecMPEG2:
		d.readMPEG2(b)
	}
	if d.width <= 0 || d.height <= 0 || d.width > maxSide || d.height > maxSide {
		d.width, d.height = 0, 0
	}
	if !(d.rate > 0 && d.rate <= 1000) { // also false for NaN
		d.rate = 0
	}
	return d
}

func (d *description) readH264(b []byte) {
	if len(b) >= 4 {
		d.name = fmt.Sprintf("avc1.%02x%02x%02x", b[1], b[2], b[3])
	}
	var sps h264.SPS
	if sps.Unmarshal(b) == nil {
		d.width, d.height, d.rate = sps.Width(), sps.Height(), sps.FPS()
	}
}

func (d *description) readHEVC(b []byte) {
	d.name = hevcName(b)
	var sps h265.SPS
	if sps.Unmarshal(b) == nil && sps.ChromaFormatIdc <= 3 { // the library indexes by it
		d.width, d.height, d.rate = sps.Width(), sps.Height(), sps.FPS()
	}
}

// hevcName builds the codec name from profile_tier_level
// (ISO/IEC 14496-15 annex E: profile, compatibility reversed, tier and level, constraints).
func hevcName(sps []byte) string {
	b := h264.EmulationPreventionRemove(sps)
	if len(b) < 15 {
		return codecHEVC.defaultName()
	}
	b = b[3:15]
	name := "hvc1."
	if space := b[0] >> 6; space > 0 {
		name += string('A' + rune(space) - 1)
	}
	tier := "L"
	if b[0]&0x20 != 0 {
		tier = "H"
	}
	name += fmt.Sprintf("%d.%X.%s%d", b[0]&0x1f, bits.Reverse32(binary.BigEndian.Uint32(b[1:])), tier, b[11])
	last := 10
	for last > 4 && b[last] == 0 {
		last--
	}
	for _, c := range b[5 : last+1] {
		name += fmt.Sprintf(".%X", c)
	}
	return name
}

// readMPEG2 reads a sequence header (ISO/IEC 13818-2 §6.2.2.1).
func (d *description) readMPEG2(b []byte) {
	rates := [...]float64{0, 24000.0 / 1001, 24, 25, 30000.0 / 1001, 30, 50, 60000.0 / 1001, 60}
	if len(b) < 8 {
		return
	}
	d.width = int(b[4])<<4 | int(b[5])>>4
	d.height = int(b[5]&0x0f)<<8 | int(b[6])
	if code := int(b[7] & 0x0f); code < len(rates) {
		d.rate = rates[code]
	}
}

// audioParameters returns the bits of an audio frame's header that a decoder is
// set up with, 0 if they are not known: they may not change without a discontinuity.
func audioParameters(c codec, b []byte) uint32 {
	switch {
	case c == codecAAC && len(b) >= 4 && b[0] == 0xff && b[1]&0xf6 == 0xf0:
		return uint32(b[2]&0xfd)<<8 | uint32(b[3]&0xc0) | 1 // profile, rate, channels
	case c == codecMPEGAudio && len(b) >= 4 && b[0] == 0xff && b[1]&0xe0 == 0xe0:
		return uint32(b[1]&0x1e)<<8 | uint32(b[2]&0x0c) | 1 // version, layer, rate
	}
	return 0
}

// audioName returns the RFC 6381 name that belongs to audio parameters.
func audioName(c codec, parameters uint32) string {
	switch {
	case parameters == 0:
		return c.defaultName()
	case c == codecAAC:
		return fmt.Sprintf("mp4a.40.%d", 1+parameters>>14)
	default: // layers I, II, III are 32, 33, 34; the header counts them down from 3
		return fmt.Sprintf("mp4a.40.%d", 35-(parameters>>9&3))
	}
}

// nextUnit returns the offset of the byte after the next start code (00 00 01)
// in b at or after from, or -1.
func nextUnit(b []byte, from int) int {
	for i := from; i+3 < len(b); i++ {
		if b[i] == 0 && b[i+1] == 0 && b[i+2] == 1 {
			return i + 3
		}
	}
	return -1
}

// opensKeyframe looks for what only stands at a point of random access, in the
// first bytes of a frame: for streams that do not set random_access_indicator.
func opensKeyframe(c codec, b []byte) bool {
	for i := nextUnit(b, 0); i >= 0; i = nextUnit(b, i) {
		switch n := b[i]; {
		case c == codecH264 && (n&0x1f == 5 || n&0x1f == 7),
			c == codecHEVC && (n>>1&0x3f >= 16 && n>>1&0x3f <= 21 || n>>1&0x3f == 33),
			c == codecMPEG2 && n == 0xb3:
			return true
		}
	}
	return false
}

// reachesPicture tells whether the first bytes of a frame go as far as its first
// slice: what describes the frame stands before it.
func reachesPicture(c codec, b []byte) bool {
	for i := nextUnit(b, 0); i >= 0; i = nextUnit(b, i) {
		switch n := b[i]; {
		case c == codecH264 && n&0x1f >= 1 && n&0x1f <= 5,
			c == codecHEVC && n>>1&0x3f < 32,
			c == codecMPEG2 && n >= 0x01 && n <= 0xaf:
			return true
		}
	}
	return false
}

// captionsMark begins CEA-608 and CEA-708 captions in an SEI message or in MPEG-2
// user data: ITU-T T.35 country and provider, "GA94", cc_data (ATSC A/72 §6.4.2).
// MPEG-2 has only its end. None of it can hold an emulation prevention byte.
var captionsMark = []byte("GA94\x03")

func holdsCaptions(b []byte) bool { return bytes.Contains(b, captionsMark) }

// parameterSet finds the SPS or sequence header in the first bytes of a frame.
// It is nil as long as its end is not there.
func parameterSet(c codec, b []byte) []byte {
	for i := nextUnit(b, 0); i >= 0; i = nextUnit(b, i) {
		switch n := b[i]; {
		case c == codecMPEG2 && n == 0xb3:
			if i+5 > len(b) {
				return nil
			}
			return b[i-3 : i+5]
		case c == codecH264 && n&0x1f == 7, c == codecHEVC && n>>1&0x3f == 33:
			end := nextUnit(b, i)
			if end < 0 {
				return nil
			}
			for end -= 3; end > i && b[end-1] == 0; end-- { // zeros before a start code
			}
			return b[i:end]
		}
	}
	return nil
}

// nearRate returns the usual frame rate next to a measured one, else the rate
// itself, rounded to a thousandth as FRAME-RATE wants it (RFC 8216 §4.3.4.2).
func nearRate(rate float64) float64 {
	usual := [...]float64{10, 12, 12.5, 15, 20, 24000.0 / 1001, 24, 25, 30000.0 / 1001, 30, 48, 50, 60000.0 / 1001, 60, 100, 120}
	best, off := rate, math.Inf(1)
	for _, u := range usual {
		if d := math.Abs(rate - u); d < off && d < 0.005*u {
			best, off = u, d
		}
	}
	return math.Round(best*1000) / 1000
}
