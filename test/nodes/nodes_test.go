// Package nodes watches real edges of a real control plane come, go and come back.
package nodes

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/test/control"
	"github.com/headrace/headrace/test/edge"
)

func TestMain(m *testing.M) {
	os.Exit(control.With(func() int { return edge.Main(m) }))
}

// The pass figures, with what a loaded machine adds: the promises are measured with test
// figures of their own.
const (
	readyWithin = 90 * time.Second
	// moveWithin is from the death of an edge's process to the first playlist elsewhere. The
	// budget is 8 s at most on a machine that does nothing else.
	moveWithin = 20 * time.Second
)

// start runs an edge that has joined the control plane.
func start(t *testing.T, c *control.Node, id string) *edge.Node {
	t.Helper()
	n := edge.New(t, edge.Config{ID: id})
	n.Join(c.URL(), c.Edge(id, "http://"+n.Address()))
	n.Launch()
	return n
}

// await asks ten times a second, which the API's limit for one key allows.
func await(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited %v until %s", limit, what)
		}
	}
}

// stateOf is what the control plane holds of an edge.
func stateOf(c *control.Node, id string) string {
	var e struct {
		Health struct {
			State string `json:"state"`
		} `json:"health"`
	}
	if c.Call("GET", "/v1/edges/"+id, nil, &e) != nil {
		return ""
	}
	return e.Health.State
}

// plays tells whether the playlist at a URL is there.
func plays(url string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return err == nil && res.StatusCode == http.StatusOK && strings.HasPrefix(string(b), "#EXTM3U")
}

// TestEdgeLost kills the edge that carries a stream: new viewers are sent to the other one,
// where the stream goes on; the first comes back, proves itself, and is drained and let go.
func TestEdgeLost(t *testing.T) {
	c := control.Start(t, control.Config{})
	c.Stream("news")
	market := c.Open("news")
	edges := map[string]*edge.Node{"edge-1": start(t, c, "edge-1"), "edge-2": start(t, c, "edge-2")}
	for id := range edges {
		await(t, readyWithin, id+" is healthy", func() bool { return stateOf(c, id) == "healthy" })
	}
	var at control.Playback
	await(t, readyWithin, "the stream plays", func() bool {
		p, err := c.Playback(market, "news")
		at = p
		return err == nil && plays(p.URL)
	})
	first := at.Edge
	edges[first].Signal(syscall.SIGKILL)
	killed := time.Now()
	await(t, moveWithin, "new viewers are sent elsewhere, and see something", func() bool {
		p, err := c.Playback(market, "news")
		at = p
		return err == nil && p.Edge != first && plays(p.URL)
	})
	t.Logf("%s was killed; %s plays after %v", first, at.Edge, time.Since(killed).Round(10*time.Millisecond))
	// On a machine that is too busy to answer probes it may have been down before.
	if state := stateOf(c, first); state != "down" && state != "quarantined" {
		t.Errorf("the killed edge is %s", state)
	}

	edges[first].Restart()
	seen := map[string]bool{}
	await(t, readyWithin, "the killed edge is healthy again", func() bool {
		state := stateOf(c, first)
		seen[state] = true
		return state == "healthy"
	})
	if !seen["probation"] {
		t.Errorf("it came back by way of %v, without probation", seen)
	}
	if p, err := c.Playback(market, "news"); err != nil || p.Edge != at.Edge {
		t.Errorf("after it came back viewers go to %s (%v), want %s still", p.Edge, err, at.Edge)
	}
	c.Must("PATCH", "/v1/edges/"+first, map[string]any{"state": "draining"}, nil)
	await(t, readyWithin, "it drains", func() bool { return stateOf(c, first) == "draining" })

	var events struct {
		Items []struct {
			Kind, Subject string
		} `json:"items"`
	}
	c.Must("GET", "/v1/events?subject=edge/"+first, nil, &events)
	if len(events.Items) < 5 {
		t.Errorf("got %+v, want an event for each change of state", events.Items)
	}
}
