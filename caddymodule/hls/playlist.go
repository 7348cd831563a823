package hls

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/playlist"
)

const playlistType = "application/vnd.apple.mpegurl"

// A request waits for so many target durations at most (RFC 8216bis §6.2.5.2).
const waitTargets = 3

// farthest is how many segments ahead of the newest one a request may ask for: a
// number beyond is a mistake of the asker (RFC 8216bis §6.2.5.2).
const farthest = 2

// multivariant serves the list of a stream's renditions.
func (h *Handler) multivariant(a *answer, s *ingest.Stream) {
	if v := h.await(a, s, 0); v != nil {
		a.playlist(v.Multivariant(), "max-age=30")
	}
}

// playlist serves the list of a rendition's segments.
func (h *Handler) playlist(a *answer, s *ingest.Stream) {
	msn, ok := askedMSN(a.r.URL.RawQuery)
	if !ok {
		a.fail(http.StatusBadRequest, "_HLS_msn must be one number, that of a segment")
		return
	}
	v := h.await(a, s, msn)
	if v == nil {
		return
	}
	rendition := v.Rendition(a.grant.Rendition)
	if rendition == nil {
		a.fail(http.StatusNotFound, "no such rendition")
		return
	}
	a.playlist(&rendition.Playlist, "max-age=1")
}

// askedMSN reads the number of the segment for which a playlist request wants to
// wait, 0 if it does not. It looks for the bare name only, since nobody escapes
// it, and so allocates nothing.
func askedMSN(query string) (msn int64, ok bool) {
	asked := false
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		value, found := strings.CutPrefix(pair, "_HLS_msn=")
		if !found {
			continue
		}
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || asked {
			return 0, false
		}
		msn, asked = int64(n), true
	}
	return msn, true
}

// await returns a view that has segment msn, or any segment for 0. If that takes
// too long, or nobody waits for it any more, it gives the answer itself and
// returns nil.
func (h *Handler) await(a *answer, s *ingest.Stream, msn int64) *ingest.View {
	v := s.View()
	if v.Ready() && v.LastMSN() >= msn {
		return v
	}
	if h.waiting.Add(1) > h.MaxWaiting {
		h.waiting.Add(-1)
		a.retryLater("too many requests wait")
		return nil
	}
	defer h.waiting.Add(-1)
	ctx, cancel := context.WithTimeout(a.r.Context(), waitTargets*s.TargetDuration())
	defer cancel()
	v, err := s.Wait(ctx, 0) // without a segment nobody knows what is far ahead
	if err == nil {
		if msn > v.LastMSN()+farthest {
			a.fail(http.StatusBadRequest, "_HLS_msn is too far ahead")
			return nil
		}
		v, err = s.Wait(ctx, msn)
	}
	switch {
	case err == nil:
		return v
	case a.r.Context().Err() != nil:
		a.gone()
	case errors.Is(err, ingest.ErrSourceFailed):
		a.retryLater("the stream's source does not deliver")
	default:
		a.retryLater("no such segment came in time")
	}
	return nil
}

// playlist sends what was rendered when the last segment came.
func (a *answer) playlist(p *playlist.Rendered, cacheControl string) {
	body, etag, length := p.Plain, p.ETag, p.PlainLength
	if p.Gzip != nil && acceptsGzip(a.r.Header["Accept-Encoding"]) {
		body, etag, length = p.Gzip, p.GzipETag, p.GzipLength
		a.set("Content-Encoding", "gzip")
	}
	a.set("Cache-Control", cacheControl)
	a.set("Vary", "Accept-Encoding")
	a.set("Etag", etag)
	for _, known := range a.r.Header["If-None-Match"] {
		if p.Matches(known) {
			delete(a.header, "Content-Encoding") // there is no content
			a.begin(http.StatusNotModified)
			return
		}
	}
	a.set("Content-Type", playlistType)
	a.set("Content-Length", length)
	a.begin(http.StatusOK)
	if a.r.Method != http.MethodHead {
		_ = a.body(body) // a viewer who has left misses nothing
	}
}
