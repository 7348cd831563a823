package origin

import (
	"sync"
	"sync/atomic"
	"time"
)

// Grid is where a feed changes from one loop to another: at the next multiple of
// it, so that loops whose GOPs divide it meet at a keyframe.
const Grid = 2 * time.Second

// History is how long a feed has been on the air when it is made: the first
// client finds a keyframe, and the first playlist a full window.
const History = time.Minute

// Options says how a feed begins and how clients join it.
type Options struct {
	// Live makes a client begin with what is sent now, in the middle of a GOP, as
	// from a multicast. Otherwise it first gets what came since the last keyframe,
	// at once, as from an HTTP origin.
	Live bool
	// Base is where the timestamps begin; 0 means ten hours. They wrap at 2³³ ticks
	// of 90 kHz, which is WrapsAt.
	Base time.Duration
}

// WrapsAt is the time at which timestamps of 33 bits begin anew, 26.5 hours.
const WrapsAt = time.Duration((1<<33)*100_000) / 9

// Feed is one live source: a loop on the air, and what is wrong with it. What a
// client gets depends only on the time, so that all see the same. Its methods
// may be called from any goroutine and take effect at once, Play on the Grid.
type Feed struct {
	name    string
	start   time.Time
	options Options

	mu      sync.Mutex // held by those who change the programme
	current atomic.Pointer[programme]
	clients atomic.Int64
	served  atomic.Int64
}

// programme is what a feed sends. It is immutable.
type programme struct {
	airings [2]airing // the loop before and the loop from .from on
	base    int64     // ticks that the stamps begin with
	trouble trouble
	// answer replaces the feed, in trouble `answering`.
	status      int
	contentType string
	body        string
}

// airing is a loop that is sent from a time on, in ticks.
type airing struct {
	loop *Loop
	from int64
}

// trouble is what is wrong with a feed.
type trouble int

const (
	fine      trouble = iota
	hanging           // connections stay open and silent
	garbled           // random bytes instead of packets
	answering         // connections are closed; requests get another answer
)

func newFeed(name string, loop *Loop, o Options) *Feed {
	if o.Base == 0 {
		o.Base = 10 * time.Hour
	}
	f := &Feed{name: name, start: time.Now().Add(-History), options: o}
	f.current.Store(&programme{airings: [2]airing{{loop: loop}, {loop: loop}}, base: ticks(o.Base)})
	return f
}

// now is the time on the air, in ticks.
func (f *Feed) now() int64 { return ticks(time.Since(f.start)) }

// change swaps in a copy of the programme that edit has changed.
func (f *Feed) change(edit func(p *programme)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := *f.current.Load()
	edit(&next)
	f.current.Store(&next)
}

// Play sends another loop from the next multiple of Grid on: another resolution,
// another codec, sound alone, no keyframes.
func (f *Feed) Play(loop *Loop) {
	f.change(func(p *programme) {
		now, grid := f.now(), ticks(Grid)
		p.airings = [2]airing{{loop: p.at(now).loop}, {loop: loop, from: (now/grid + 1) * grid}}
	})
}

// Jump moves all timestamps from now on by d, forwards or back.
func (f *Feed) Jump(d time.Duration) { f.change(func(p *programme) { p.base += ticks(d) }) }

// Hang keeps connections open and sends nothing more; new ones get headers only.
func (f *Feed) Hang() { f.change(func(p *programme) { p.trouble = hanging }) }

// Garble sends random bytes instead of transport packets.
func (f *Feed) Garble() { f.change(func(p *programme) { p.trouble = garbled }) }

// Stop closes the connections; new ones get 404.
func (f *Feed) Stop() { f.Answer(404, "text/plain", "not found\n") }

// Answer closes the connections and answers requests like this: an error, or
// something that is not media.
func (f *Feed) Answer(status int, contentType, body string) {
	f.change(func(p *programme) {
		p.trouble, p.status, p.contentType, p.body = answering, status, contentType, body
	})
}

// Heal ends Hang, Garble, Stop and Answer.
func (f *Feed) Heal() { f.change(func(p *programme) { p.trouble = fine }) }

// Clients is the number of open connections to the endless stream; Served is how
// many there were.
func (f *Feed) Clients() int { return int(f.clients.Load()) }

// Served is the number of connections to the endless stream so far.
func (f *Feed) Served() int { return int(f.served.Load()) }

// at is the loop that is on the air at a time.
func (p *programme) at(time int64) airing {
	if time < p.airings[1].from {
		return p.airings[0]
	}
	return p.airings[1]
}

// cursor is a client's place: the next packet of a loop.
type cursor struct {
	loop *Loop
	next int64
}

// join is where a client begins.
func (f *Feed) join(now int64) cursor {
	loop := f.current.Load().at(now).loop
	if f.options.Live {
		return cursor{loop, loop.at(now)}
	}
	return cursor{loop, loop.entry(now)}
}

// advance writes what is due before now behind dst and moves the cursor there.
func (p *programme) advance(dst []byte, c *cursor, now int64) []byte {
	on := p.at(now)
	if c.loop != on.loop {
		dst = c.copyUntil(dst, on.from, p.base)
		*c = cursor{on.loop, on.loop.at(on.from)}
	}
	return c.copyUntil(dst, now, p.base)
}

func (c *cursor) copyUntil(dst []byte, time, base int64) []byte {
	to := c.loop.at(time)
	if to <= c.next {
		return dst
	}
	dst = c.loop.appendPackets(dst, c.next, to, base)
	c.next = to
	return dst
}

// skip leaves out what was due before now.
func (p *programme) skip(c *cursor, now int64) {
	on := p.at(now)
	*c = cursor{on.loop, on.loop.at(now)}
}
