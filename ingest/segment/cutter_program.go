package segment

import "slices"

// lookup is what the cutter knows of a PID.
type lookup struct {
	pid     uint16
	counter *counter
	table   *table
	track   *track
}

// look returns what is known of a PID, nil if there are too many.
func (c *Cutter) look(pid uint16) *lookup {
	if c.latest != nil && c.latest.pid == pid {
		return c.latest
	}
	l := c.lookups[pid]
	if l == nil {
		n := c.counters.of(pid)
		if n == nil {
			return nil
		}
		l = &lookup{pid: pid, counter: n, table: c.tableOf(pid), track: c.trackOf(pid)}
		c.lookups[pid] = l
	}
	c.latest = l
	return l
}

func (c *Cutter) tableOf(pid uint16) *table {
	if pid == pidPAT {
		return &c.pat
	}
	// Of programs that share a PID only one is followed, the chosen one first.
	if c.pmt != nil && c.pmt.pid == pid {
		return c.pmt
	}
	for _, t := range c.pmts {
		if t.pid == pid {
			return t
		}
	}
	return nil
}

func (c *Cutter) trackOf(pid uint16) *track {
	for _, t := range c.tracks {
		if t.pid == pid {
			return t
		}
	}
	return nil
}

// forget makes PIDs be looked up anew.
func (c *Cutter) forget() {
	clear(c.lookups)
	c.latest = nil
}

// learn takes in a table that has changed.
func (c *Cutter) learn(t *table) {
	if t == &c.pat {
		c.learnPrograms()
		return
	}
	streams := parsePMT(t.section)
	switch {
	case c.pmt == nil && len(streams) == 0, c.pmt != nil && c.pmt != t:
		return // no program for us, or not ours
	case c.pmt == t && slices.EqualFunc(c.tracks, streams, (*track).carries):
		return // only descriptors changed, or streams that pass unread
	}
	c.pmt = t
	c.tune(streams)
}

// learnPrograms takes in a PAT: the first program whose PMT has known streams
// is the one to cut, as long as the PAT lists it.
func (c *Cutter) learnPrograms() {
	programs := parsePAT(c.pat.section)
	for i, p := range programs {
		same := func(old *table) bool { return old.pid == p.pid && old.program == p.program }
		if k := slices.IndexFunc(c.pmts, same); k >= 0 {
			programs[i] = c.pmts[k]
		}
	}
	c.pmts = programs
	if c.pmt != nil && !slices.Contains(programs, c.pmt) {
		c.pmt = nil
		c.tune(nil)
	}
	c.forget()
}

// tune follows other streams from now on. The growing piece takes no more
// packets; the next keyframe decides whether it is long enough.
func (c *Cutter) tune(streams []stream) {
	old, lead := c.tracks, c.lead
	c.tracks, c.lead, c.second = nil, nil, nil
	for _, s := range streams {
		t := inherit(old, s)
		c.tracks = append(c.tracks, t)
		switch {
		case t.codec.video():
			c.lead = t
		case c.second == nil:
			c.second = t
		}
	}
	if c.lead == nil {
		c.lead, c.second = c.second, nil
	}
	c.timeline.join(0, c.lead.videos()-lead.videos())
	if c.growing && !c.piece.frozen {
		c.piece.frozen, c.piece.format = true, c.format
		c.piece.format.FrameRate = c.rate.rate
	}
	c.seam = c.begun
	c.format, c.rate = formatOf(c.tracks), rateMeter{}
	c.forget()
}

// inherit returns the track of a stream. The same stream goes on as it was;
// another one of its kind hands its clock on, so that a jump in between shows.
func inherit(old []*track, s stream) *track {
	t := newTrack(s)
	for _, o := range old {
		if o.carries(s) {
			return o
		}
		if o.codec.video() == t.codec.video() && !t.seen {
			t.seen, t.pts, t.dts, t.late = o.seen, o.pts, o.dts, o.late
		}
	}
	return t
}
