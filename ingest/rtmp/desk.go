package rtmp

import (
	"slices"
	"sync"
	"time"
)

// desk knows who publishes what.
type desk struct {
	mu      sync.Mutex
	streams map[string]*seat
}

// seat is the one publisher's place of a stream.
type seat struct {
	held      []*attempt   // authorized connections, the newest last
	current   *publication // whose media is there; nil: nobody's
	heldUntil time.Time    // when the last one that left is given up
}

// claim takes the stream's seat, which is free, or held by the same encoder or by
// one that has fallen silent: it may have lost its network and come back by another.
// leave gives it back.
func (d *desk) claim(a *attempt, now time.Time) (leave func(), outcome Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.grant.Max > 0 && d.othersOf(a.grant) >= a.grant.Max {
		return nil, TooMany
	}
	s := d.seat(a.grant.Stream)
	for _, holder := range s.held {
		if !a.grant.takesOverFrom(holder.grant) && !holder.conn.isSilent(now) {
			return nil, Busy
		}
	}
	for _, holder := range s.held {
		if holder.conn.isSilent(now) {
			_ = holder.conn.Close()
		}
	}
	s.held = append(s.held, a)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		s.held = slices.DeleteFunc(s.held, func(o *attempt) bool { return o == a })
	}, Accepted
}

// othersOf counts the other streams that the owner publishes. d.mu is held.
func (d *desk) othersOf(g Grant) (n int) {
	for stream, s := range d.streams {
		isOwners := func(holder *attempt) bool { return holder.grant.Owner == g.Owner }
		if stream != g.Stream && slices.ContainsFunc(s.held, isOwners) {
			n++
		}
	}
	return n
}

// seat is the stream's. d.mu is held.
func (d *desk) seat(stream string) *seat {
	if d.streams == nil {
		d.streams = make(map[string]*seat)
	}
	s := d.streams[stream]
	if s == nil {
		s = &seat{}
		d.streams[stream] = s
	}
	return s
}

// put makes p the stream's publication and ends the one before.
func (d *desk) put(p *publication) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.seat(p.grant.Stream)
	if s.current != nil {
		_ = s.current.conn.Close()
	}
	s.current = p
}

// drop takes note that a publication has ended.
func (d *desk) drop(p *publication, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.seat(p.grant.Stream); s.current == p {
		s.current, s.heldUntil = nil, now.Add(p.settings().Hold)
	}
}

func (d *desk) publication(stream string) *publication {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.streams[stream]; s != nil {
		return s.current
	}
	return nil
}

// Publisher is what an operator sees of one. It holds no secret.
type Publisher struct {
	Stream  string    `json:"stream"`
	Address string    `json:"address"`
	Since   time.Time `json:"since"`
	Codecs  []string  `json:"codecs"`
	// Bytes were received since it connected; Bitrate is their mean, in bits per second.
	Bytes   int64 `json:"bytes"`
	Bitrate int64 `json:"bitrate"`
}

// Publisher is who publishes a stream now; nil: nobody.
func (s *Server) Publisher(stream string) *Publisher {
	p := s.desk.publication(stream)
	if p == nil {
		return nil
	}
	who := &Publisher{Stream: stream, Address: p.address, Since: p.since, Codecs: p.codecs(), Bytes: p.conn.received.Load()}
	if age := time.Since(p.since); age > time.Second {
		who.Bitrate = int64(float64(8*who.Bytes) / age.Seconds())
	}
	return who
}

// Publishers is how many streams are published now.
func (s *Server) Publishers() (n int) {
	s.desk.mu.Lock()
	defer s.desk.mu.Unlock()
	for _, seat := range s.desk.streams {
		if seat.current != nil {
			n++
		}
	}
	return n
}

// Presence tells whether a stream's publisher is there and sends; if not, until when
// it is waited for. Zero: there was none.
func (s *Server) Presence(stream string, now time.Time) (present bool, heldUntil time.Time) {
	s.desk.mu.Lock()
	defer s.desk.mu.Unlock()
	seat := s.desk.streams[stream]
	switch {
	case seat == nil:
		return false, time.Time{}
	case seat.current == nil:
		return false, seat.heldUntil
	case seat.current.conn.isSilent(now):
		return false, seat.current.conn.heard().Add(seat.current.settings().Hold)
	}
	return true, time.Time{}
}
