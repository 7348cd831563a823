package auditor

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/headrace/headrace/ingest/playlist"
)

// The origin's stream: segments of 2 s, TARGETDURATION 4, windows of 8.
const (
	segmentLength = 2 * time.Second
	target        = 4
	window        = 8
	firstMSN      = 1000
)

// moments of an origin's script.
type scripted struct {
	playlist.Segment
	msn, discontinuity int64
	at                 time.Duration // when it is listed, after the origin's start
	generation         int           // of the process that made it
}

// origin is a hand-made server that keeps every rule, unless a test makes it
// break one. Its history is a script, so that any moment of it can be rebuilt.
type origin struct {
	start  time.Time
	script []scripted

	// retain is how many segments beside the window are kept.
	retain int
	// down, if set, says that the process is dead at that time after the start.
	down func(time.Duration) bool
	// delay, if set, is how long an answer takes.
	delay func(path string) time.Duration
	// list, if set, changes a media playlist before it is written.
	list func(rendition string, now time.Duration, m *playlist.Media)
	// text, if set, changes its text.
	text func(rendition string, now time.Duration, text []byte) []byte
	// reply, if set, changes an answer. The kind is multivariant, media or segment.
	reply func(kind string, r *http.Request, w *httptest.ResponseRecorder)
	// body, if set, changes the bytes of a segment.
	body func(rendition string, msn int64, now time.Duration, b []byte) []byte

	mu     sync.Mutex // one request at a time: hooks may remember
	packer *gzip.Writer
}

// newOrigin scripts two minutes in which FFmpeg dies once: a hole of 3.2 s, which
// no rule forbids, with a discontinuity at its seam.
func newOrigin() *origin {
	o := &origin{start: time.Now(), retain: window + 1, packer: gzip.NewWriter(nil)}
	o.run(-3*segmentLength, 20*time.Second, firstMSN, 0)
	o.run(23200*time.Millisecond, 120*time.Second, o.last().msn+1, o.last().discontinuity+1)
	return o
}

func (o *origin) last() scripted { return o.script[len(o.script)-1] }

// run scripts one run of a packager, from its first sample until end.
func (o *origin) run(from, end time.Duration, msn, discontinuity int64) {
	for at := from; at < end; at += segmentLength {
		o.script = append(o.script, scripted{
			Segment: playlist.Segment{
				Duration:        segmentLength,
				ProgramDateTime: o.start.Add(at).UTC(),
				Discontinuity:   at == from && from > 0,
			},
			msn: msn, discontinuity: discontinuity, at: at + segmentLength,
		})
		msn++
	}
}

// listed returns the segments that are listed or kept at a time, and how many of
// them, from the end, are listed.
func (o *origin) listed(now time.Duration) (kept []scripted, n int) {
	for _, s := range o.script {
		if s.at > now {
			break
		}
		if len(kept) > 0 && kept[0].generation != s.generation {
			kept = nil // a new process has nothing of the old one
		}
		kept = append(kept, s)
	}
	n = min(len(kept), window)
	return kept[max(0, len(kept)-n-o.retain):], n
}

// media builds the list of a moment.
func (o *origin) media(rendition string, now time.Duration) *playlist.Media {
	kept, n := o.listed(now)
	m := &playlist.Media{TargetDuration: target}
	for i, s := range kept[len(kept)-n:] {
		if i == 0 {
			m.MediaSequence, m.DiscontinuitySequence = s.msn, s.discontinuity
			if s.Discontinuity {
				m.DiscontinuitySequence-- // its own tag is still in the list
			}
		}
		m.Segments = append(m.Segments, s.Segment)
	}
	if o.list != nil {
		o.list(rendition, now, m)
	}
	return m
}

