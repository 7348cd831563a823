// Package origin is the source of live streams in tests: a short transport
// stream, made once, that is sent for ever in real time without encoding. Its
// timestamps and continuity counters go on over the seam, so that FFmpeg sees one
// endless broadcast, until a test tells the feed to stop, hang, or go wrong.
package origin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// beat is the time from one write to a client to the next. Packets are never
// sent before they are due, and at most this much after.
const beat = 20 * time.Millisecond

// patience is how long a client may leave its connection unread.
const patience = 10 * time.Second

// window is the number of segments in a live playlist.
const window = 6

// Server serves feeds on a free port of 127.0.0.1.
type Server struct {
	http     *http.Server
	handler  http.Handler
	listener net.Listener

	mu    sync.Mutex
	feeds map[string]*Feed
}

// NewServer starts a server that serves nothing yet.
func NewServer() (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening on a free port: %w", err)
	}
	s := &Server{listener: l, feeds: make(map[string]*Feed)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live/{feed}/stream.ts", s.with((*Feed).serveStream))
	mux.HandleFunc("GET /live/{feed}/{seconds}/index.m3u8", s.with((*Feed).servePlaylist))
	mux.HandleFunc("GET /live/{feed}/{seconds}/{segment}", s.with((*Feed).serveSegment))
	mux.HandleFunc("GET /file/{feed}/file.ts", s.with((*Feed).serveFile))
	s.handler = mux
	s.serve()
	return s, nil
}

func (s *Server) serve() {
	server, l := &http.Server{Handler: s.handler, ReadHeaderTimeout: patience}, s.listener
	s.http = server
	go func() { _ = server.Serve(l) }() // it ends with Close, with an error that says so
}

// Reopen serves again, at the same address, after Close.
func (s *Server) Reopen() error {
	l, err := net.Listen("tcp", s.Address())
	if err != nil {
		return fmt.Errorf("listening again: %w", err)
	}
	s.listener = l
	s.serve()
	return nil
}

// Close ends all connections.
func (s *Server) Close() error {
	if err := s.http.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Address is the server's host and port.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Add puts a loop on the air under a name.
func (s *Server) Add(name string, loop *Loop, o Options) *Feed {
	f := newFeed(name, loop, o)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feeds[name] = f
	return f
}

// URL is the feed's endless transport stream.
func (s *Server) URL(f *Feed) string {
	return fmt.Sprintf("http://%s/live/%s/stream.ts", s.Address(), f.name)
}

// PlaylistURL is the feed as live HLS, in segments of a multiple of Grid.
func (s *Server) PlaylistURL(f *Feed, segment time.Duration) string {
	return fmt.Sprintf("http://%s/live/%s/%d/index.m3u8", s.Address(), f.name, int(segment.Seconds()))
}

// FileURL is one turn of the feed's loop as a file that ends.
func (s *Server) FileURL(f *Feed) string {
	return fmt.Sprintf("http://%s/file/%s/file.ts", s.Address(), f.name)
}

func (s *Server) with(serve func(*Feed, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		f := s.feeds[r.PathValue("feed")]
		s.mu.Unlock()
		if f == nil {
			http.NotFound(w, r)
			return
		}
		if !f.troubled(w, r) {
			serve(f, w, r)
		}
	}
}

// troubled answers a request in the feed's place if the feed says so. A feed that
// hangs does so before it answers anything but a stream.
func (f *Feed) troubled(w http.ResponseWriter, r *http.Request) bool {
	p := f.current.Load()
	switch {
	case p.trouble == answering:
		w.Header().Set("Content-Type", p.contentType)
		w.WriteHeader(p.status)
		_, _ = w.Write([]byte(p.body)) // a client that is gone is no fault
		return true
	case p.trouble == hanging && !strings.HasSuffix(r.URL.Path, "/stream.ts"):
		<-r.Context().Done()
		return true
	}
	return false
}

// serveStream sends the endless stream. What is due is counted from the clock each
// time, so that nothing drifts, whatever a write takes.
func (f *Feed) serveStream(w http.ResponseWriter, r *http.Request) {
	f.clients.Add(1)
	f.served.Add(1)
	defer f.clients.Add(-1)
	w.Header().Set("Content-Type", "video/mp2t")
	out := http.NewResponseController(w)
	place := f.join(f.now())
	var buf []byte
	for ; r.Context().Err() == nil; wait(r.Context()) {
		p, now := f.current.Load(), f.now()
		switch p.trouble {
		case answering:
			return
		case fine:
			buf = p.advance(buf[:0], &place, now)
		case hanging:
			p.skip(&place, now)
			buf = buf[:0]
		case garbled:
			before := place.next
			p.skip(&place, now)
			buf = noise(buf, int(place.next-before))
		}
		_ = out.SetWriteDeadline(time.Now().Add(patience)) // every net.Conn has one
		if _, err := w.Write(buf); err != nil || out.Flush() != nil {
			return
		}
	}
}

func wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(beat):
	}
}

// noise is as many random bytes as so many packets have.
func noise(buf []byte, packets int) []byte {
	buf = append(buf[:0], make([]byte, max(packets, 0)*packetSize)...)
	_, _ = rand.Read(buf) // never fails
	return buf
}

// servePlaylist lists the newest whole segments. Number n holds what is on the air
// from n times the segment's length on.
func (f *Feed) servePlaylist(w http.ResponseWriter, r *http.Request) {
	seconds, ok := segmentSeconds(w, r)
	if !ok {
		return
	}
	newest := f.now()/(seconds*clockRate) - 1
	oldest := max(newest-window+1, 0)
	text := fmt.Appendf(nil, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:%d\n", seconds, oldest)
	for n := oldest; n <= newest; n++ {
		text = fmt.Appendf(text, "#EXTINF:%d.000,\n%d.ts\n", seconds, n)
	}
	w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(text)
}

func (f *Feed) serveSegment(w http.ResponseWriter, r *http.Request) {
	seconds, ok := segmentSeconds(w, r)
	if !ok {
		return
	}
	number, isTS := strings.CutSuffix(r.PathValue("segment"), ".ts")
	n, err := strconv.ParseInt(number, 10, 64)
	length := seconds * clockRate
	if !isTS || err != nil || n < 0 || (n+1)*length > f.now() {
		http.NotFound(w, r)
		return
	}
	p := f.current.Load()
	loop := p.at(n * length).loop
	w.Header().Set("Content-Type", "video/mp2t")
	_, _ = w.Write(loop.appendPackets(nil, loop.at(n*length), loop.at((n+1)*length), p.base))
}

// segmentSeconds reads a segment's length from the path and answers what cannot be.
func segmentSeconds(w http.ResponseWriter, r *http.Request) (int64, bool) {
	seconds, err := strconv.ParseInt(r.PathValue("seconds"), 10, 64)
	if err != nil || seconds < 1 || seconds > 60 || seconds%int64(Grid.Seconds()) != 0 {
		http.NotFound(w, r)
		return 0, false
	}
	return seconds, true
}

// serveFile sends one turn of the loop as a file.
func (f *Feed) serveFile(w http.ResponseWriter, r *http.Request) {
	p := f.current.Load()
	loop := p.at(f.now()).loop
	bytes := loop.appendPackets(nil, 0, int64(loop.length()), p.base)
	w.Header().Set("Content-Type", "video/mp2t")
	w.Header().Set("Content-Length", strconv.Itoa(len(bytes)))
	_, _ = w.Write(bytes)
}
