package segment

import (
	"bytes"
	"fmt"
	"time"
)

// DefaultMaxBytes is the size limit of a segment where CutterOptions names none.
const DefaultMaxBytes = 64 << 20

// CutterOptions say how a Cutter works.
type CutterOptions struct {
	// Timeline is the cut list that the renditions of the run share; required.
	Timeline *Timeline
	// Counters are those of the rendition's run before; nil if there was none.
	Counters *Counters
	// MaxBytes is the size limit of a segment; default DefaultMaxBytes. It is
	// address space, of which only what a segment fills takes memory.
	MaxBytes int
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Cutter cuts one rendition's transport stream into pieces. One goroutine feeds
// it; Progress may be called from others.
//
// It holds to these rules. Each piece begins with PAT and PMT and a keyframe.
// Before the first keyframe, and from the loss of a piece to its return,
// nothing is kept. Damaged and scrambled packets and bytes between packets are
// dropped in place, null packets too. Packets of unknown streams pass. Whatever
// comes in, memory stays within MaxBytes and a megabyte.
type Cutter struct {
	timeline *Timeline
	counters *Counters
	now      func() time.Time
	maxBytes int

	buf    *buffer
	pieces []Piece
	gauges gauges
	hunted int // bytes dropped in the present search for the next packet, 0 if none

	pat     table
	pmts    []*table
	pmt     *table // of the chosen program
	tracks  []*track
	lead    *track // its keyframes are the places to cut: video, else the first audio
	second  *track // the first audio track beside video
	lookups map[uint16]*lookup
	latest  *lookup
	format  Format // without frame rate
	rate    rateMeter

	growing bool
	piece   growing
	next    int        // lowest index that was not delivered
	reason  VoidReason // why nothing is kept
	seam    bool       // a discontinuity belongs before the next piece
	begun   bool       // a piece was begun, or an index voided
	paused  bool       // packets were dropped since the last piece
	rejoins bool       // the counters come from an earlier run

	stretch int   // jumps so far, see Timeline
	pardon  int   // keyframes until tracks count that have not followed a jump
	shut    bool  // waiting for a jump that others have seen
	shutAt  int64 // since when, DTS
}

// growing is the piece in the buffer.
type growing struct {
	index   int
	start   int64
	arrived time.Time
	frames  int
	first   bool   // nothing came before it
	seam    bool   // a discontinuity belongs before it
	frozen  bool   // the program changed: the piece takes no more packets
	format  Format // of a frozen piece
	dropped int    // damaged bytes inside it
	head    int    // offset of its first packet after the tables
	key     int    // offset of its last keyframe
}

// NewCutter returns a Cutter that waits for its first keyframe. It fails if the
// system refuses the address space for a segment.
func NewCutter(o CutterOptions) (*Cutter, error) {
	if o.Timeline == nil {
		return nil, fmt.Errorf("creating a cutter: no timeline given")
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Counters == nil {
		o.Counters = &Counters{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	buf, err := newBuffer(o.MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("creating a cutter: %w", err)
	}
	c := &Cutter{
		timeline: o.Timeline,
		counters: o.Counters,
		now:      o.Now,
		maxBytes: o.MaxBytes,
		buf:      buf,
		lookups:  map[uint16]*lookup{},
		reason:   VoidNoKeyframe,
		paused:   true,
	}
	c.rejoins = c.counters.resume()
	c.gauges.waiting.Store(true)
	c.timeline.join(1, 0)
	return c, nil
}

// Space returns where the next bytes go: in the growing segment itself.
func (c *Cutter) Space() []byte {
	if c.buf == nil {
		return nil
	}
	return c.buf.space()
}

// Advance takes note of n bytes that were put into Space and returns the pieces
// that they completed, normally none. The slice is valid until the next call.
func (c *Cutter) Advance(n int) []Piece {
	clear(c.pieces)
	c.pieces = c.pieces[:0]
	if c.buf == nil || n <= 0 {
		return nil
	}
	now := c.now()
	c.buf.added(min(n, len(c.buf.space())))
	c.gauges.bytes.Add(int64(n))
	c.gauges.lastByte.Store(now.UnixNano())
	for c.align() {
		c.read(now)
	}
	c.buf.close()
	c.gauges.waiting.Store(!c.growing)
	return c.pieces
}

// Close gives the growing buffer back and leaves the timeline. What was not
// published leaves no trace in the counters.
func (c *Cutter) Close() {
	if c.buf == nil {
		return
	}
	c.counters.undo()
	c.timeline.join(-1, -c.lead.videos())
	slabs.put(c.buf.slab)
	c.buf, c.growing = nil, false
	c.gauges.waiting.Store(true)
}

// Progress returns what was seen so far. Any goroutine may call it.
func (c *Cutter) Progress() Progress { return c.gauges.progress() }

// align moves to the next packet and returns false if more bytes are needed to
// tell. A packet counts only if a sync byte follows it; after a loss three in a
// row are needed. No decision rests on how many bytes a read returned.
func (c *Cutter) align() bool {
	b := c.buf
	mem := b.slab.mem
	if c.hunted == 0 {
		if b.fill-b.pos <= packetSize {
			return false
		}
		if mem[b.pos] == syncByte && mem[b.pos+packetSize] == syncByte {
			return true
		}
		c.gauges.resyncs.Add(1)
		c.drop(1)
	}
	for b.fill-b.pos > 2*packetSize {
		n := bytes.IndexByte(mem[b.pos:b.fill-2*packetSize], syncByte)
		if n < 0 {
			c.drop(b.fill - 2*packetSize - b.pos)
			break
		}
		c.drop(n)
		if mem[b.pos+packetSize] == syncByte && mem[b.pos+2*packetSize] == syncByte {
			c.hunted = 0
			return true
		}
		c.drop(1)
	}
	return false
}

func (c *Cutter) drop(n int) {
	c.buf.skip(n)
	c.hunted += n
	c.piece.dropped += n
	c.gauges.garbage.Add(int64(n))
}

// read takes the packet at hand.
func (c *Cutter) read(now time.Time) {
	p := c.buf.here()
	pid := p.pid()
	if pid == pidNull {
		c.buf.skip(packetSize)
		return
	}
	l := c.look(pid)
	if l == nil || p.broken() {
		c.gauges.dropped.Add(1)
		c.piece.dropped += packetSize
		c.buf.skip(packetSize)
		return
	}
	switch {
	case l.table != nil:
		if l.table.push(p) {
			c.learn(l.table)
		}
	case l.track != nil && !c.follow(l.track, p, now):
		return
	}
	c.keep(l)
}

// keep adds the packet at hand to the piece, or drops it if none grows.
func (c *Cutter) keep(l *lookup) {
	if !c.growing || c.piece.frozen || l.track != nil && (l.track.late || !l.track.synced) {
		c.buf.skip(packetSize)
		return
	}
	if c.buf.kept+packetSize > c.maxBytes {
		c.lose(VoidTooLarge)
		c.buf.skip(packetSize)
		return
	}
	p := c.buf.here()
	if l.table != nil {
		l.counter.table(p)
	} else {
		l.counter.elementary(p)
	}
	if l.track != nil && l.track.mark {
		l.track.mark = false
		p.setDiscontinuity()
	}
	c.buf.keep()
}
