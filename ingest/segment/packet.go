package segment

// A transport stream is a row of packets of 188 bytes that start with 0x47
// (ISO/IEC 13818-1 §2.4.3.2).
const (
	packetSize = 188
	syncByte   = 0x47

	pidPAT  = 0x0000
	pidNull = 0x1fff
)

// packet is one transport packet, in place in its buffer.
type packet []byte

func (p packet) pid() uint16       { return uint16(p[1]&0x1f)<<8 | uint16(p[2]) }
func (p packet) unitStart() bool   { return p[1]&0x40 != 0 }
func (p packet) hasPayload() bool  { return p[3]&0x10 != 0 }
func (p packet) counter() uint8    { return p[3] & 0x0f }
func (p packet) setCounter(n byte) { p[3] = p[3]&0xf0 | n&0x0f }

// broken says that the packet is not worth keeping: its sender marked it as
// damaged or scrambled it, or its adaptation field does not fit.
func (p packet) broken() bool {
	damaged, scrambled := p[1]&0x80 != 0, p[3]&0xc0 != 0
	return damaged || scrambled || p[3]&0x30 == 0 || 4+p.adaptation() > packetSize
}

// adaptation returns the size of the adaptation field with its length byte.
func (p packet) adaptation() int {
	if p[3]&0x20 == 0 {
		return 0
	}
	return 1 + int(p[4])
}

// payload returns what follows the header; the packet must not be broken.
func (p packet) payload() []byte {
	if !p.hasPayload() {
		return nil
	}
	return p[4+p.adaptation():]
}

// randomAccess returns the random_access_indicator.
func (p packet) randomAccess() bool { return p.adaptation() > 1 && p[5]&0x40 != 0 }

// setDiscontinuity sets the discontinuity_indicator and returns true if the
// packet has room for it. It tells continuous readers that the clock and the
// counters may jump here.
func (p packet) setDiscontinuity() bool {
	if p.adaptation() < 2 {
		return false
	}
	p[5] |= 0x80
	return true
}
