package viewer

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/headrace/headrace/ingest/playlist"
)

// live is a small live origin: one segment every interval, windows of 8.
type live struct {
	start    time.Time
	interval time.Duration
	target   int // seconds
	media    []byte
	// hook, if set, may answer a request itself; it returns true then.
	hook func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	rendered map[int64]playlist.Rendered // by the newest number
	served   map[string]int              // by path
}

func newLive(interval time.Duration, target, size int) *live {
	return &live{
		start: time.Now().Add(-20 * interval), interval: interval, target: target, media: make([]byte, size),
		rendered: map[int64]playlist.Rendered{}, served: map[string]int{},
	}
}

// newest is the number of the newest segment; the first has 0.
func (l *live) newest() int64 { return int64(time.Since(l.start)/l.interval) - 1 }

// list renders the list that ends with a number, once.
func (l *live) list(newest int64) playlist.Rendered {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.rendered[newest]; ok {
		return r
	}
	m := playlist.Media{TargetDuration: l.target, MediaSequence: newest - 7, Segments: make([]playlist.Segment, 8)}
	for i := range m.Segments {
		m.Segments[i].Duration = l.interval
		m.Segments[i].ProgramDateTime = l.start.Add(time.Duration(m.MediaSequence+int64(i)) * l.interval)
	}
	r := playlist.Render(m.AppendText(nil), strconv.FormatInt(newest, 10))
	l.rendered[newest] = r
	return r
}

// ServeHTTP serves two renditions, "a" and "b", of which the lists come packed.
func (l *live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	l.served[r.URL.Path]++
	l.mu.Unlock()
	if l.hook != nil && l.hook(w, r) {
		return
	}
	switch name, _ := strings.CutPrefix(r.URL.Path, "/"); {
	case name == "index.m3u8":
		m := playlist.Multivariant{PathwayID: "here", SteeringURI: "http://unused.example/", Variants: []playlist.Variant{
			{URI: "http://dead.example/index.m3u8", Bandwidth: 1, PathwayID: "there"},
			{URI: "a/index.m3u8", Bandwidth: 1, PathwayID: "here"},
			{URI: "b/index.m3u8", Bandwidth: 1, PathwayID: "here"},
		}}
		_, _ = w.Write(m.AppendText(nil))
	case strings.HasSuffix(name, "/index.m3u8"):
		body := l.list(l.newest())
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", body.GzipLength)
		_, _ = w.Write(body.Gzip)
	case strings.HasSuffix(name, ".ts"):
		w.Header().Set("Content-Length", strconv.Itoa(len(l.media)))
		_, _ = w.Write(l.media)
	default:
		http.NotFound(w, r)
	}
}

// count returns how often paths with a prefix and a suffix were asked for.
func (l *live) count(prefix, suffix string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for path, times := range l.served {
		if strings.HasPrefix(path, prefix) && strings.HasSuffix(path, suffix) {
			n += times
		}
	}
	return n
}
