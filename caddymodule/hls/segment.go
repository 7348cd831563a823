package hls

import (
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/segment"
)

const (
	segmentType = "video/mp2t"

	// A segment's bytes never change under its name.
	segmentCaching = "public, max-age=3600, immutable"

	// freeTime is before a slow viewer's rate counts: a phone may lose its network
	// that long.
	freeTime = 10 * time.Second
)

// segment serves one media segment, whole or a part of it.
func (h *Handler) segment(a *answer, s *ingest.Stream) {
	rendition := s.View().Rendition(a.grant.Rendition)
	if rendition == nil {
		a.fail(http.StatusNotFound, "no such rendition")
		return
	}
	seg := rendition.Segment(a.grant.MSN)
	if seg == nil {
		a.fail(http.StatusNotFound, "no such segment")
		return
	}
	if seg.Gap {
		seg.Release()
		a.gap()
		return
	}
	body := seg.Bytes()
	part, result := a.askedRange(len(body))
	a.set("Accept-Ranges", "bytes")
	if result == rangeUnsatisfiable {
		seg.Release()
		a.set("Content-Range", "bytes */"+strconv.Itoa(len(body)))
		a.fail(http.StatusRequestedRangeNotSatisfiable, "")
		return
	}
	status := http.StatusOK
	if result == rangePart {
		status = http.StatusPartialContent
		a.set("Content-Range", part.contentRange(len(body)))
		body = body[part.start:part.end]
	}
	a.set("Content-Type", segmentType)
	a.set("Cache-Control", segmentCaching)
	a.set("Content-Length", strconv.Itoa(len(body)))
	a.begin(status)
	var err error
	if a.r.Method != http.MethodHead {
		err = h.send(a, body)
	}
	a.release(seg, err)
}

// gap answers players that ask for a segment listed as missing (EXT-X-GAP): with
// nothing, but not with an error, on which some of them end.
func (a *answer) gap() {
	a.set("Content-Type", segmentType)
	a.set("Cache-Control", "no-store")
	a.set("Content-Length", "0")
	a.begin(http.StatusOK)
}

// send writes a segment in one piece: a piece is what a write deadline covers, and
// what one system call takes (twice as fast as the default of 64 KiB).
func (h *Handler) send(a *answer, body []byte) error {
	if _, idle := caddyhttp.IdleTimeoutsFromContext(a.r.Context()); idle != nil {
		// Never restored: it goes on to cover what the server flushes after us.
		idle.Override(h.allowance(len(body)), 0, len(body))
	}
	return a.body(body)
}

// allowance is how long a viewer may take for so many bytes.
func (h *Handler) allowance(size int) time.Duration {
	needed := freeTime + time.Duration(float64(size)/float64(h.WriteMinRate)*float64(time.Second))
	return min(needed, time.Duration(h.WriteIdle))
}

// release gives a segment back. From HTTP/2 on a failed write may leave the server
// reading its bytes for a moment.
func (a *answer) release(seg *segment.Segment, err error) {
	if err != nil && a.r.ProtoMajor >= 2 {
		seg.ReleaseAborted()
		return
	}
	seg.Release()
}
