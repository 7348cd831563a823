package playlist

import (
	"bytes"
	"compress/gzip"
	"io"
	"strconv"
	"strings"
)

// Rendered is a playlist as it goes over the wire, made once per new segment and
// then shared by every request. It is immutable: nobody may change its bytes.
//
// The header values are strings, not ready []string: Caddy's header directive
// replaces inside such slices, and a shared one would then be written by
// concurrent requests.
type Rendered struct {
	// Plain is the text.
	Plain []byte
	// Gzip is the text compressed, or nil if that is not smaller.
	Gzip []byte
	// ETag and GzipETag are the quoted strong validators of the two. They differ,
	// because the bytes differ (RFC 9110 §8.8.3.3).
	ETag, GzipETag string
	// PlainLength and GzipLength are the two Content-Length values.
	PlainLength, GzipLength string
}

// Render compresses text and prepares its headers. It keeps text: the caller must
// not touch it again. The etag comes without quotes and must not hold any.
func Render(text []byte, etag string) Rendered {
	r := Rendered{
		Plain:       text,
		ETag:        `"` + etag + `"`,
		GzipETag:    `"` + etag + `-gzip"`,
		PlainLength: strconv.Itoa(len(text)),
	}
	if packed := compress(text); len(packed) < len(text) {
		r.Gzip, r.GzipLength = packed, strconv.Itoa(len(packed))
	}
	return r
}

// Matches reports whether the value of an If-None-Match header names this
// playlist, plain or compressed, so that the answer is 304 (RFC 9110 §13.1.2,
// weak comparison).
func (r *Rendered) Matches(ifNoneMatch string) bool {
	for ifNoneMatch != "" {
		var etag string
		etag, ifNoneMatch, _ = strings.Cut(ifNoneMatch, ",")
		etag = strings.TrimPrefix(strings.TrimSpace(etag), "W/")
		if etag == "*" || etag == r.ETag || etag == r.GzipETag {
			return true
		}
	}
	return false
}

// writers keeps compressors between renders, at most as many as it has room for: each
// holds about a megabyte. It is not a sync.Pool, which every second collection empties: on
// a busy edge that is once a second, and making them anew would be most of its garbage.
var writers = make(chan *gzip.Writer, 2)

func takeWriter() *gzip.Writer {
	select {
	case w := <-writers:
		return w
	default:
		// The level is a valid constant, hence no error.
		w, _ := gzip.NewWriterLevel(io.Discard, gzip.BestCompression)
		return w
	}
}

func keepWriter(w *gzip.Writer) {
	w.Reset(io.Discard) // it must not hold on to what it wrote to
	select {
	case writers <- w:
	default:
	}
}

// compress returns text in gzip format, in a slice of exactly its size. Equal
// text gives equal bytes: the header holds no time and no name.
func compress(text []byte) []byte {
	w := takeWriter()
	defer keepWriter(w)
	var buf bytes.Buffer
	buf.Grow(len(text)/2 + 64)
	w.Reset(&buf)
	// A bytes.Buffer takes every write.
	_, _ = w.Write(text)
	_ = w.Close()
	return bytes.Clone(buf.Bytes())
}
