package ingest

import (
	"context"
	"errors"

	"github.com/headrace/headrace/ingest/playlist"
	"github.com/headrace/headrace/ingest/segment"
)

// ErrStreamStopped says that the stream was taken away.
var ErrStreamStopped = errors.New("the stream was stopped")

// View is what viewers see of a stream at one moment: its playlists, rendered once,
// and its segments. It is immutable; the next segment makes a new one.
type View struct {
	lastMSN      int64
	multivariant playlist.Rendered
	renditions   []*RenditionView
	changed      chan struct{} // closed when a newer view has taken its place
}

// RenditionView is one rendition in a View.
type RenditionView struct {
	// Name is its path segment.
	Name string
	// Playlist is its media playlist.
	Playlist playlist.Rendered

	firstMSN int64
	ring     *segment.Ring
}

// Ready tells whether the stream has a segment.
func (v *View) Ready() bool { return len(v.renditions) > 0 }

// LastMSN is the media sequence number of the newest segment, the same in all
// renditions; 0 before the first.
func (v *View) LastMSN() int64 { return v.lastMSN }

// Multivariant is the multivariant playlist of the stream alone, with no other pathway.
func (v *View) Multivariant() *playlist.Rendered { return &v.multivariant }

// Renditions are all of them, in the order of the multivariant playlist.
func (v *View) Renditions() []*RenditionView { return v.renditions }

// Rendition finds one by its path segment; nil if there is none.
func (v *View) Rendition(name string) *RenditionView {
	for _, r := range v.renditions {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// FirstMSN is the oldest number that the playlist lists.
func (r *RenditionView) FirstMSN() int64 { return r.firstMSN }

// Segment gives a segment that is still held, listed or not, or nil. The caller
// releases it.
func (r *RenditionView) Segment(msn int64) *segment.Segment { return r.ring.Get(msn) }

// Wait gives the first view that has segment msn (0: any segment), the error of
// the context, or ErrStreamStopped. Where waiting is of no use, because a stream on
// demand cannot start or a pushed one lost its publisher, it gives ErrSourceFailed.
func (s *Stream) Wait(ctx context.Context, msn int64) (*View, error) {
	failed := s.demand.attempt()
	s.demand.waits.Add(1)
	defer s.demand.waits.Add(-1)
	for {
		v := s.View()
		if v.Ready() && v.lastMSN >= msn {
			return v, nil
		}
		select {
		case <-v.changed:
		case <-failed:
			return v, ErrSourceFailed
		case <-ctx.Done():
			return v, ctx.Err()
		case <-s.done:
			return v, ErrStreamStopped
		}
	}
}
