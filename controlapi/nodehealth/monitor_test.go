package nodehealth

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/probe"
	"github.com/headrace/headrace/controlapi/snapshot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeEdge answers probes as an edge does, on a port of its own.
type fakeEdge struct {
	*httptest.Server
	id     string
	key    probe.Key
	gate   *probe.Gate
	status atomic.Int64 // in place of an answer; 0: answers
	body   atomic.Pointer[string]
}

func newFakeEdge(t *testing.T, id string) *fakeEdge {
	t.Helper()
	e := &fakeEdge{id: id, key: probe.DeriveKey("credential of " + id), gate: probe.NewGate()}
	e.say(map[string]any{
		"edge_id": id, "state": "healthy", "score": 100, "fresh_share": 1, "load": 0.25, "sessions": 3,
		"time":     float64(time.Now().UnixMilli()) / 1000,
		"headroom": map[string]any{"streams": 8, "egress": 750}, "capacity": map[string]any{"streams": 10, "egress": 1000},
		"snapshot": map[string]any{"epoch": 1, "version": 7},
		"streams":  []map[string]any{{"id": "news", "state": "live", "role": "primary", "last_msn": 42, "discontinuity_sequence": 2, "fresh": true}},
	})
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *fakeEdge) say(document map[string]any) {
	b, _ := json.Marshal(document)
	text := string(b)
	e.body.Store(&text)
}

func (e *fakeEdge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status := e.status.Load(); status != 0 {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(status))
		return
	}
	q, err := e.gate.Admit(e.key, e.id, r.Header.Get(probe.Header))
	status, body := http.StatusOK, []byte(*e.body.Load())
	switch {
	case errors.Is(err, probe.ErrStale):
		status, body = http.StatusUnauthorized, nil
	case err != nil:
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.Header().Set(probe.Header, q.Answer(e.key, status, e.gate.Now(), body))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (e *fakeEdge) target() controlapi.ProbeTarget {
	return controlapi.ProbeTarget{
		ID: e.id, GroupID: "default", URL: e.URL, ViewURL: "https://" + e.id + ".example.com", State: controlapi.EdgeActive, ProbeKey: e.key[:],
		Capacity: controlapi.Capacity{Streams: 5, Egress: 500},
	}
}

// inventory is one that a test changes while it is read.
type inventory struct {
	mu      sync.Mutex
	targets map[string]controlapi.ProbeTarget
}

func (i *inventory) set(targets ...controlapi.ProbeTarget) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.targets = make(map[string]controlapi.ProbeTarget)
	for _, t := range targets {
		i.targets[t.ID] = t
	}
}

func (i *inventory) ProbeTargets(context.Context) ([]controlapi.ProbeTarget, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Collect(maps.Values(i.targets)), nil
}

func (i *inventory) ConfigVersion(context.Context) (int64, int64, error) { return 1, 7, nil }

// running gives a monitor that probes every 20 ms, until the test ends.
func running(t *testing.T, o Options) *Monitor {
	t.Helper()
	o.Instance, o.Interval = "one", 20*time.Millisecond
	m := New(o)
	ctx, cancel := context.WithCancel(context.Background())
	var goroutines sync.WaitGroup
	goroutines.Go(func() { m.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		goroutines.Wait()
		m.client.CloseIdleConnections()
	})
	return m
}

// until waits for a node to be as it is wanted.
func until(t *testing.T, m *Monitor, edge, what string, ok func(*Node) bool) *Node {
	t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		n := m.View().Lookup(edge)
		if ok(n) {
			return n
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("never happened: %s is %s; it is %+v", edge, what, n)
		}
	}
}

func is(s State) func(*Node) bool { return func(n *Node) bool { return n != nil && n.State == s } }

