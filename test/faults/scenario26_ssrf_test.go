package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// patience bounds what a test's server waits for.
const patience = 5 * time.Second

// publicOrigin is the address of the origin in the network of the test's own.
const publicOrigin = "5.5.5.5"

// attack is a source that leads to where it must not.
type attack struct {
	id, source string
	// bare says that FFmpeg by itself hits the canary.
	bare bool
	want ingest.Reason
}

// attacks are the corpus of scenario 26. The hosts of evil.test are the origin's, one
// for each: those of one origin wait for each other. What it answers stands in evil.
var attacks = []attack{
	{"loopback", "http://127.0.0.1/x.ts", true, ingest.ReasonSourceForbidden},
	{"short", "http://127.1/x.ts", true, ingest.ReasonSourceUnreachable},
	{"hex", "http://0x7f.1/x.ts", true, ingest.ReasonSourceUnreachable},
	{"decimal", "http://2130706433/x.ts", true, ingest.ReasonSourceUnreachable},
	{"octal", "http://0177.0.0.1/x.ts", true, ingest.ReasonSourceUnreachable},
	{"mapped", "http://[::ffff:127.0.0.1]/x.ts", true, ingest.ReasonSourceForbidden},
	{"loopback6", "http://[::1]/x.ts", true, ingest.ReasonSourceForbidden},
	{"unspecified", "http://0.0.0.0/x.ts", true, ingest.ReasonSourceForbidden},
	{"private", "http://10.1.2.3/x.ts", true, ingest.ReasonSourceForbidden},
	{"metadata", "http://169.254.169.254/latest/meta-data/x.ts", true, ingest.ReasonSourceForbidden},
	{"metadata-name", "http://metadata.test/latest/x.ts", true, ingest.ReasonSourceForbidden},
	{"redirect-loopback", "http://redirect-loopback.evil.test/redirect?http://127.0.0.1/x.ts", true, ingest.ReasonSourceForbidden},
	{"redirect-metadata", "http://redirect-metadata.evil.test/redirect?http://169.254.169.254/latest/", true, ingest.ReasonSourceForbidden},
	{"redirect-tcp", "http://redirect-tcp.evil.test/redirect?tcp://127.0.0.1:80", false, ingest.ReasonSourceForbidden},
	{"redirect-gopher", "http://redirect-gopher.evil.test/redirect?gopher://127.0.0.1:80/_x", false, ingest.ReasonSourceForbidden},
	{"variant-tcp", "http://variant-tcp.evil.test/variant.m3u8?tcp://127.0.0.1:80/x.m3u8", true, ingest.ReasonSourceForbidden},
	{"segment-tcp", "http://segment-tcp.evil.test/segment.m3u8?tcp://127.0.0.1:80/x.ts", false, ingest.ReasonSourceForbidden},
	{"segment-metadata", "http://segment-metadata.evil.test/segment.m3u8?http://169.254.169.254/latest/meta-data/iam.ts", true, ingest.ReasonSourceForbidden},
	{"segment-redirect", "http://segment-redirect.evil.test/segment.m3u8?http://segment-redirect.evil.test/redirect?http://10.1.2.3/x.ts", true, ingest.ReasonSourceForbidden},
	{"segment-file", "http://segment-file.evil.test/segment.m3u8?file:///etc/passwd", false, ingest.ReasonSourceForbidden},
	{"key-loopback", "http://key-loopback.evil.test/key.m3u8?http://127.0.0.1/key", true, ingest.ReasonSourceForbidden},
	{"rebound", "http://rebound.test/segment.m3u8?http://rebound.test/x.ts", true, ingest.ReasonSourceForbidden},
	{"rtmp", "rtmp://127.0.0.1:80/live/key", false, ingest.ReasonSourceForbidden},
	{"rtmp-name", "rtmp://metadata.test:80/live/key", false, ingest.ReasonSourceForbidden},
	{"srt", "srt://127.0.0.1:80?streamid=x", false, ingest.ReasonSourceForbidden},
	{"udp", "udp://239.1.1.1:5000", false, ingest.ReasonSourceForbidden},
}

