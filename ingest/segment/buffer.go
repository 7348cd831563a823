package segment

const (
	maxRead = 256 << 10 // most bytes that Space offers
	spare   = 1 << 20   // room of a slab above MaxBytes: packets that are not looked at yet, tables
)

// buffer is the growing segment: packets that were kept, a hole of what was
// dropped, and bytes that were not looked at yet.
//
//	mem: [0 … kept) [kept … pos) dropped [pos … fill) to read [fill …) space
type buffer struct {
	slab            *slab
	kept, pos, fill int
}

func newBuffer(maxBytes int) (*buffer, error) {
	s, err := slabs.get(maxBytes + spare)
	if err != nil {
		return nil, err
	}
	return &buffer{slab: s}, nil
}

func (b *buffer) space() []byte {
	return b.slab.mem[b.fill:min(len(b.slab.mem), b.fill+maxRead)]
}

func (b *buffer) added(n int) {
	b.fill += n
	b.slab.touch(b.fill)
}

// here returns the packet to read.
func (b *buffer) here() packet {
	return packet(b.slab.mem[b.pos : b.pos+packetSize : b.pos+packetSize])
}

// keep moves past the packet to read and adds it to what is kept.
func (b *buffer) keep() {
	if b.kept != b.pos {
		copy(b.slab.mem[b.kept:], b.slab.mem[b.pos:b.pos+packetSize])
	}
	b.kept += packetSize
	b.pos += packetSize
}

// skip moves past n bytes without keeping them.
func (b *buffer) skip(n int) { b.pos += n }

// close closes the hole, so that dropped bytes leave no trace.
func (b *buffer) close() {
	if b.kept == b.pos {
		return
	}
	b.fill = b.kept + copy(b.slab.mem[b.kept:], b.slab.mem[b.pos:b.fill])
	b.pos = b.kept
	if b.kept == 0 && b.slab.touched > spare { // a large piece was dropped
		b.slab.trim(b.fill)
	}
}

// rewind makes what was kept from an offset on unread again, and drops what was
// kept before it.
func (b *buffer) rewind(from int) {
	n := b.kept - from
	copy(b.slab.mem[b.pos-n:b.pos], b.slab.mem[from:b.kept])
	b.pos -= n
	b.kept = 0
}

// lead makes room for n bytes before the packet to read, and returns it. Nothing
// may have been kept.
func (b *buffer) lead(n int) []byte {
	if b.pos != n {
		b.fill = n + copy(b.slab.mem[n:], b.slab.mem[b.pos:b.fill])
		b.slab.touch(b.fill)
		b.pos = n
	}
	b.kept = n
	return b.slab.mem[:n]
}

// split moves what is unread to another buffer, behind room for n bytes.
func (b *buffer) split(to *buffer, n int) {
	to.kept, to.pos = 0, n
	to.fill = n + copy(to.slab.mem[n:], b.slab.mem[b.pos:b.fill])
	to.slab.touch(to.fill)
	b.fill = b.kept
	b.slab.trim(b.kept)
}
