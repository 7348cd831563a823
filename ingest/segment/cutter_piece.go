package segment

import "time"

// follow reads a packet of a track. It returns false if packets are to be read
// again, because a piece turned out to begin at an earlier one.
func (c *Cutter) follow(t *track, p packet, now time.Time) bool {
	if !p.unitStart() {
		return !t.sniffing || !t.read(p.payload(), false) || c.reshaped(t)
	}
	t.sniffing = false
	h, ok := parsePES(p.payload())
	if !ok {
		t.synced = t.synced || !t.late
		return true
	}
	c.clock(t, h, now)
	key := t.opens(p, h.body)
	if t == c.lead && key {
		c.keyframe(now)
	}
	t.synced = t.synced || !t.late
	c.piece.frames += t.videos()
	// A cut has moved the packet.
	body := c.buf.here()[packetSize-len(h.body):]
	if t.codec.video() {
		return !key || !t.read(body, true) || c.reshaped(t)
	}
	if first := t.audio == 0; t.listen(body) {
		// The piece goes on: what players are told can wait for the next cut.
		c.seam = c.seam || !first && c.begun
		c.format = formatOf(c.tracks)
	}
	return true
}

// clock takes the timestamps of a track, and loses the piece if they broke off
// or if the piece has become too long.
func (c *Cutter) clock(t *track, h pesHeader, now time.Time) {
	dts := unwrap(h.dts, c.reference(t, h.dts))
	jumped := false
	if t.late {
		t.late = distance(dts, c.punctual(t).dts) > inLine
	} else {
		jumped = t.jumps(dts, c.partner(t))
	}
	if t == c.lead && (!t.seen || dts > t.dts) {
		c.gauges.lastAdvance.Store(now.UnixNano())
	}
	leap := dts > t.dts
	t.seen, t.dts, t.pts = true, dts, unwrap(h.pts, dts)
	c.report(t)
	if jumped {
		c.jump(t, leap)
	}
	c.expire(t)
}

// reference returns the timestamp to unwrap from.
func (c *Cutter) reference(t *track, raw int64) int64 {
	switch {
	case t.seen:
		return t.dts
	case c.lead.seen:
		return c.lead.dts
	default:
		return c.timeline.anchor(raw)
	}
}

// partner returns the track that a track plays with, nil if it is alone.
func (c *Cutter) partner(t *track) *track {
	if t == c.lead {
		return c.second
	}
	return c.lead
}

// punctual returns a track whose time another one must come to after a jump.
func (c *Cutter) punctual(t *track) *track {
	for _, o := range c.tracks {
		if o != t && o.seen && !o.late {
			return o
		}
	}
	return t
}

func (c *Cutter) report(t *track) {
	switch {
	case t.codec.video():
		c.gauges.videoPTS.Store(t.pts)
		c.gauges.videoDTS.Store(t.dts)
	case t == c.lead || t == c.second:
		c.gauges.audioPTS.Store(t.pts)
		c.gauges.audioDTS.Store(t.dts)
	}
}

// jump loses the piece because a track left the timeline. The other tracks are
// late until they have followed: one jump of the source is one jump here. A
// track that does not follow is pardoned at the second keyframe. A leap to where
// the other renditions are is a loss of packets and begins no new stretch.
func (c *Cutter) jump(t *track, leap bool) {
	if !leap || !c.timeline.reached(c.stretch, t.dts) {
		c.stretch++
	}
	c.shut = false
	c.pardon = 2
	for _, o := range c.tracks {
		o.late = o != t
	}
	if c.growing {
		c.lose(VoidTimestampJump)
	}
	c.reason = VoidTimestampJump
	c.seam = c.begun
}

// expire loses a piece that has grown longer than a segment may be. While none
// grows it delivers the indexes that others have finished without this rendition.
func (c *Cutter) expire(t *track) {
	if t.late {
		return
	}
	grace := int64(0)
	if t != c.lead {
		grace = inLine // the lead's keyframe may be on its way
	}
	if c.growing && t.dts > c.piece.start+c.timeline.limit+grace {
		c.lose(VoidNoKeyframe)
	}
	if !c.growing && t == c.lead {
		index, place := c.timeline.locate(c.stretch, c.next, t.dts)
		c.void(index)
		c.wait(place, t.dts)
	}
}

// wait adopts the stretch of the others after a long wait for their jump.
func (c *Cutter) wait(p place, at int64) {
	switch {
	case p != placeShut:
		c.shut = false
	case !c.shut:
		c.shut, c.shutAt = true, at
	case distance(at, c.shutAt) > 2*c.timeline.limit:
		c.shut = false
		c.stretch = c.timeline.adopt(at)
	}
}

// keyframe ends the piece before the packet at hand if it is time, and begins
// one if none grows.
func (c *Cutter) keyframe(now time.Time) {
	if c.pardon > 0 {
		c.pardon--
	}
	for _, t := range c.tracks {
		t.late = t.late && c.pardon > 0
	}
	if c.lead.late {
		return
	}
	c.gauges.lastKey.Store(now.UnixNano())
	if c.growing {
		c.end(now)
	}
	if !c.growing {
		c.begin(now)
	}
}

