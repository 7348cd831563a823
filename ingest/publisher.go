package ingest

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/ingest/playlist"
	"github.com/headrace/headrace/ingest/segment"
)

// publisher numbers a stream's segments, keeps them, and renders its playlists.
// It belongs to the stream's goroutine.
//
// design.md, Numbering: warm, last + 1; without a window, max(min_msn, what the
// state folder remembers + 1, floor(UTC / T)); then + 1 per segment.
type publisher struct {
	host    *childHost
	spec    *StreamSpec
	numbers *numbers
	rings   map[string]*rendition
	now     standing
	warm    bool // holds a window: the next number is last + 1

	nextDateTime time.Time // where the newest segment ends
	measured     []RenditionStatus
	storeFailed  time.Time
}

// aheadLimit is how far the end of the list may be ahead of the clock, as after a
// burst of segments, before the clock is believed instead.
const aheadLimit = time.Minute

// standing is where the numbering stands.
type standing struct {
	msn, discontinuity int64
	at                 time.Time
}

// rendition is what outlives a run: its window and its continuity counters.
type rendition struct {
	ring     *segment.Ring
	counters *segment.Counters
}

func newPublisher(host *childHost, spec *StreamSpec) (*publisher, error) {
	n, was, known, err := openNumbers(host.numbers, spec.ID)
	if err != nil {
		return nil, err
	}
	p := &publisher{host: host, spec: spec, numbers: n, rings: make(map[string]*rendition)}
	p.now = standing{discontinuity: -1} // the first one is 0
	if known {
		p.now = standing{msn: was.msn, discontinuity: was.discontinuity}
		p.nextDateTime = was.end
	}
	return p, nil
}

func (p *publisher) rendition(name string) *rendition {
	r := p.rings[name]
	if r == nil {
		r = &rendition{ring: segment.NewRing(p.spec.Window, p.host.ringBytes), counters: &segment.Counters{}}
		p.rings[name] = r
	}
	return r
}

// counters are those that continue the renditions' packets, in their order.
func (p *publisher) counters() []*segment.Counters {
	c := make([]*segment.Counters, len(p.spec.Renditions))
	for i, r := range p.spec.Renditions {
		c[i] = p.rendition(r.Name).counters
	}
	return c
}

// takeCounters replaces them, in the same order.
func (p *publisher) takeCounters(c []*segment.Counters) {
	for i, r := range p.spec.Renditions {
		p.rendition(r.Name).counters = c[i]
	}
}

// freshCounters are for a child that runs beside the one that uses the others.
func freshCounters(spec *StreamSpec) []*segment.Counters {
	c := make([]*segment.Counters, len(spec.Renditions))
	for i := range c {
		c[i] = &segment.Counters{}
	}
	return c
}

// publish gives a set its number, remembers it, keeps the segments and renders
// what viewers see from now on.
func (p *publisher) publish(s set, now time.Time) (view *View, bytes int) {
	number := p.next(s, now)
	end := number.ProgramDateTime.Add(s.pieces[0].Duration)
	if err := p.numbers.store(highest{number.MSN, number.DiscontinuitySequence, end}); err != nil && now.Sub(p.storeFailed) > time.Minute {
		p.storeFailed = now
		p.host.log.Error("numbers of the stream could not be written to the state folder; a restart of the edge may list a number again",
			zap.String("stream_id", p.spec.ID), zap.Error(err))
	}
	for i, piece := range s.pieces {
		bytes += piece.Size()
		p.keep(p.spec.Renditions[i].Name, piece, number)
	}
	p.now = standing{msn: number.MSN, discontinuity: number.DiscontinuitySequence, at: now}
	p.warm = true
	p.nextDateTime = end
	return p.render(), bytes
}

// keep puts a piece into its rendition's ring. What does not fit becomes a gap:
// the number exists in the other renditions, and numbers must match.
func (p *publisher) keep(rendition string, piece segment.Piece, number segment.Number) {
	ring := p.rendition(rendition).ring
	_, err := ring.Append(piece, number)
	if err == nil {
		return
	}
	p.host.log.Error("a segment could not be kept and is listed as a gap", zap.String("stream_id", p.spec.ID), zap.String("rendition", rendition),
		zap.Int64("msn", number.MSN), zap.Error(err))
	piece.Release()
	gap := segment.Piece{Void: segment.VoidTooLarge, Duration: piece.Duration, Format: piece.Format}
	if _, err := ring.Append(gap, number); err != nil {
		p.host.log.Error("a gap could not be listed", zap.String("stream_id", p.spec.ID), zap.String("rendition", rendition), zap.Error(err))
	}
}

