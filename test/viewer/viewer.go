// Package viewer loads an edge the way an audience does: thousands of paced HLS
// viewers in one process, each with its own connection, or a fixed rate of plain
// requests. It throws the media away and keeps figures.
//
// A viewer costs a goroutine that is nearly always asleep, and a connection. All
// larger buffers are shared, so that two thousand viewers fit into 100 MB and
// one core.
package viewer

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/headrace/headrace/ingest/playlist"
)

// Options says who watches what.
type Options struct {
	// URL of the stream's multivariant playlist.
	URL string
	// Count is the number of viewers.
	Count int
	// Rampup is the time over which they arrive, evenly. It also spreads their
	// reloads; zero sends all of them at once, in step.
	Rampup time.Duration
	// Client, if set, makes the requests of all viewers, and its transport decides
	// how many connections they share. Nil gives every viewer a keep-alive
	// connection of its own, as a real audience has, in HTTP/1.1.
	Client *http.Client
	// TLS configures those connections of their own to an https address, say with
	// the certificates to trust.
	TLS *tls.Config
	// Timeout bounds one request. Default 10 s.
	Timeout time.Duration
}

// Run lets the viewers watch until the context ends, and returns what they saw.
//
// A viewer takes the multivariant playlist, then one rendition (they spread over
// the renditions of the first pathway in turn), starts three segments behind the
// live edge, reloads the media playlist every half target duration and takes
// every segment once, in order (RFC 8216 §6.3.3, §6.3.4). After five failed
// reloads in a row it begins anew, as a set-top box does.
func Run(ctx context.Context, o Options) *Stats {
	r := newRecorder()
	var wg sync.WaitGroup
	for i := range o.Count {
		wg.Go(func() {
			v := newViewer(r, o, i)
			defer v.close()
			if v.sleep(ctx, o.Rampup*time.Duration(i)/time.Duration(o.Count)) {
				v.watch(ctx)
			}
		})
	}
	wg.Wait()
	return r.stats()
}

// viewer is one player.
type viewer struct {
	*client
	address string
	index   int // picks the rendition
	timer   *time.Timer
	close   func()

	next    int64         // number of the segment to take next; -1 at the start
	target  time.Duration // TARGETDURATION
	newest  time.Time     // when the last new segment was seen
	stalled bool
}

func newViewer(r *recorder, o Options, index int) *viewer {
	v := &viewer{address: o.URL, index: index, timer: time.NewTimer(0), close: func() {}}
	hc := o.Client
	if hc == nil {
		c := &connection{tls: o.TLS}
		hc, v.close = &http.Client{Transport: c}, c.close
	}
	v.client = newClient(r, hc, o.Timeout)
	return v
}

// maxFailures is how many reloads in a row may fail before a viewer begins anew.
const maxFailures = 5

// retryAfter is how long a viewer waits after a failure.
const retryAfter = time.Second

// watch plays until the context ends.
func (v *viewer) watch(ctx context.Context) {
	for {
		if u := v.choose(ctx); u != nil {
			v.follow(ctx, u)
		}
		if !v.sleep(ctx, retryAfter) {
			return
		}
	}
}

// choose fetches the multivariant playlist and returns this viewer's rendition,
// or nil.
func (v *viewer) choose(ctx context.Context) *url.URL {
	base, err := url.Parse(v.address)
	if err != nil {
		v.recorder.errors.Add(1)
		return nil
	}
	var m *playlist.Multivariant
	base, ok := v.playlist(ctx, base, func(text []byte) (err error) {
		m, err = playlist.ParseMultivariant(text)
		return err
	})
	if !ok || len(m.Variants) == 0 {
		return nil
	}
	pathway := m.Variants[0].PathwayID
	if m.PathwayID != "" {
		pathway = m.PathwayID
	}
	variants := slices.DeleteFunc(m.Variants, func(w playlist.Variant) bool { return w.PathwayID != pathway })
	if len(variants) == 0 {
		return nil
	}
	u, err := base.Parse(variants[v.index%len(variants)].URI)
	if err != nil {
		v.recorder.errors.Add(1)
		return nil
	}
	return u
}

// follow plays one rendition until the context ends or its playlist is lost.
func (v *viewer) follow(ctx context.Context, u *url.URL) {
	v.next, v.target, v.newest, v.stalled = -1, 2*retryAfter, time.Now(), false
	for failures := 0; failures < maxFailures; {
		asked := time.Now()
		var m *playlist.Media
		base, ok := v.playlist(ctx, u, func(text []byte) (err error) {
			m, err = playlist.ParseMedia(text)
			return err
		})
		if failures++; ok {
			failures = 0
			v.target = time.Duration(m.TargetDuration) * time.Second
			v.take(ctx, base, m)
		}
		v.checkStall(time.Now())
		if !v.sleep(ctx, time.Until(asked.Add(v.target/2))) {
			return
		}
	}
}

// take fetches what a list has that this viewer has not.
func (v *viewer) take(ctx context.Context, base *url.URL, m *playlist.Media) {
	end := m.MediaSequence + int64(len(m.Segments))
	switch {
	case v.next < 0:
		v.next = max(m.MediaSequence, end-3)
	case v.next > end || v.next < m.MediaSequence-int64(len(m.Segments)):
		// More than a list away: another process, with other numbers.
		v.next = max(m.MediaSequence, end-3)
	case v.next < m.MediaSequence:
		v.recorder.missed.Add(m.MediaSequence - v.next)
		v.next = m.MediaSequence
	}
	for ; v.next < end && ctx.Err() == nil; v.next++ {
		v.seeNew(time.Now())
		s := m.Segments[v.next-m.MediaSequence]
		if u, err := base.Parse(s.URI); err != nil {
			v.recorder.errors.Add(1)
		} else if !s.Gap {
			v.segment(ctx, u)
		}
	}
}

// seeNew notes a new segment, which ends a stall.
func (v *viewer) seeNew(now time.Time) {
	if v.stalled {
		v.recorder.longestStall.observe(now.Sub(v.newest))
		v.stalled = false
	}
	v.newest = now
}

// checkStall counts a stall once: no new segment for 1.5 target durations.
func (v *viewer) checkStall(now time.Time) {
	if wait := now.Sub(v.newest); wait > v.target*3/2 {
		if !v.stalled {
			v.recorder.stalls.Add(1)
		}
		v.stalled = true
		v.recorder.longestStall.observe(wait)
	}
}

// sleep waits and returns false if the context ended meanwhile.
func (v *viewer) sleep(ctx context.Context, d time.Duration) bool {
	v.timer.Reset(max(d, 0))
	select {
	case <-ctx.Done():
		return false
	case <-v.timer.C:
		return ctx.Err() == nil
	}
}
