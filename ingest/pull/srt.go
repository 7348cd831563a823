package pull

import (
	"context"
	"io"
	"net/url"
	"strconv"
	"time"

	srt "github.com/datarhei/gosrt"

	"github.com/headrace/headrace/ingest/guard"
)

// What the URL of an srt source may ask for as latency.
const (
	defaultLatency = 120 * time.Millisecond
	longestLatency = 8 * time.Second
)

// feedSRT calls an SRT listener. Its payload is MPEG-TS already.
func feedSRT(ctx context.Context, g *guard.Guard, from *url.URL, to io.Writer) error {
	config, err := configSRT(from)
	if err != nil {
		return err
	}
	address, err := addressOf(ctx, g, from)
	if err != nil {
		return err
	}
	conn, err := srt.Dial("srt", address.String(), config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer closeWith(ctx, conn)()
	_, err = io.CopyBuffer(to, struct{ io.Reader }{conn}, make([]byte, srt.MAX_MSS_SIZE))
	return err
}

// configSRT reads what the URL's query asks for: streamid, passphrase, pbkeylen, and
// latency in milliseconds, as srt-live-transmit has them.
func configSRT(from *url.URL) (srt.Config, error) {
	c := srt.DefaultConfig()
	c.ConnectionTimeout, c.PeerIdleTimeout = 5*time.Second, patience
	raw := from.RawQuery
	if from.Fragment != "" {
		// Stream ids begin with "#!::", and many write them as they are.
		raw += "%23" + from.EscapedFragment()
	}
	q, err := url.ParseQuery(raw)
	if err != nil {
		return c, unusable("the srt URL's query cannot be read; escape what is special in it")
	}
	if mode := q.Get("mode"); mode != "" && mode != "caller" {
		return c, unusable("srt mode %.20q is not supported; the edge calls, the source listens", mode)
	}
	c.StreamId, c.Passphrase = q.Get("streamid"), q.Get("passphrase")
	if text := q.Get("pbkeylen"); text != "" {
		if c.PBKeylen, err = strconv.Atoi(text); err != nil {
			return c, unusable("srt pbkeylen %.20q is no number; write 16, 24 or 32", text)
		}
	}
	latency := defaultLatency
	if text := q.Get("latency"); text != "" {
		n, err := strconv.Atoi(text)
		latency = time.Duration(n) * time.Millisecond
		if err != nil || n < 0 || latency > longestLatency {
			return c, unusable("srt latency %.20q is not 0 to %d milliseconds", text, longestLatency.Milliseconds())
		}
	}
	c.Latency, c.ReceiverLatency, c.PeerLatency = latency, latency, latency
	if err := c.Validate(); err != nil {
		return c, unusable("the srt URL asks for what cannot be: %w", err)
	}
	return c, nil
}
