package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/test/control"
	"github.com/headrace/headrace/test/edge"
)

// controlled is an edge that has joined a control plane, with streams that a reseller may
// show.
type controlled struct {
	t       *testing.T
	plane   *control.Node
	node    *edge.Node
	market  control.Market
	streams []string
}

// signingKey is what the API shows of a new key, once.
type signingKey struct {
	KeyID  string `json:"kid"`
	Secret string `json:"secret"`
}

func startControlled(t *testing.T, streams ...string) *controlled {
	t.Helper()
	c := &controlled{t: t, plane: control.Start(t, control.Config{}), streams: streams}
	for _, id := range streams {
		c.plane.Stream(id)
	}
	c.market = c.plane.Open(streams...)
	c.node = edge.New(t, edge.Config{})
	c.node.Join(c.plane.URL(), c.plane.Edge("edge-1", "http://"+c.node.Address()))
	c.node.Launch()
	edge.Await(t, 60*time.Second, "the edge to carry its streams", func() bool {
		return c.node.AwaitServing() > 0 && len(c.node.Streams()) == len(streams)
	})
	c.node.AwaitLive(60 * time.Second)
	return c
}

// key makes the reseller's next signing key. The one before stays good; the one before
// that, which a rotation waits for, is ended.
func (c *controlled) key() (k signingKey) {
	c.t.Helper()
	path := "/v1/resellers/" + c.market.Reseller + "/signing-keys"
	var keys struct {
		Items []struct {
			KeyID string `json:"kid"`
			State string `json:"state"`
		}
	}
	c.plane.Must("GET", path, nil, &keys)
	for _, old := range keys.Items {
		if old.State == "previous" {
			c.end(old.KeyID)
		}
	}
	c.plane.Must("POST", path, map[string]any{"group_id": "default"}, &k)
	return k
}

// end ends a signing key at once.
func (c *controlled) end(kid string) {
	c.t.Helper()
	path := "/v1/resellers/" + c.market.Reseller + "/signing-keys/default/" + kid
	// A key never changes but for its end, so that it has one ETag all its life.
	if err := c.plane.CallWith("DELETE", path, http.Header{"If-Match": {`"1"`}}, nil, nil); err != nil {
		c.t.Fatalf("ending key %s: %v", kid, err)
	}
}

// url is a media playlist of a stream, for a user, signed with a key.
func (c *controlled) url(k signingKey, user, stream string) string {
	c.t.Helper()
	claims := edge.Claims(stream)
	claims.Reseller, claims.Kid, claims.User = c.market.Reseller, k.KeyID, user
	tok, err := token.Mint(claims, k.Secret)
	if err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprintf("http://%s/live/%s/%s/240p/index.m3u8", c.node.Address(), tok, stream)
}

func (c *controlled) status(url string) int {
	status, _, err := edge.Get(c.t.Context(), url)
	if err != nil {
		return 0
	}
	return status
}

// until waits for a status and returns how long that took.
func (c *controlled) until(status int, url string) time.Duration {
	c.t.Helper()
	return edge.Await(c.t, 30*time.Second, fmt.Sprintf("a playlist to be answered by %d", status), func() bool { return c.status(url) == status })
}

// listeners ask for playlists all the time and counts what is not a 200.
type listeners struct {
	asked, failed atomic.Int64
	first         atomic.Pointer[string] // failure
	running       sync.WaitGroup
	end           context.CancelFunc
}

func listening(t *testing.T, urls ...string) *listeners {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	a := &listeners{end: cancel}
	for _, url := range urls {
		a.running.Go(func() {
			for tick := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-tick.C {
				status, _, err := edge.Get(ctx, url)
				if ctx.Err() != nil {
					return
				}
				a.asked.Add(1)
				if err != nil || status != http.StatusOK {
					a.failed.Add(1)
					text := fmt.Sprintf("status %d, %v", status, err)
					a.first.CompareAndSwap(nil, &text)
				}
			}
		})
	}
	t.Cleanup(a.leave)
	return a
}

func (a *listeners) leave() {
	a.end()
	a.running.Wait()
}

// judge ends the listeners, who must have had all that it asked for.
func (a *listeners) judge(t *testing.T, least int64) {
	t.Helper()
	a.leave()
	t.Logf("figures: %d of %d requests failed", a.failed.Load(), a.asked.Load())
	if a.failed.Load() > 0 {
		t.Errorf("%d of %d requests failed, the first with %s", a.failed.Load(), a.asked.Load(), *a.first.Load())
	}
	if a.asked.Load() < least {
		t.Errorf("only %d requests were made, want %d at least", a.asked.Load(), least)
	}
}

