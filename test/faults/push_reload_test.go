package faults

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/rtmp"
	"github.com/headrace/headrace/test/edge"
)

// TestReloadKeepsPublishers checks that no reload ends a publisher: not one that changes
// something else, and not one that moves the port.
func TestReloadKeepsPublishers(t *testing.T) {
	t.Parallel()
	streams := []edge.Stream{edge.Copy("kept", "push:")}
	n := startPushed(t, streams)
	publisher := ffmpegPublishes(t, recording(t), n.own("kept"))
	n.AwaitLive(30 * time.Second)
	// A reload may end a connection that was only just made (see scenario 9).
	watch := startAuditThrough(t, n.Node, func(r http.RoundTripper) http.RoundTripper { return &again{RoundTripper: r} }, "kept")
	pid := n.Stream("kept").PID
	moved := edge.ReservePort(t)
	for i, port := range []int{n.port, n.port, moved} {
		config := edge.Config{Streams: streams, Options: []string{
			fmt.Sprintf("capacity {\n\t\t\tstreams %d\n\t\t}", 100+i), fmt.Sprintf("rtmp 127.0.0.1:%d", port),
		}}
		if err := n.Reload(config); err != nil {
			t.Fatal(err)
		}
	}
	last := n.Stream("kept").LastMSN
	edge.Await(t, 20*time.Second, "segments after the reloads", func() bool { return n.Stream("kept").LastMSN > last+1 })
	select {
	case <-publisher.done:
		t.Errorf("the publisher was ended: %s", publisher.said.String())
	default:
	}
	if st := n.Stream("kept"); st.PID != pid {
		t.Errorf("FFmpeg is another one after the reloads: %+v", st)
	}
	publisher.kill()
	watch.expect("kept", "publisher moves", 20*time.Second)
	n.port = moved
	ffmpegPublishes(t, recording(t), n.own("kept"))
	edge.Await(t, 20*time.Second, "the publisher at the new port", func() bool {
		st := n.Stream("kept")
		return st.State == ingest.StateLive && st.PID != pid
	})
	watch.finish()
}

// TestReloadEndsPublishersOfWhatIsGone checks that a publisher whose stream is no longer
// pushed does not stay.
func TestReloadEndsPublishersOfWhatIsGone(t *testing.T) {
	t.Parallel()
	streams := []edge.Stream{edge.Copy("gone", "push:"), edge.Copy("stays", "test:")}
	n := startPushed(t, streams)
	publisher := ffmpegPublishes(t, recording(t), n.own("gone"))
	n.AwaitState(30*time.Second, "gone", ingest.StateLive)
	if err := n.Reload(edge.Config{Streams: streams[1:], Options: []string{fmt.Sprintf("rtmp 127.0.0.1:%d", n.port)}}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-publisher.done:
	case <-time.After(10 * time.Second):
		t.Error("the publisher goes on although its stream is gone")
	}
}

// TestRTMPS checks that encoders can push encrypted, with Caddy's certificates.
func TestRTMPS(t *testing.T) {
	t.Parallel()
	port := edge.ReservePort(t)
	n := edge.Start(t, edge.Config{
		Streams: []edge.Stream{edge.Copy("safe", "push:")},
		Options: []string{fmt.Sprintf("rtmp 127.0.0.1:%d {\n\t\t\ttls localhost\n\t\t}", port)},
		// Without a site of its own that needs it, Caddy heeds skip_install_trust only for
		// an authority that is named; and the machine is not to trust this one.
		Global: []string{"skip_install_trust", "pki {\n\t\tca local {\n\t\t\tname Tests\n\t\t}\n\t}"},
	})
	root := filepath.Join(n.Folder(), "data", "caddy", "pki", "authorities", "local", "root.crt")
	edge.Await(t, 20*time.Second, "Caddy's own authority", func() bool {
		_, err := os.Stat(root)
		return err == nil
	})
	pem, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	edge.Await(t, 20*time.Second, "a certificate that can be verified", func() bool {
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12})
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	p := pushed{n, t, port}
	ffmpegPublishes(t, recording(t), strings.Replace(p.own("safe"), "rtmp://127.0.0.1", "rtmps://localhost", 1))
	n.AwaitState(30*time.Second, "safe", ingest.StateLive)
	codecs, decoded := probe(t, n.URL("safe"), 3)
	t.Logf("figures: RTMPS by FFmpeg: %s, %.1f s of 3 decoded", codecs, decoded)
	if codecs != "h264 aac" || decoded < 2.5 {
		t.Errorf("got %s, %.1f s of 3", codecs, decoded)
	}
	plain := ffmpegPublishes(t, recording(t), p.own("safe"))
	<-plain.done
	if got := n.Metrics()[fmt.Sprintf(`headrace_push_connections_total{outcome=%q}`, rtmp.Unfit)]; got == 0 {
		t.Error("an encoder that does not encrypt was not counted as unfit")
	}
}