func TestMonitor(t *testing.T) {
	one, two, unjoined := newFakeEdge(t, "edge-1"), newFakeEdge(t, "edge-2"), controlapi.ProbeTarget{ID: "edge-3", GroupID: "default", URL: "https://192.0.2.1"}
	var inv inventory
	inv.set(one.target(), two.target(), unjoined)
	changes := make(chan Change, 100)
	m := running(t, Options{Inventory: &inv, Notify: func(_ context.Context, c Change) { changes <- c }})
	woken := m.Changed()

	n := until(t, m, "edge-1", "healthy", is(Healthy))
	until(t, m, "edge-2", "healthy", is(Healthy))
	if n.Weight != 1 || n.Headroom != 0.75 || n.Capacity.Egress != 1000 || n.Capacity.Streams != 10 || n.FreeStreams != 8 || n.Sessions != 3 || n.Epoch != 1 || n.Version != 7 || n.URL != "https://edge-1.example.com" {
		t.Errorf("got %+v", n)
	}
	if s := n.Streams["news"]; !s.Playable() || s.MSN != 42 || s.Discontinuity != 2 {
		t.Errorf("got stream %+v", s)
	}
	if got := m.View().Acked("default"); got != 7 {
		t.Errorf("got version %d for the group, want 7", got)
	}
	if n := m.View().Lookup("edge-3"); n == nil || n.State != Joining || !n.SeenAt.IsZero() {
		t.Errorf("an edge that has not joined: %+v", n)
	}
	select {
	case <-woken:
	case <-time.After(10 * time.Second):
		t.Error("nobody was woken by a change")
	}

	one.CloseClientConnections()
	one.status.Store(500)
	n = until(t, m, "edge-1", "down", is(Down))
	if !strings.Contains(n.Error, "500") || !n.Confirmed || n.Weight != 0 {
		t.Errorf("got %+v", n)
	}
	one.status.Store(0)
	until(t, m, "edge-1", "in probation", is(Probation))

	// Somebody else at that address, who does not know the credential.
	impostor := newFakeEdge(t, "edge-1")
	impostor.key = probe.DeriveKey("another")
	stolen := one.target()
	stolen.URL = impostor.URL
	inv.set(stolen, two.target())
	n = until(t, m, "edge-1", "down", is(Down))
	if n.SeenAt.IsZero() || n.Error == "" {
		t.Errorf("got %+v", n)
	}
	inv.set(two.target())
	until(t, m, "edge-1", "forgotten", func(n *Node) bool { return n == nil })
	drained := two.target()
	drained.State = controlapi.EdgeDraining
	inv.set(drained)
	until(t, m, "edge-2", "draining", is(Draining))

	var ways []string
	for len(changes) > 0 {
		c := <-changes
		if c.EdgeID == "edge-1" {
			ways = append(ways, string(c.From)+">"+string(c.To))
		}
		if c.Instance != "one" || c.GroupID != "default" || c.At.IsZero() {
			t.Errorf("got %+v", c)
		}
	}
	if got, want := strings.Join(ways, " "), "joining>healthy healthy>down down>probation probation>down"; got != want {
		t.Errorf("got the changes %s, want %s", got, want)
	}
}

func TestReports(t *testing.T) {
	var inv inventory
	inv.set(controlapi.ProbeTarget{ID: "edge-1", GroupID: "default", State: controlapi.EdgeActive, ProbeKey: make([]byte, 32), Capacity: controlapi.Capacity{Egress: 1000}})
	m := running(t, Options{Inventory: &inv})
	egress := int64(600)
	report := func() {
		m.Report("edge-1", snapshot.Version{Epoch: 1, Number: 7}, snapshot.Health{State: "healthy", Score: 80, Sessions: 2, Streams: 3, Egress: &egress})
	}
	// It fails at first, because nothing is known of it.
	until(t, m, "edge-1", "down", is(Down))
	n := until(t, m, "edge-1", "in probation", func(n *Node) bool {
		report()
		return n.State == Probation
	})
	if n.Score != 80 || n.Headroom != 0.6 || n.FreeStreams != 3 || n.Streams != nil {
		t.Errorf("got %+v", n)
	}
	m.Report("edge-2", snapshot.Version{}, snapshot.Health{})
	if n := m.View().Lookup("edge-2"); n != nil {
		t.Errorf("a report made an edge: %+v", n)
	}
}

// ballot is one where others have voted.
type ballot struct {
	mu    sync.Mutex
	tally tally
	cast  []string
}

func (b *ballot) CastVotes(_ context.Context, instance string, down []string, lease time.Duration) (int, map[string]int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if instance != "one" || lease != 3*time.Second {
		return 0, nil, errors.New("not the vote of this instance")
	}
	b.cast = down
	return b.tally.instances, b.tally.down, nil
}

func (b *ballot) others(t tally) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tally = t
}

