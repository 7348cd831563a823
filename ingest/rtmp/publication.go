package rtmp

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/source"
)

// What a publication keeps since its last key picture, so that a child that is
// started anew begins at once and not a whole GOP later.
const (
	cacheBytes = 16 << 20
	cacheUnits = 4000
)

// patience is how long one reader of a publication may hold up the others.
const patience = time.Second

// renewal is how often a publication is asked whether it may go on.
const renewal = time.Second

var (
	errGone      = &source.Error{Failure: ffmpeg.FailureNoPublisher, Err: errors.New("the publisher has left")}
	errChanged   = &source.Error{Failure: ffmpeg.FailureChanged, Err: ErrParametersChanged}
	errTooSlow   = &source.Error{Failure: ffmpeg.FailureNone, Err: errors.New("held the stream's other reader up")}
	errNotRenews = errors.New("the publisher's authorization has ended")
)

// publication is one publisher's stream, from the moment that its tracks are
// known. Any number of readers take it, each from its last key picture on.
type publication struct {
	grant    Grant
	address  string
	since    time.Time
	media    *media
	conn     *metered
	settings func() Settings
	done     chan struct{} // closed when nothing comes any more

	mu      sync.Mutex
	tracks  []track
	cache   []unit
	cached  int  // bytes in cache
	caching bool // the cache is whole since the last key picture
	readers []*reader

	renewed time.Time // of the goroutine that reads the connection
}

// reader is one child that is fed.
type reader struct {
	units chan unit
	gone  chan struct{} // closed by the reader
	cut   chan struct{} // closed by the publication
}

// live hands out what comes until the connection ends.
func (p *publication) live() error {
	p.renewed = time.Now()
	return p.media.read(p.deliver)
}

// deliver hands one unit to all readers. The slowest sets the pace, which the
// publisher feels: nothing is queued.
func (p *publication) deliver(u unit) error {
	if now := time.Now(); now.Sub(p.renewed) > renewal {
		if !p.grant.Renew(now) {
			return errNotRenews
		}
		p.renewed = now
	}
	p.mu.Lock()
	p.keep(u)
	readers := slices.Clone(p.readers)
	p.mu.Unlock()
	for _, r := range readers {
		if len(readers) == 1 {
			r.take(u, nil)
			continue
		}
		late := time.NewTimer(patience)
		if !r.take(u, late.C) {
			p.cutOff(r)
		}
		late.Stop()
	}
	return nil
}

// take waits until the reader has taken the unit or left; false: it is too late.
func (r *reader) take(u unit, late <-chan time.Time) bool {
	select {
	case r.units <- u:
	case <-r.gone:
	case <-late:
		return false
	}
	return true
}

// keep remembers what came since the last key picture. p.mu is held.
func (p *publication) keep(u unit) {
	t := &p.tracks[u.track]
	if t.codec.isVideo() {
		if t.adopt(u) || u.key {
			p.cache, p.cached, p.caching = nil, 0, u.key
		}
	}
	if !p.caching {
		return
	}
	p.cache = append(p.cache, u)
	p.cached += u.size()
	if p.cached > cacheBytes || len(p.cache) > cacheUnits {
		p.cache, p.cached, p.caching = nil, 0, false
	}
}

func (p *publication) attach() (r *reader, begin []unit, tracks []track) {
	r = &reader{units: make(chan unit), gone: make(chan struct{}), cut: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readers = append(p.readers, r)
	return r, slices.Clone(p.cache), slices.Clone(p.tracks)
}

func (p *publication) remove(r *reader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readers = slices.DeleteFunc(p.readers, func(o *reader) bool { return o == r })
}

func (p *publication) cutOff(r *reader) {
	p.remove(r)
	close(r.cut)
}

// Feed implements source.Feed.
func (p *publication) Feed(ctx context.Context, w io.Writer) error {
	r, begin, tracks := p.attach()
	defer close(r.gone)
	defer p.remove(r)
	out, err := newMuxer(w, tracks)
	if err != nil {
		return err
	}
	for _, u := range begin {
		if err := out.write(u); err != nil {
			return feedError(err)
		}
	}
	for {
		select {
		case u := <-r.units:
			if err := out.write(u); err != nil {
				return feedError(err)
			}
		case <-r.cut:
			return errTooSlow
		case <-p.done:
			return errGone
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func feedError(err error) error {
	if errors.Is(err, ErrParametersChanged) {
		return errChanged
	}
	return err
}

// HasOpus tells whether the first sound track is Opus, which HLS players do not
// take in MPEG-TS.
func (p *publication) HasOpus() bool {
	for i := range p.media.tracks {
		if c := p.media.tracks[i].codec; !c.isVideo() {
			return c == codecOpus
		}
	}
	return false
}

// codecs names the tracks' codecs.
func (p *publication) codecs() []string {
	names := make([]string, len(p.media.tracks))
	for i, t := range p.media.tracks {
		names[i] = string(t.codec)
	}
	return names
}

// Interface guard
var _ source.Feed = (*publication)(nil)
