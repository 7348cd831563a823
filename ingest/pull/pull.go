// Package pull reads sources in the edge itself whose protocols FFmpeg is not to
// speak: rtmp, rtmps, srt and udp. It hands their media on as MPEG-TS.
//
// A forward for FFmpeg's own rtmp, which connects where it is told to, would keep it
// at a checked address as well. But the stream key would stand in its arguments, a
// server could talk to a parser of ours or of FFmpeg's, whichever is older, and the
// child would need the network. Here it needs none: its media come on its standard
// input.
package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/guard"
	"github.com/headrace/headrace/ingest/source"
)

// patience is how long a source may be silent.
const patience = 8 * time.Second

// New returns what reads a source, nil if FFmpeg does.
func New(g *guard.Guard, s source.Source) source.Feed {
	switch s.Kind() {
	case source.RTMP:
		return feed{g, s.URL(), feedRTMP}
	case source.SRT:
		return feed{g, s.URL(), feedSRT}
	case source.UDP:
		return feed{g, s.URL(), feedUDP}
	}
	return nil
}

// feed is a source with the one who speaks its protocol.
type feed struct {
	guard *guard.Guard
	url   *url.URL
	read  func(ctx context.Context, g *guard.Guard, from *url.URL, to io.Writer) error
}

// Feed implements source.Feed.
func (f feed) Feed(ctx context.Context, w io.Writer) error {
	to := &sink{w: w}
	err := f.read(ctx, f.guard, f.url, to)
	switch {
	case to.err != nil:
		return to.err
	case err == nil, errors.Is(err, io.EOF), ctx.Err() != nil:
		return ctx.Err()
	}
	return guard.Explain(fmt.Errorf("reading from %s: %w", f.url.Host, err))
}

// sink tells what failed to take bytes from what failed to give them.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(b []byte) (n int, err error) {
	n, err = s.w.Write(b)
	if err != nil {
		s.err = err
	}
	return n, err
}

// alert is a connection that ends when it is silent for too long.
type alert struct{ net.Conn }

func (a alert) Read(b []byte) (int, error) {
	if err := a.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	n, err := a.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = silent(err)
	}
	return n, err
}

// silent is the error of a source that stopped sending.
func silent(err error) error { return fmt.Errorf("nothing came for %s: %w", patience, err) }

// closeWith closes c when ctx is done, until the function that it returns is called.
func closeWith(ctx context.Context, c io.Closer) (release func()) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	return func() { stop() }
}

// unusable says that a source's URL asks for what cannot be done.
func unusable(format string, args ...any) error {
	return &source.Error{Failure: ffmpeg.FailureInvalid, Err: fmt.Errorf(format, args...)}
}

// addressOf gives host and port of a URL that must have both.
func addressOf(ctx context.Context, g *guard.Guard, u *url.URL) (netip.AddrPort, error) {
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", u.Port())
	if err != nil || port == 0 {
		return netip.AddrPort{}, unusable("the %s URL names no port; write %s://host:port", u.Scheme, u.Scheme)
	}
	addrs, err := g.Resolve(ctx, u.Hostname())
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(addrs[0], uint16(port)), nil //nolint:gosec // a port, as LookupPort says
}