// end publishes or loses the piece if it ends at the keyframe at hand.
func (c *Cutter) end(now time.Time) {
	p, at := &c.piece, c.lead.pts
	ticks := at - p.start
	switch {
	case !c.timeline.ends(c.stretch, p.index, p.start, at, c.format.HasVideo):
		p.key = c.buf.kept
		if p.frozen {
			c.lose(VoidFormatChange)
		}
	case ticks > c.timeline.limit || c.timeline.short(ticks):
		c.lose(VoidNoKeyframe)
	case p.dropped > c.buf.kept:
		c.lose(VoidCorrupt)
	default:
		c.publish(ticks, now)
	}
}

// publish delivers the piece; what is unread moves to a new buffer.
func (c *Cutter) publish(ticks int64, now time.Time) {
	next, err := newBuffer(c.maxBytes)
	if err != nil { // no address space: this piece's buffer must do for the next
		c.lose(VoidTooLarge)
		return
	}
	c.buf.split(next, len(c.pat.packets)+len(c.pmt.packets))
	p := &c.piece
	f := p.format
	if !p.frozen {
		f = c.format
		f.FrameRate = c.rate.add(p.frames, ticks, c.lead.shape.rate)
	}
	c.pieces = append(c.pieces, Piece{
		Index:    p.index,
		Break:    p.seam,
		Start:    p.start,
		Duration: span(ticks),
		Arrived:  p.arrived,
		Format:   f,
		body:     newBody(c.buf.slab, c.buf.kept),
	})
	c.buf = next
	c.counters.keep()
	if p.frozen {
		c.pause()
	}
	c.growing, c.next = false, p.index+1
	c.gauges.lastDone.Store(now.UnixNano())
}

// begin starts a piece with the keyframe at hand, if the cut list has a place for it.
func (c *Cutter) begin(now time.Time) {
	index, place := c.timeline.begin(c.stretch, c.next, c.lead.pts, c.format.HasVideo)
	c.void(index)
	c.wait(place, c.lead.dts)
	if place != placeHere {
		c.pause()
		return
	}
	c.writeTables()
	c.piece = growing{
		index:   index,
		start:   c.lead.pts,
		arrived: now,
		first:   !c.begun,
		seam:    c.seam,
		head:    c.buf.kept,
		key:     c.buf.kept,
	}
	for _, t := range c.tracks {
		t.mark = c.seam || c.rejoins
		t.synced = t.synced && !c.paused
	}
	c.growing, c.begun = true, true
	c.seam, c.rejoins, c.paused = false, false, false
	c.reason = VoidNoKeyframe
}

// writeTables puts PAT and PMT at the start of the buffer.
func (c *Cutter) writeTables() {
	dst := c.buf.lead(len(c.pat.packets) + len(c.pmt.packets))
	copy(dst[copy(dst, c.pat.packets):], c.pmt.packets)
	for ; len(dst) > 0; dst = dst[packetSize:] {
		p := packet(dst[:packetSize])
		c.counters.of(p.pid()).table(p)
	}
}

// lose gives the growing piece up: its index is void, and what was counted for
// it never happened.
func (c *Cutter) lose(reason VoidReason) {
	c.reason = reason
	c.growing = false
	c.buf.kept = 0
	c.void(c.piece.index + 1)
	c.pause()
}

// pause keeps nothing until a piece begins. The counters go on from what was
// published, so that dropped packets leave no trace in them.
func (c *Cutter) pause() {
	c.counters.undo()
	c.seam, c.paused = c.begun, true
}

// void delivers indexes below end as lost.
func (c *Cutter) void(end int) {
	c.next = max(c.next, end-maxCuts)
	for ; c.next < end; c.next++ {
		start, ticks := c.timeline.piece(c.next)
		c.pieces = append(c.pieces, Piece{Index: c.next, Void: c.reason, Start: start, Duration: span(ticks)})
		c.begun, c.seam = true, true
	}
}

// reshaped takes in that the keyframe in hand changed codec or resolution. A
// piece that it stands inside is void and the next begins at it: then packets
// are to be read again, and the result is false.
func (c *Cutter) reshaped(t *track) bool {
	first := !t.described
	t.described = true
	c.format = formatOf(c.tracks)
	if first || !c.growing {
		return true
	}
	c.rate = rateMeter{}
	if c.piece.key == c.piece.head {
		if !c.piece.first {
			c.piece.seam = true
			c.markSeam(t)
		}
		return true
	}
	c.buf.rewind(c.piece.key)
	c.lose(VoidFormatChange)
	return false
}

// markSeam marks the first packet of the piece's lead track.
func (c *Cutter) markSeam(t *track) {
	if p := c.piece.head; c.buf.kept > p {
		packet(c.buf.slab.mem[p : p+packetSize]).setDiscontinuity()
		return
	}
	t.mark = true
}