func (p *publisher) next(s set, now time.Time) segment.Number {
	n := segment.Number{MSN: p.now.msn + 1, DiscontinuitySequence: p.now.discontinuity, ProgramDateTime: p.nextDateTime}
	if !p.warm {
		n.MSN = max(n.MSN, p.spec.MinMSN, now.UnixNano()/int64(p.spec.SegmentDuration))
		n.DiscontinuitySequence = max(n.DiscontinuitySequence+1, p.spec.MinDiscontinuity)
	} else if s.breaks {
		n.Discontinuity = true
		n.DiscontinuitySequence++
	}
	if !p.warm || s.breaks {
		// The hole shows in the date; it never goes back into the segment before. A
		// remembered end far ahead was written under a wrong clock.
		if arrived := s.arrived(); arrived.After(n.ProgramDateTime) || n.ProgramDateTime.Sub(arrived) > aheadLimit {
			n.ProgramDateTime = arrived
		}
	}
	return n
}

// render makes the view of what the rings hold.
func (p *publisher) render() *View {
	v := &View{lastMSN: p.now.msn, changed: make(chan struct{})}
	target := time.Duration(p.spec.TargetDuration()) * time.Second
	var multivariant playlist.Multivariant
	captions := false
	p.measured = make([]RenditionStatus, 0, len(p.spec.Renditions))
	for _, r := range p.spec.Renditions {
		ring := p.rendition(r.Name).ring
		window := ring.Window(p.spec.Window)
		media := playlist.Media{TargetDuration: p.spec.TargetDuration(), MediaSequence: window[0].MSN, DiscontinuitySequence: headSequence(window[0])}
		samples := make([]playlist.Sample, len(window))
		for i, w := range window {
			media.Segments = append(media.Segments, playlist.Segment{
				Duration: w.Duration, Discontinuity: w.Discontinuity, Gap: w.Gap, ProgramDateTime: w.ProgramDateTime,
			})
			samples[i] = playlist.Sample{Bytes: w.Size, Duration: w.Duration}
		}
		newest := window[len(window)-1]
		v.renditions = append(v.renditions, &RenditionView{
			Name: r.Name, ring: ring, firstMSN: window[0].MSN,
			Playlist: playlist.Render(media.AppendText(nil), fmt.Sprintf("%d-0-%d", newest.MSN, newest.DiscontinuitySequence)),
		})
		peak, average := playlist.Bandwidth(samples, target)
		p.measured = append(p.measured, RenditionStatus{
			Name: r.Name, Codecs: newest.Format.Codecs, Width: newest.Format.Width, Height: newest.Format.Height,
			FrameRate: newest.Format.FrameRate, Bandwidth: peak, AverageBandwidth: average,
		})
		captions = captions || newest.Format.HasCaptions
		if !p.spec.isAlternative(r.Name) {
			multivariant.Variants = append(multivariant.Variants, playlist.Variant{
				URI: r.Name + "/index.m3u8", Bandwidth: peak, AverageBandwidth: average, Codecs: newest.Format.Codecs,
				Width: newest.Format.Width, Height: newest.Format.Height, FrameRate: newest.Format.FrameRate, StableVariantID: r.Name,
			})
		}
	}
	p.spec.addAlternatives(&multivariant, captions)
	v.multivariant = playlist.Render(multivariant.AppendText(nil), fmt.Sprintf("m-%d-%d", p.now.msn, p.now.discontinuity))
	return v
}

// headSequence is EXT-X-DISCONTINUITY-SEQUENCE of a list that begins with this
// segment: a tag on it is still in the list.
func headSequence(first segment.Entry) int64 {
	if first.Discontinuity {
		return first.DiscontinuitySequence - 1
	}
	return first.DiscontinuitySequence
}

// restart drops the window: the new configuration cannot share its playlists.
func (p *publisher) restart(spec *StreamSpec) {
	p.closeRings()
	p.spec, p.warm = spec, false
}

// adopt takes a configuration that goes on with the same playlists.
func (p *publisher) adopt(spec *StreamSpec) {
	keep := make(map[string]bool, len(spec.Renditions))
	for _, r := range spec.Renditions {
		keep[r.Name] = true
	}
	for name, r := range p.rings {
		if !keep[name] {
			r.ring.Close()
			delete(p.rings, name)
		}
	}
	p.spec = spec
}

func (p *publisher) ringBytes() int64 {
	var n int64
	for _, r := range p.rings {
		n += r.ring.Bytes()
	}
	return n
}

func (p *publisher) closeRings() {
	for _, r := range p.rings {
		r.ring.Close()
	}
	p.rings = make(map[string]*rendition)
}

func (p *publisher) close() {
	p.closeRings()
	if err := p.numbers.close(); err != nil {
		p.host.log.Warn("closing the numbers of a stream", zap.String("stream_id", p.spec.ID), zap.Error(err))
	}
}
