package segment

import "time"

// ticks count 90 kHz periods, the unit of PTS and DTS.
const second = 90000

// ticksUp converts a duration to ticks, rounding up.
func ticksUp(d time.Duration) int64 { return (int64(d)*9 + 99999) / 100000 }

// ticksDown converts a duration to ticks, rounding down.
func ticksDown(d time.Duration) int64 { return int64(d) * 9 / 100000 }

// span converts ticks to a duration.
func span(ticks int64) time.Duration { return time.Duration(ticks * 100000 / 9) }

// pesHeader is what the cutter needs from the start of a PES packet
// (ISO/IEC 13818-1 §2.4.3.6).
type pesHeader struct {
	pts, dts int64  // 33 bits; dts equals pts where the stream has none
	body     []byte // the first bytes of the elementary stream
}

// parsePES reads the header of a PES packet with a timestamp; ok is false for
// one without, or if the header does not lie in this packet as a whole.
func parsePES(b []byte) (h pesHeader, ok bool) {
	if len(b) < 14 || b[0] != 0 || b[1] != 0 || b[2] != 1 || b[6]&0xc0 != 0x80 {
		return h, false
	}
	start := 9 + int(b[8])
	if start > len(b) || b[7]&0x80 == 0 || b[8] < 5 {
		return h, false
	}
	h.pts = timestamp(b[9:])
	h.dts = h.pts
	if b[7]&0x40 != 0 && b[8] >= 10 {
		h.dts = timestamp(b[14:])
	}
	h.body = b[start:]
	return h, true
}

func timestamp(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
}

// unwrap returns the value nearest to ref that equals raw in its low 33 bits:
// timestamps wrap every 26.5 hours.
func unwrap(raw, ref int64) int64 {
	const wrap = 1 << 33
	d := (raw - ref) & (wrap - 1)
	if d >= wrap/2 {
		d -= wrap
	}
	return ref + d
}
