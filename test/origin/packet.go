package origin

// MPEG-2 transport stream, ISO/IEC 13818-1: as much of it as a loop needs.

const (
	packetSize = 188
	syncByte   = 0x47
	clockRate  = 90_000    // PTS, DTS and the base of PCR count at this rate
	clockMask  = 1<<33 - 1 // and have 33 bits
)

// packet is one transport packet.
type packet []byte

func (p packet) pid() int          { return int(p[1]&0x1f)<<8 | int(p[2]) }
func (p packet) start() bool       { return p[1]&0x40 != 0 }
func (p packet) hasPayload() bool  { return p[3]&0x10 != 0 }
func (p packet) hasField() bool    { return p[3]&0x20 != 0 && p[4] > 0 }
func (p packet) setCounter(n byte) { p[3] = p[3]&0xf0 | n&0x0f }

// keyframe tells whether a picture that can be decoded on its own begins here
// (random_access_indicator).
func (p packet) keyframe() bool { return p.start() && p.hasField() && p[5]&0x40 != 0 }

// payload is what follows the header and the adaptation field; nil without one.
func (p packet) payload() []byte {
	if !p.hasPayload() {
		return nil
	}
	at := 4
	if p[3]&0x20 != 0 {
		at += 1 + int(p[4])
	}
	if at >= packetSize {
		return nil
	}
	return p[at:]
}

// pes is the PES header that begins in the packet; nil if none does.
func (p packet) pes() []byte {
	b := p.payload()
	if !p.start() || len(b) < 14 || b[0] != 0 || b[1] != 0 || b[2] != 1 || b[7]&0x80 == 0 {
		return nil
	}
	if b[7]&0x40 != 0 && len(b) < 19 {
		return nil
	}
	return b
}

// times gives the PTS and DTS of a PES header.
func times(pes []byte) (pts, dts int64) {
	pts = readTime(pes[9:14])
	if pes[7]&0x40 == 0 {
		return pts, pts
	}
	return pts, readTime(pes[14:19])
}

// shift adds to every time in the packet, modulo 2³³.
func (p packet) shift(ticks int64) {
	if p.hasField() && p[5]&0x10 != 0 {
		base := int64(p[6])<<25 | int64(p[7])<<17 | int64(p[8])<<9 | int64(p[9])<<1 | int64(p[10])>>7
		base = (base + ticks) & clockMask
		p[6], p[7], p[8], p[9] = byte(base>>25), byte(base>>17), byte(base>>9), byte(base>>1)
		p[10] = byte(base<<7) | p[10]&0x7f
	}
	pes := p.pes()
	if pes == nil {
		return
	}
	shiftTime(pes[9:14], ticks)
	if pes[7]&0x40 != 0 {
		shiftTime(pes[14:19], ticks)
	}
}

func readTime(b []byte) int64 {
	return int64(b[0]>>1&0x07)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
}

func shiftTime(b []byte, ticks int64) {
	t := (readTime(b) + ticks) & clockMask
	b[0] = b[0]&0xf1 | byte(t>>29)&0x0e
	b[1] = byte(t >> 22)
	b[2] = byte(t>>14) | 1
	b[3] = byte(t >> 7)
	b[4] = byte(t<<1) | 1
}