// evil answers what the query of a request names.
func evil(w http.ResponseWriter, r *http.Request) {
	to := r.URL.RawQuery
	switch r.URL.Path {
	case "/redirect":
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	case "/variant.m3u8":
		_, _ = fmt.Fprintf(w, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n%s\n", to)
	case "/segment.m3u8":
		_, _ = fmt.Fprintf(w, "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:1\n#EXTINF:2,\n%[1]s\n#EXTINF:2,\n%[1]s\n", to)
	case "/key.m3u8":
		_, _ = fmt.Fprintf(w, "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD=AES-128,URI=\"%s\"\n#EXTINF:2,\nx.ts\n", to)
	default:
		http.NotFound(w, r)
	}
}

// TestScenario26SSRF checks that no source reaches an address where it may not be:
// none of the corpus hits a canary that owns every such address, while FFmpeg with
// the same options, but without the guard, does; and that each stream says why.
func TestScenario26SSRF(t *testing.T) {
	if !alone(t, publicOrigin+"/32", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10") {
		return
	}
	s := newStudio(t)
	feed := s.feed("healthy", origin.Recipe{}, origin.Options{})
	studio, err := url.Parse("http://" + s.Address())
	if err != nil {
		t.Fatal(err)
	}
	live := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(studio) }}
	mux := http.NewServeMux()
	mux.Handle("/live/", live)
	mux.HandleFunc("/", evil)
	w := newWorld(t, publicOrigin, mux)
	nameServer(t, map[string][]string{
		"origin.test": {publicOrigin}, "*.evil.test": {publicOrigin}, "metadata.test": {"169.254.169.254"},
		"rebound.test": {publicOrigin, "127.0.0.1"},
	})

	// First without the guard, so that it is seen what the attacks are worth.
	for _, a := range attacks {
		said := bareFFmpeg(t, a.source)
		hits, what := w.taken()
		t.Logf("figures: %s: %d hits without the guard: %v", a.id, hits, what)
		if a.bare && hits == 0 {
			t.Errorf("%s: the canary was not hit without the guard either; FFmpeg said %s", a.id, said)
		}
	}

	healthy := edge.Copy("healthy", strings.Replace(s.URL(feed), s.Address(), "origin.test", 1))
	strict := edge.Config{Streams: []edge.Stream{healthy}, Guard: []string{}}
	n := edge.Start(t, strict)
	n.AwaitLive(60 * time.Second)
	for some := range slices.Chunk(attacks, 6) { // a few at a time: each is an FFmpeg
		strict.Streams = []edge.Stream{healthy}
		for _, a := range some {
			strict.Streams = append(strict.Streams, edge.Copy(a.id, a.source))
		}
		if err := n.Reload(strict); err != nil {
			t.Fatal(err)
		}
		for _, a := range some {
			edge.Await(t, time.Minute, "the reason of stream "+a.id, func() bool { return n.Streams()[a.id].Restarts[a.want] > 0 })
			got := n.Stream(a.id)
			t.Logf("%s: %v", a.id, got.Restarts)
			if got.LastMSN != 0 {
				t.Errorf("stream %s: something was published", a.id)
			}
		}
	}
	if hits, what := w.taken(); hits != 0 {
		t.Errorf("the canary was hit %d times with the guard: %v", hits, what)
	}
	if got := n.Stream("healthy"); got.State != ingest.StateLive || len(got.Restarts) > 0 {
		t.Errorf("the healthy stream is %s with restarts %v", got.State, got.Restarts)
	}
}

// bareFFmpeg has FFmpeg read a source with the options that a child gets, but by
// itself, and gives what it said.
func bareFFmpeg(t *testing.T, source string) string {
	t.Helper()
	if !strings.HasPrefix(source, "http:") {
		return ""
	}
	u, err := url.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // some try for ever
	defer cancel()
	args := append([]string{"-nostdin", "-hide_banner"}, ffmpeg.HTTPInput(source, strings.HasSuffix(u.Path, ".m3u8")).Options...)
	cmd := exec.CommandContext(ctx, "ffmpeg", append(args, "-c", "copy", "-f", "null", "-")...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	var words bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &words
	_ = cmd.Run() // it fails, whatever it reached
	return words.String()
}
