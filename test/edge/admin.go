package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/ingest"
)

// adminTime bounds a request to the admin endpoint. A reload waits for nothing
// that takes long.
const adminTime = 30 * time.Second

// admin makes a request to the node's admin endpoint. A reload replaces the
// endpoint, and may close a connection unanswered: who only asks, asks again.
func (n *Node) admin(method, path, contentType string, body []byte) (int, []byte, error) {
	status, answer, err := n.adminOnce(method, path, contentType, body)
	for tries := 0; err != nil && method == http.MethodGet && tries < 3; tries++ {
		status, answer, err = n.adminOnce(method, path, contentType, body)
	}
	return status, answer, err
}

func (n *Node) adminOnce(method, path, contentType string, body []byte) (int, []byte, error) {
	transport := &http.Transport{
		DisableKeepAlives: true, // the endpoint is replaced at every reload
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", n.path("admin.sock"))
		},
	}
	ctx, cancel := context.WithTimeout(context.Background(), adminTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://admin"+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// Admin asks the admin endpoint and fails the test unless it answers 2xx.
func (n *Node) Admin(method, path string) []byte {
	n.t.Helper()
	status, body, err := n.admin(method, path, "", nil)
	if err != nil || status/100 != 2 {
		n.t.Fatalf("asking the admin endpoint for %s %s: status %d, %v\n%s", method, path, status, err, body)
	}
	return body
}

// Reload gives the edge another configuration. The error holds Caddy's answer.
func (n *Node) Reload(c Config) error {
	status, body, err := n.admin(http.MethodPost, "/load", "text/caddyfile", []byte(n.caddyfile(c)))
	if err != nil {
		return fmt.Errorf("loading a configuration: %w", err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("loading a configuration: status %d: %s", status, bytes.TrimSpace(body))
	}
	n.config = c
	return nil
}

// Streams is what the edge says of its streams, by id.
func (n *Node) Streams() map[string]ingest.Status {
	n.t.Helper()
	var list []ingest.Status
	if err := json.Unmarshal(n.Admin(http.MethodGet, "/edge/streams"), &list); err != nil {
		n.t.Fatal(err)
	}
	streams := make(map[string]ingest.Status, len(list))
	for _, s := range list {
		streams[s.ID] = s
	}
	return streams
}

// Stream is what the edge says of one stream, with FFmpeg's last lines.
func (n *Node) Stream(id string) ingest.Status {
	n.t.Helper()
	var s ingest.Status
	if err := json.Unmarshal(n.Admin(http.MethodGet, "/edge/streams/"+id), &s); err != nil {
		n.t.Fatal(err)
	}
	return s
}

// AwaitState waits until a stream is in a state, and returns its status then.
func (n *Node) AwaitState(limit time.Duration, id string, state ingest.State) ingest.Status {
	n.t.Helper()
	var s ingest.Status
	Await(n.t, limit, fmt.Sprintf("stream %s to be %s", id, state), func() bool {
		s = n.Stream(id)
		return s.State == state
	})
	return s
}

// AwaitLive waits until all streams of the node's own configuration are live.
func (n *Node) AwaitLive(limit time.Duration) {
	n.t.Helper()
	for _, s := range n.config.Streams {
		n.AwaitState(limit, s.ID, ingest.StateLive)
	}
}

// AwaitStreams waits until an edge that is told by a control plane serves, and carries
// exactly these streams, each live.
func (n *Node) AwaitStreams(limit time.Duration, ids ...string) {
	n.t.Helper()
	n.AwaitServing()
	Await(n.t, limit, fmt.Sprint("the edge to be told of ", ids), func() bool {
		streams := n.Streams()
		for _, id := range ids {
			if _, known := streams[id]; !known {
				return false
			}
		}
		return len(streams) == len(ids)
	})
	for _, id := range ids {
		n.AwaitState(limit, id, ingest.StateLive)
	}
}

// Goroutines is the number of the edge's goroutines.
func (n *Node) Goroutines() int {
	n.t.Helper()
	profile := n.Admin(http.MethodGet, "/debug/pprof/goroutine?debug=1")
	var count int
	if _, err := fmt.Sscanf(string(profile), "goroutine profile: total %d", &count); err != nil {
		n.t.Fatalf("reading the profile of goroutines: %v", err)
	}
	return count
}

// Metrics are the samples of one scrape, by name and labels as they are written:
// `headrace_segments_total{stream="news"}`.
type Metrics map[string]float64

// Metrics scrapes the edge.
func (n *Node) Metrics() Metrics {
	n.t.Helper()
	m, err := parseMetrics(n.Admin(http.MethodGet, "/metrics"))
	if err != nil {
		n.t.Fatal(err)
	}
	return m
}

// parseMetrics reads Prometheus' text format as far as our metrics use it.
func parseMetrics(text []byte) (Metrics, error) {
	m := make(Metrics)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		labels := strings.LastIndexByte(line, '}') + 1
		name, value, ok := strings.Cut(line[labels:], " ")
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return nil, fmt.Errorf("reading the metric %q: %w", line, err)
		}
		m[line[:labels]+name] = v
	}
	return m, nil
}

// Sum adds the samples of a name over all its labels.
func (m Metrics) Sum(name string) (sum float64) {
	for sample, v := range m {
		if sample == name || strings.HasPrefix(sample, name+"{") {
			sum += v
		}
	}
	return sum
}