// TestScenario08WithoutControlPlane kills the edge again and again while its control plane
// is gone: it serves from the last document that it was given within 1.5 s of exec.
func TestScenario08WithoutControlPlane(t *testing.T) {
	rounds := 5
	if edge.Thorough() {
		rounds = 20
	}
	c := startControlled(t, "s08c-news", "s08c-sport")
	k := c.key()
	c.until(http.StatusOK, c.url(k, "viewer", c.streams[0]))
	c.plane.Kill()
	serving, playing := figures{name: "exec → checks tokens"}, figures{name: "exec → playlist"}
	for range rounds {
		children := c.node.Children()
		c.node.Kill()
		c.node.Launch()
		serving.add(c.node.AwaitServing())
		edge.Await(t, 10*time.Second, "the children of the crashed edge to be gone", func() bool {
			return time.Since(c.node.Started()) > time.Second || !anyAlive(children)
		})
		if anyAlive(children) {
			t.Error("a child of the crashed edge lives on")
		}
		c.until(http.StatusOK, c.url(k, "viewer", c.streams[0]))
		playing.add(time.Since(c.node.Started()))
		c.node.AwaitLive(30 * time.Second)
		if got := len(c.node.Children()); got != len(c.streams) {
			t.Errorf("got %d child processes, want %d", got, len(c.streams))
		}
	}
	t.Logf("figures: %v; %v", &serving, &playing)
	serving.judge(t, 0.95, 1500*time.Millisecond)
	serving.judge(t, 1, 3*time.Second) // a machine that has other work
	playing.judge(t, 0.95, 3500*time.Millisecond)

	c.plane.Restart()
	c.plane.Stream("s08c-late")
	edge.Await(t, 10*time.Second, "changes to flow again", func() bool { return len(c.node.Streams()) == 3 })
}

// TestFirstBootAlone starts an edge that has joined and never been told anything: viewers
// are asked to come back, not turned away, and it serves as soon as there is a document.
func TestFirstBootAlone(t *testing.T) {
	t.Parallel()
	plane := control.Start(t, control.Config{})
	n := edge.New(t, edge.Config{})
	n.Join(plane.URL(), plane.Edge("edge-1", "http://"+n.Address()))
	plane.Kill()
	n.Launch()
	url := func(path string) string { return "http://" + n.Address() + path }
	edge.Await(t, 30*time.Second, "the edge to answer", func() bool {
		status, _, err := edge.Get(t.Context(), url("/-/live"))
		return err == nil && status == http.StatusOK
	})
	began := time.Now()
	resp, err := http.Get(url("/live/" + n.Mint(edge.Claims("news")) + "/news/index.m3u8"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || time.Since(began) > 2*time.Second {
		t.Errorf("got %d with Retry-After %q after %v, want 503 at once", resp.StatusCode, resp.Header.Get("Retry-After"), time.Since(began))
	}
	if status, body, err := edge.Get(t.Context(), url("/-/ready")); err != nil || status != http.StatusServiceUnavailable || string(body) != "starting\n" {
		t.Errorf("/-/ready: got %d %q, %v", status, body, err)
	}
	status, body, err := edge.Get(t.Context(), url("/-/health"))
	var health struct {
		EdgeID  string `json:"edge_id"`
		State   string
		Control struct {
			Connected bool
			Problem   string
		}
	}
	if err != nil || status != http.StatusOK || json.Unmarshal(body, &health) != nil {
		t.Fatalf("/-/health: got %d, %v", status, err)
	}
	if health.EdgeID != "edge-1" || health.State != "joining" || health.Control.Connected || health.Control.Problem == "" {
		t.Errorf("got health %+v", health)
	}
	plane.Restart()
	n.AwaitServing()
}

// TestScenario32Rotation rotates a signing key under load: no good token is refused while
// both keys live; an ended key and a suspended user are refused within 2 s.
func TestScenario32Rotation(t *testing.T) {
	c := startControlled(t, "s32-news")
	first := c.key()
	c.until(http.StatusOK, c.url(first, "u1", "s32-news"))
	viewers := listening(t, c.url(first, "u1", "s32-news"), c.url(first, "u2", "s32-news"))
	second := c.key()
	c.until(http.StatusOK, c.url(second, "u1", "s32-news"))
	young := listening(t, c.url(second, "u1", "s32-news"))
	time.Sleep(2 * time.Second) // the load goes on through the overlap
	viewers.judge(t, 50)

	c.end(first.KeyID)
	ended := c.until(http.StatusForbidden, c.url(first, "u1", "s32-news"))
	young.judge(t, 50)

	c.until(http.StatusOK, c.url(second, c.market.User, "s32-news"))
	c.plane.Must("PATCH", "/v1/users/"+c.market.User, map[string]any{"suspended": true}, nil)
	denied := c.until(http.StatusForbidden, c.url(second, c.market.User, "s32-news"))
	if got := c.status(c.url(second, "u1", "s32-news")); got != http.StatusOK {
		t.Errorf("another user: got %d", got)
	}
	t.Logf("figures: ended key refused after %v, suspended user after %v", ended.Round(time.Millisecond), denied.Round(time.Millisecond))
	for what, took := range map[string]time.Duration{"the ended key": ended, "the suspended user": denied} {
		if took > 2*time.Second {
			t.Errorf("%s was refused after %v, want at most 2 s", what, took)
		}
	}
}