func TestVotes(t *testing.T) {
	one := newFakeEdge(t, "edge-1")
	var inv inventory
	inv.set(one.target())
	b := &ballot{tally: tally{instances: 3}}
	m := running(t, Options{Inventory: &inv, Ballot: b})
	until(t, m, "edge-1", "healthy", is(Healthy))
	one.status.Store(503)
	until(t, m, "edge-1", "unconfirmed", func(n *Node) bool { return n.Reason == ReasonUnconfirmed })
	b.others(tally{instances: 4, down: map[string]int{"edge-1": 1}})
	until(t, m, "edge-1", "down but not confirmed", func(n *Node) bool { return n.State == Down && !n.Confirmed })
	b.others(tally{instances: 4, down: map[string]int{"edge-1": 2}})
	until(t, m, "edge-1", "confirmed", func(n *Node) bool { return n.Confirmed })
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.cast, []string{"edge-1"}) {
		t.Errorf("voted %v", b.cast)
	}
}

func TestAsk(t *testing.T) {
	edge := newFakeEdge(t, "edge-1")
	good := *edge.body.Load()
	for _, tt := range []struct {
		name   string
		body   string
		status int64
		change func(*prober)
		want   string // in the error; "" is none
	}{
		{"well", good, 0, nil, ""},
		{"a clock that is far off", good, 0, func(p *prober) { p.skew = -time.Hour }, ""},
		{"a clock that is far ahead", good, 0, func(p *prober) { p.skew = time.Hour }, ""},
		{"another credential", good, 0, func(p *prober) { p.key = probe.DeriveKey("x") }, "status code 403"},
		{"another edge's name", strings.Replace(good, "edge-1", "edge-9", 1), 0, nil, `as edge "edge-9"`},
		{"no JSON", "<html>", 0, nil, "reading the health document"},
		{"numbers that cannot be", strings.Replace(good, `"score":100`, `"score":101`, 1), 0, nil, "numbers that cannot be"},
		{"a negative number", strings.Replace(good, `"last_msn":42`, `"last_msn":-1`, 1), 0, nil, "negative number"},
		{"a redirect", good, 302, nil, "status code 302"},
		{"an answer that is not signed", good, 200, nil, "malformed"},
		{"nobody there", good, 0, func(p *prober) { p.url = "http://127.0.0.1:1/" }, "refused"},
		{"no URL", good, 0, func(p *prober) { p.url = "http://%" }, "no URL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			edge.body.Store(&tt.body)
			edge.status.Store(tt.status)
			client := newClient(nil)
			defer client.CloseIdleConnections()
			p := &prober{edge: "edge-1", url: edge.URL + "/-/health", key: edge.key, client: client, interval: 5 * time.Second}
			if tt.change != nil {
				tt.change(p)
			}
			a := p.ask(t.Context())
			switch {
			case tt.want == "" && a.err != nil:
				t.Errorf("got %v", a.err)
			case tt.want == "" && (a.document == nil || p.skew.Abs() > time.Minute):
				t.Errorf("got %+v, skew %v", a, p.skew)
			case tt.want != "" && (a.err == nil || !strings.Contains(a.err.Error(), tt.want)):
				t.Errorf("got %v, want %q in it", a.err, tt.want)
			}
		})
	}
}

func TestAskGivesUp(t *testing.T) {
	release := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hung.Close()
	defer close(release)
	client := newClient(nil)
	defer client.CloseIdleConnections()
	p := &prober{edge: "edge-1", url: hung.URL, client: client, interval: 100 * time.Millisecond}
	started := time.Now()
	a := p.ask(t.Context())
	if a.err == nil || a.err.Error() != "no answer in time" || time.Since(started) > 5*time.Second {
		t.Errorf("got %v after %v", a.err, time.Since(started))
	}
}

func FuzzParseDocument(f *testing.F) {
	f.Add([]byte(`{"edge_id":"e","streams":[{"id":"news","last_msn":4}]}`))
	f.Add([]byte(`{"headroom":{"egress":null},"capacity":{"streams":-1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDocument(b)
		if err != nil {
			return
		}
		fleet := newFleet()
		fleet.targets(start, []controlapi.ProbeTarget{{ID: "e", URL: "x", ProbeKey: make([]byte, 32)}})
		fleet.answered(start, "e", d, time.Millisecond, 0)
		fleet.step(start)
		n := fleet.view(start).Lookup("e")
		if n.Score < 0 || n.Score > 100 || !(n.Headroom >= 0 && n.Headroom <= 1) || !(n.Weight >= 0 && n.Weight <= 1) {
			t.Errorf("%s makes %+v", b, n)
		}
	})
}
