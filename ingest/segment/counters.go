package segment

// maxPIDs bounds the PIDs of one rendition; packets of further ones are dropped.
const maxPIDs = 512

// Counters carries the continuity counters of a rendition from run to run, so
// that the concatenation of its segments is one clean transport stream. The
// zero value has not counted anything. One Cutter at a time may use it.
type Counters struct {
	pids map[uint16]*counter
}

// resume prepares for another run, and says whether there was one before. A
// stream that went through very many PIDs starts afresh.
func (c *Counters) resume() bool {
	used := len(c.pids) > 0
	if len(c.pids) > maxPIDs/2 {
		clear(c.pids)
	}
	c.undo()
	return used
}

// of returns the counter of a PID, or nil if there are too many PIDs.
func (c *Counters) of(pid uint16) *counter {
	if c.pids == nil {
		c.pids = map[uint16]*counter{}
	}
	n := c.pids[pid]
	if n == nil && len(c.pids) < maxPIDs {
		n = &counter{last: 0x0f, mark: 0x0f}
		c.pids[pid] = n
	}
	return n
}

// keep makes what was counted final: it belongs to a published piece.
func (c *Counters) keep() {
	for _, n := range c.pids {
		n.mark = n.last
	}
}

// undo goes back to the last keep, because what was counted since was thrown
// away, and lets every PID go on from there.
func (c *Counters) undo() {
	for _, n := range c.pids {
		n.last, n.joined = n.mark, false
	}
}

// counter maps one PID's continuity counter from input to output.
type counter struct {
	last, mark uint8 // last value written, and the one at the last keep
	offset     uint8 // output = input + offset, while joined
	joined     bool
}

// elementary numbers a packet of an elementary stream: a constant offset, so
// that packets that were lost before they came here stay visible.
func (n *counter) elementary(p packet) {
	if !n.joined {
		n.joined = true
		n.offset = n.last - p.counter()
		if p.hasPayload() { // without one the counter stands still
			n.offset++
		}
	}
	n.last = (p.counter() + n.offset) & 0x0f
	p.setCounter(n.last)
}

// table numbers a packet of a PSI table: copies of ours stand between those of
// the stream, so the count is our own.
func (n *counter) table(p packet) {
	if p.hasPayload() {
		n.last = (n.last + 1) & 0x0f
	}
	p.setCounter(n.last)
}