// ServeHTTP answers as an edge does.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	rec := httptest.NewRecorder()
	h := rec.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Age, Date, Content-Length, Content-Range")
	h.Set("Timing-Allow-Origin", "*")
	kind := o.answer(rec, r, time.Since(o.start))
	if o.reply != nil {
		o.reply(kind, r, rec)
	}
	for name, values := range h {
		w.Header()[name] = values
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

func (o *origin) answer(w http.ResponseWriter, r *http.Request, now time.Duration) (kind string) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/live/TOKEN/news/")
	parts := strings.Split(rest, "/")
	switch {
	case ok && rest == "index.m3u8":
		o.serveMultivariant(w)
		return "multivariant"
	case ok && len(parts) == 2 && parts[1] == "index.m3u8":
		o.servePlaylist(w, r, parts[0], now)
		return "media"
	case ok && len(parts) == 2 && strings.HasSuffix(parts[1], ".ts"):
		o.serveSegment(w, parts[0], strings.TrimSuffix(parts[1], ".ts"), now)
		return "segment"
	}
	fail(w, http.StatusNotFound)
	return "unknown"
}

func (o *origin) serveMultivariant(w http.ResponseWriter) {
	m := playlist.Multivariant{Variants: []playlist.Variant{
		{URI: "high/index.m3u8", Bandwidth: 2_000_000},
		{URI: "low/index.m3u8", Bandwidth: 1_000_000},
	}}
	w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
	w.Header().Set("Cache-Control", "max-age=30")
	_, _ = w.Write(m.AppendText(nil))
}

func (o *origin) servePlaylist(w http.ResponseWriter, r *http.Request, rendition string, now time.Duration) {
	m := o.media(rendition, now)
	text := m.AppendText(nil)
	if o.text != nil {
		text = o.text(rendition, now, text)
	}
	etag := fmt.Sprintf(`"%08x"`, crc32.ChecksumIEEE(text))
	h := w.Header()
	h.Set("Content-Type", "application/vnd.apple.mpegurl")
	h.Set("Cache-Control", "max-age=1")
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", etag)
	switch {
	case r.Header.Get("If-None-Match") == etag:
		w.WriteHeader(http.StatusNotModified)
	case r.Header.Get("Accept-Encoding") == "gzip":
		h.Set("Content-Encoding", "gzip")
		o.packer.Reset(w)
		_, _ = o.packer.Write(text)
		_ = o.packer.Close()
	default:
		_, _ = w.Write(text)
	}
}

func (o *origin) serveSegment(w http.ResponseWriter, rendition, name string, now time.Duration) {
	msn, err := strconv.ParseInt(name, 10, 64)
	kept, _ := o.listed(now)
	if err != nil || len(kept) == 0 || msn < kept[0].msn || msn > kept[len(kept)-1].msn {
		fail(w, http.StatusNotFound)
		return
	}
	b := media(rendition, msn)
	if o.body != nil {
		b = o.body(rendition, msn, now, b)
	}
	h := w.Header()
	h.Set("Content-Type", "video/mp2t")
	h.Set("Cache-Control", "public, max-age=3600, immutable")
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b)
}

// media makes a segment's bytes: a PAT's header, then packets that are only its own.
func media(rendition string, msn int64) []byte {
	b := bytes.Repeat([]byte{0x47, 0x40, 0, 0x10}, 188/4*10)
	copy(b[188:], fmt.Sprintf("%s %d", rendition, msn))
	return b
}

// fail answers with an error as the edge words it.
func fail(w http.ResponseWriter, status int) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
}

// errRefused is what a dead process answers.
var errRefused = errors.New("connection refused")

// RoundTrip lets a client call the origin without a socket, so that time can be
// a bubble's.
func (o *origin) RoundTrip(r *http.Request) (*http.Response, error) {
	if o.down != nil && o.down(time.Since(o.start)) {
		return nil, errRefused
	}
	if o.delay != nil {
		time.Sleep(o.delay(r.URL.Path)) // a bubble's time: it passes at once
	}
	rec := httptest.NewRecorder()
	o.ServeHTTP(rec, r)
	resp := rec.Result()
	resp.Request = r
	if resp.Header.Get("Content-Length") == "" {
		resp.ContentLength = -1
	}
	return resp, nil
}
