// Package source is what FFmpeg reads: pulled URLs, files and the test pattern,
// their order of preference, and when to go from one to the other.
package source

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/headrace/headrace/ingest/ffmpeg"
)

// Kind says how a source is read. The set is closed.
type Kind string

// The kinds of source.
const (
	HTTP  Kind = "http" // HLS or MPEG-TS over http or https
	RTMP  Kind = "rtmp" // rtmp or rtmps
	SRT   Kind = "srt"
	UDP   Kind = "udp"
	File  Kind = "file"  // a local file, looped
	Test  Kind = "test"  // the test pattern
	Push  Kind = "push"  // what a publisher sends to the edge
	Slate Kind = "slate" // a card for when nothing else delivers
)

// kinds are those of the URL schemes.
var kinds = map[string]Kind{"http": HTTP, "https": HTTP, "rtmp": RTMP, "rtmps": RTMP, "srt": SRT, "udp": UDP}

// Source is one place that a stream can come from. The zero value is none.
type Source struct {
	kind   Kind
	scheme string
	url    string // with its secrets; never printed
}

// Parse reads a source as configuration names it: an http, https, rtmp, rtmps,
// srt or udp URL, "file:PATH", or "test:". The error never holds the text, which
// may carry a password.
func Parse(text string) (Source, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Source{}, errors.New("the source holds a control character")
	}
	if text == "test:" {
		return Source{kind: Test, scheme: "test", url: text}, nil
	}
	if text == "push:" {
		return Source{kind: Push, scheme: "push", url: text}, nil
	}
	if path, ok := strings.CutPrefix(text, "slate:"); ok {
		return parseSlate(path)
	}
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		if path == "" {
			return Source{}, errors.New("file: names no file; write file:/path/to/media")
		}
		return Source{kind: File, scheme: "file", url: filepath.Clean(strings.TrimPrefix(path, "//"))}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		return Source{}, errors.New("the source is not a URL; write one as https://host/path, file:/path or test: (the test pattern)")
	}
	if kinds[u.Scheme] == "" {
		return Source{}, fmt.Errorf("source scheme %q is not supported; use http, https, rtmp, rtmps, srt, udp, file or test", u.Scheme)
	}
	if u.Hostname() == "" {
		return Source{}, fmt.Errorf("the %s source names no host", u.Scheme)
	}
	return Source{kind: kinds[u.Scheme], scheme: u.Scheme, url: text}, nil
}

// parseSlate reads the path of a slate's picture or film; empty: the edge draws a card.
func parseSlate(path string) (Source, error) {
	if path != "" && !strings.HasPrefix(path, "/") {
		return Source{}, errors.New("the slate's file needs its whole path, as in slate:/path/to/card.png")
	}
	if path != "" {
		path = filepath.Clean(path)
	}
	if ext := filepath.Ext(path); ffmpeg.IsPictureName(ext) && !ffmpeg.IsPicture(path) {
		return Source{}, errors.New("the path of the slate's picture may hold letters, digits, / . _ - and spaces; rename it")
	}
	return Source{kind: Slate, scheme: "slate", url: path}, nil
}

// Kind says how it is read.
func (s Source) Kind() Kind { return s.kind }

// Origin names the host that the source is read from, "https://origin.example:8443";
// sources of one origin fail together. It is empty for sources without a host.
func (s Source) Origin() string {
	switch s.kind {
	case HTTP, RTMP, SRT:
	default:
		return ""
	}
	u, err := url.Parse(s.url)
	if err != nil {
		return ""
	}
	return s.scheme + "://" + u.Host
}

// Path is the local file that it is, or the one of a slate; empty for all others.
func (s Source) Path() string {
	if s.kind != File && s.kind != Slate {
		return ""
	}
	return s.url
}

// String names the source without what may be secret: scheme, host and path
// only, and of RTMP, whose path holds the stream key, the host alone.
func (s Source) String() string {
	switch s.kind {
	case "":
		return "none"
	case Test, Push:
		return s.url
	case File, Slate:
		return string(s.kind) + ":" + s.url
	}
	u, err := url.Parse(s.url)
	if err != nil {
		return s.scheme + ":"
	}
	if s.kind == RTMP {
		return s.scheme + "://" + u.Host
	}
	return s.scheme + "://" + u.Host + u.EscapedPath()
}

// Secrets are the parts of the source that must not be shown. FFmpeg prints URLs
// in its log lines: replace these before a line goes anywhere.
func (s Source) Secrets() []string {
	u, err := url.Parse(s.url)
	if err != nil || s.kind == File || s.kind == Test || s.kind == Push || s.kind == Slate {
		return nil
	}
	var secrets []string
	if u.User != nil {
		secrets = append(secrets, u.User.String()+"@")
		if password, set := u.User.Password(); set && password != "" {
			secrets = append(secrets, password)
		}
	}
	if u.RawQuery != "" {
		secrets = append(secrets, "?"+u.RawQuery, u.RawQuery)
	}
	if path := strings.Trim(u.EscapedPath(), "/"); s.kind == RTMP && path != "" {
		secrets = append(secrets, path, path[strings.LastIndexByte(path, '/')+1:])
	}
	return secrets
}

// Loop is the list to be written to Place.List before FFmpeg starts; empty for a
// source that needs none.
func (s Source) Loop() string {
	if s.kind == File || (s.kind == Slate && s.isFilm()) {
		return ffmpeg.Loop(s.url)
	}
	return ""
}

// isFilm tells whether a slate is a file that is played, not a picture or drawn.
func (s Source) isFilm() bool { return s.url != "" && !ffmpeg.IsPicture(s.url) }

// slate is what FFmpeg is told to read of a slate.
func (s Source) slate(p Place) ffmpeg.Input {
	if s.isFilm() {
		return ffmpeg.FileInput(p.List)
	}
	return ffmpeg.SlateInput(ffmpeg.Card{Name: p.Stream, Height: p.Height, Picture: s.url}, p.Timeline)
}

// Place is what a source needs to know of the stream that reads it.
type Place struct {
	// Stream is its id, which the test pattern shows.
	Stream string
	// Height is the picture's, for the test pattern.
	Height int
	// Timeline is where a generated source's clock starts.
	Timeline time.Duration
	// List is the path of a file for the source's Loop.
	List string
	// Opus says that the sound of what is fed is in Opus.
	Opus bool
}

// Input is what FFmpeg is told to read.
func (s Source) Input(p Place) ffmpeg.Input {
	switch s.kind {
	case Test:
		return ffmpeg.TestInput(p.Stream, p.Height, p.Timeline)
	case File:
		return ffmpeg.FileInput(p.List)
	case Slate:
		return s.slate(p)
	case Push:
		in := ffmpeg.FeedInput()
		in.Opus = p.Opus
		return in
	case RTMP, SRT, UDP:
		return ffmpeg.FeedInput()
	}
	return ffmpeg.HTTPInput(s.surrogateURL(p.Stream), s.isPlaylist())
}

func (s Source) isPlaylist() bool {
	u, err := url.Parse(s.url)
	return err == nil && (strings.HasSuffix(u.Path, ".m3u8") || strings.HasSuffix(u.Path, ".m3u"))
}
