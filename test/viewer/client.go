package viewer

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// client makes requests and records them.
type client struct {
	recorder *recorder
	http     *http.Client
	timeout  time.Duration
	header   http.Header // of every request; never changed
}

func newClient(r *recorder, c *http.Client, timeout time.Duration) *client {
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	// Browsers ask for gzip, and it is what an edge has ready. Asking by hand
	// keeps http.Transport from building a decompressor per answer.
	return &client{recorder: r, http: c, timeout: timeout, header: http.Header{"Accept-Encoding": {"gzip"}}}
}

// maxPlaylist bounds what is read as a playlist.
const maxPlaylist = 1 << 20

// The buffers that all viewers share: only those that are reading hold one.
var (
	texts     = sync.Pool{New: func() any { return new(bytes.Buffer) }}
	unpackers = sync.Pool{New: func() any { return new(gzip.Reader) }}
	sinks     = sync.Pool{New: func() any { return new([64 << 10]byte) }}
)

// playlist fetches a playlist, hands its text to parse, and returns where it came
// from, redirects followed. A list that cannot be parsed counts as an error.
func (c *client) playlist(ctx context.Context, u *url.URL, parse func(text []byte) error) (*url.URL, bool) {
	start := time.Now()
	resp, cancel, ok := c.get(ctx, u)
	defer cancel()
	if !ok {
		return nil, false
	}
	defer resp.Body.Close()
	text := texts.Get().(*bytes.Buffer)
	defer texts.Put(text)
	text.Reset()
	counted := &counter{Reader: io.LimitReader(resp.Body, maxPlaylist)}
	err := unpack(text, counted, resp.Header.Get("Content-Encoding"))
	c.recorder.bytes.Add(counted.n)
	if err == nil {
		c.recorder.playlists.observe(time.Since(start))
		err = parse(text.Bytes())
	}
	if err != nil {
		c.failed(ctx)
		return nil, false
	}
	return resp.Request.URL, true
}

// segment fetches a segment and throws it away.
func (c *client) segment(ctx context.Context, u *url.URL) {
	start := time.Now()
	resp, cancel, ok := c.get(ctx, u)
	defer cancel()
	if !ok {
		return
	}
	defer resp.Body.Close()
	n, err := discard(resp.Body)
	c.recorder.bytes.Add(n)
	if err != nil {
		c.failed(ctx)
		return
	}
	c.recorder.segments.observe(time.Since(start))
}

// get makes one request. It returns false, and has closed the body, if the answer
// is not one of 2xx. The caller calls cancel when it has read the body.
func (c *client) get(ctx context.Context, u *url.URL) (*http.Response, context.CancelFunc, bool) {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	req := (&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: c.header}).WithContext(limited)
	resp, err := c.http.Do(req)
	if err != nil {
		c.failed(ctx)
		return nil, cancel, false
	}
	c.recorder.requests.Add(1)
	if resp.StatusCode/100 != 2 {
		// Read out, so that the connection can be used again.
		_, _ = discard(io.LimitReader(resp.Body, maxPlaylist))
		resp.Body.Close()
		c.recorder.refused(resp.StatusCode)
		return nil, cancel, false
	}
	return resp, cancel, true
}

// failed counts an error, unless it is only the end of the run.
func (c *client) failed(ctx context.Context) {
	if ctx.Err() == nil {
		c.recorder.errors.Add(1)
	}
}

// unpack appends r to text, decompressed if it is gzip.
func unpack(text *bytes.Buffer, r io.Reader, encoding string) error {
	if encoding != "gzip" {
		_, err := text.ReadFrom(r)
		return err
	}
	z := unpackers.Get().(*gzip.Reader)
	defer unpackers.Put(z)
	if err := z.Reset(r); err != nil {
		return err
	}
	if _, err := text.ReadFrom(io.LimitReader(z, maxPlaylist)); err != nil {
		return err
	}
	// The chunk that ends the body must be read for the connection to live on.
	_, err := io.Copy(io.Discard, r)
	return err
}

// discard reads to the end through a shared buffer.
func discard(r io.Reader) (n int64, err error) {
	buf := sinks.Get().(*[64 << 10]byte)
	defer sinks.Put(buf)
	for {
		m, err := r.Read(buf[:])
		n += int64(m)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// counter counts what is read through it.
type counter struct {
	io.Reader
	n int64
}

// Read reads and counts.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}
