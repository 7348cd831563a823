package pull

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/bluenviron/gortmplib"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/guard"
	"github.com/headrace/headrace/ingest/rtmp"
	"github.com/headrace/headrace/ingest/source"
)

var defaultPorts = map[string]string{"rtmp": "1935", "rtmps": "443"}

// feedRTMP plays a stream of an RTMP server.
func feedRTMP(ctx context.Context, g *guard.Guard, from *url.URL, to io.Writer) error {
	client := &gortmplib.Client{
		URL:       application(from),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := g.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return alert{conn}, nil
		},
	}
	if err := client.Initialize(ctx); err != nil {
		return err
	}
	defer client.Close()
	defer closeWith(ctx, client.NetConn())()
	err := rtmp.Copy(to, client)
	switch {
	case errors.Is(err, rtmp.ErrInvalid):
		return &source.Error{Failure: ffmpeg.FailureInvalid, Err: err}
	case errors.Is(err, rtmp.ErrParametersChanged):
		return &source.Error{Failure: ffmpeg.FailureChanged, Err: err}
	}
	return err
}

// application splits a URL as encoders and FFmpeg do: what follows the last slash of
// the path, and the query, is the stream's key, which gortmplib wants as a fragment.
func application(from *url.URL) *url.URL {
	u := *from
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), defaultPorts[u.Scheme])
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	last := strings.LastIndexByte(path, '/')
	if u.Fragment != "" || last <= 0 {
		return &u
	}
	key := path[last+1:]
	if u.RawQuery != "" {
		key += "?" + u.RawQuery
	}
	if app, err := url.PathUnescape(path[:last]); err == nil {
		u.Path, u.RawPath, u.RawQuery = app, "", ""
		u.Fragment, u.RawFragment = key, ""
	}
	return &u
}
