package hls

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/ingest"
)

// live serves a rendition as one endless MPEG-TS: the segments one after another.
// It ends between two segments when the token is not good for another one, when
// the edge drains or exits, and when the viewer has become so slow that the next
// segment is gone; inside one only when the viewer is too slow for that.
func (h *Handler) live(a *answer, s *ingest.Stream) {
	v := h.await(a, s, 0)
	if v == nil {
		return
	}
	rendition := v.Rendition(a.grant.Rendition)
	if rendition == nil {
		a.fail(http.StatusNotFound, "no such rendition")
		return
	}
	a.set("Content-Type", segmentType)
	a.set("Cache-Control", "no-store")
	a.set("Accept-Ranges", "none")
	a.begin(http.StatusOK)
	if a.r.Method == http.MethodHead {
		return
	}
	// One before the newest, so that a player has something to begin with while the
	// next one is being made.
	msn := max(v.LastMSN()-1, rendition.FirstMSN())
	flusher := http.NewResponseController(a.w)
	for rendition != nil && h.sendNext(a, rendition, &msn) {
		if flusher.Flush() != nil {
			return
		}
		rendition = h.next(a, &msn)
	}
}

// sendNext writes segment msn and counts on. It is false at the end.
func (h *Handler) sendNext(a *answer, rendition *ingest.RenditionView, msn *int64) bool {
	seg := rendition.Segment(*msn)
	if seg == nil {
		return false
	}
	size := a.sent
	err := h.send(a, seg.Bytes())
	a.release(seg, err)
	h.host.Counters().Sent(edge.KindLive, a.sent-size)
	*msn++
	return err == nil
}

// lookAround is how often a viewer who waits for a segment is judged anew: whoever is
// denied is gone within two seconds, and the viewer's session lives by it.
const lookAround = time.Second

// next waits until segment msn may be sent, and returns the rendition that has it;
// nil at the end.
func (h *Handler) next(a *answer, msn *int64) *ingest.RenditionView {
	waited := false
	for {
		if h.host.Draining() || caddy.Exiting() || !a.grant.Renew(time.Now()) {
			return nil
		}
		s := h.lookup(a.grant.Stream) // a changed configuration may have made a new one
		if s == nil {
			return nil
		}
		v := s.View()
		if v.Ready() && v.LastMSN() >= *msn {
			return follow(v.Rendition(a.grant.Rendition), msn, waited)
		}
		waited = true
		ctx, cancel := context.WithTimeout(a.r.Context(), lookAround)
		_, err := s.Wait(ctx, *msn)
		cancel()
		if a.r.Context().Err() != nil || errors.Is(err, ingest.ErrStreamStopped) {
			return nil
		}
	}
}

// follow finds where to go on. The numbers can jump: a viewer who had all that
// there was goes on where they do, for whoever fell behind that is the end.
func follow(rendition *ingest.RenditionView, msn *int64, waited bool) *ingest.RenditionView {
	if rendition != nil && waited {
		*msn = max(*msn, rendition.FirstMSN())
	}
	return rendition
}

func (h *Handler) lookup(stream string) *ingest.Stream {
	e := h.host.Engine()
	if e == nil {
		return nil
	}
	return e.Lookup(stream)
}
