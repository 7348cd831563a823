package edge_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/caddymodule/internal/edgetest"
	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/distribution"
	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/controlapi/token"
)

const edgeCredential = "hre_12345678_0000000000000000000000000000000000000000000"

// plane is a control plane: the real distribution, on a document in memory.
type plane struct {
	address string

	mu   sync.Mutex
	doc  snapshot.Document
	news chan struct{}
	acks []controlapi.Ack
}

// newPlane starts one with the stream news on edge-1, and the key r1/k1.
func newPlane(t *testing.T) *plane {
	t.Helper()
	p := &plane{news: make(chan struct{}), doc: snapshot.Document{
		Epoch: 1, Version: 1, Group: "default", Edges: []snapshot.Edge{{ID: "edge-1"}},
		Keys:    []snapshot.Key{{Reseller: "r1", KeyID: "k1", Secret: edgetest.Secret}},
		Grants:  map[string]snapshot.Grant{"r1": {Show: []string{"news"}}},
		Streams: []snapshot.Stream{planeStream("news")},
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = l.Addr().String()
	t.Cleanup(p.serve(l))
	return p
}

func planeStream(id string) snapshot.Stream {
	return snapshot.Stream{
		ID: id, Primary: "edge-1", Sources: []string{"test:"},
		Renditions:     []snapshot.Rendition{{Name: "low", Height: 144, VideoBitrate: 100_000, AudioBitrate: 32_000}},
		SegmentSeconds: 2, LongestGOPSeconds: 2, Window: 8,
	}
}

// serve answers edges until stop is called; that is allowed to happen twice.
func (p *plane) serve(l net.Listener) (stop func()) {
	service := distribution.New(p, distribution.Options{})
	server := &http.Server{Handler: service.Handler(), ReadHeaderTimeout: time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { service.Run(ctx) })
	running.Go(func() { _ = server.Serve(l) })
	return func() {
		cancel()
		_ = server.Close()
		running.Wait()
	}
}

// change makes the next version.
func (p *plane) change(how func(*snapshot.Document)) snapshot.Version {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doc.Version++
	how(&p.doc)
	close(p.news)
	p.news = make(chan struct{})
	return p.doc.Name()
}

// acked is the last acknowledgement.
func (p *plane) acked() (last controlapi.Ack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.acks) > 0 {
		last = p.acks[len(p.acks)-1]
	}
	return last
}

func (p *plane) ConfigVersion(context.Context) (epoch, version int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doc.Epoch, p.doc.Version, nil
}

func (p *plane) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.news
}

func (p *plane) Document(context.Context, string) (*snapshot.Document, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.doc
	return &d, nil
}

func (p *plane) AuthenticateEdge(_ context.Context, credential string) (controlapi.EdgeIdentity, error) {
	if credential != edgeCredential {
		return controlapi.EdgeIdentity{}, controlapi.Errorf(controlapi.CodeUnauthenticated, "unknown")
	}
	return controlapi.EdgeIdentity{ID: "edge-1", GroupID: "default"}, nil
}

func (p *plane) RecordAck(_ context.Context, _ string, ack controlapi.Ack) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acks = append(p.acks, ack)
	return nil
}

func (p *plane) RedeemJoinCode(context.Context, string) (controlapi.Edge, controlapi.Secret, error) {
	return controlapi.Edge{}, "", controlapi.Errorf(controlapi.CodeUnauthenticated, "unknown")
}

// controlled is an edge that follows the control plane at an address.
func controlled(t *testing.T, address string) object {
	t.Helper()
	file := filepath.Join(t.TempDir(), "edge.token")
	if err := os.WriteFile(file, []byte(edgeCredential+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return object{
		"state": filepath.Join(t.TempDir(), "state"), "ffmpeg": edgetest.IdleFFmpeg(t),
		"control": object{"url": "http://" + address, "token_file": file},
	}
}

// verdict is what the edge says of a token of a user, signed with a key.
func verdict(t *testing.T, host *edge.Host, user, kid, secret string) token.Reason {
	t.Helper()
	tok, err := token.Mint(token.Claims{Reseller: "r1", Kid: kid, User: user, Scope: token.OneStream, ID: "news", Expires: time.Now().Add(time.Hour).Unix()}, secret)
	if err != nil {
		t.Fatal(err)
	}
	v := host.Verifier()
	if v == nil {
		return token.UnknownKey
	}
	_, reason := v.Verify(tok, token.Request{Stream: "news", Now: time.Now().Unix()})
	return reason
}

// inForce waits until the edge serves a version and has said so.
func inForce(t *testing.T, host *edge.Host, p *plane, v snapshot.Version) {
	t.Helper()
	edgetest.Until(t, "version "+v.String()+" is in force and acknowledged", func() bool {
		doc, ack := host.Document(), p.acked()
		return doc != nil && doc.Name() == v && ack == controlapi.Ack{Epoch: v.Epoch, Version: v.Number}
	})
}

// An edge that has never heard of its control plane says so, and goes on from there on
// its own.
func TestFirstBoot(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // nobody answers there
	load(t, controlled(t, l.Addr().String()))
	host := edgetest.Host(t)
	began := time.Now()
	host.Await(t.Context(), 10*time.Second)
	if took := time.Since(began); took > time.Second {
		t.Errorf("a viewer was kept waiting for %s", took)
	}
	if host.Verifier() != nil || host.Document() != nil || host.Engine() == nil {
		t.Error("there is something in force, or no engine")
	}
	if got := host.Readiness(); got != edge.Starting {
		t.Errorf("got readiness %s, want %s", got, edge.Starting)
	}
	if got := host.Condition(edge.Tally{}).State; got != edge.StateJoining {
		t.Errorf("got state %s, want %s", got, edge.StateJoining)
	}
	if host.ProbeKey() == nil {
		t.Error("the edge does not know its probe key")
	}
}

// Viewers, FFmpeg and the follower do not notice a reload; a restart needs no control
// plane.
func TestControlled(t *testing.T) {
	p := newPlane(t)
	app := controlled(t, p.address)
	load(t, app)
	host := edgetest.Host(t)
	inForce(t, host, p, snapshot.Version{Epoch: 1, Number: 1})
	if got := verdict(t, host, "u1", "k1", edgetest.Secret); got != token.Accepted {
		t.Errorf("got %v for a good token", got)
	}
	pid := edgetest.PID(t, host, "news")

	load(t, with(app, "capacity", object{"streams": 1}))
	if host != edgetest.Host(t) || edgetest.PID(t, host, "news") != pid || host.Node().Capacity.Streams != 1 {
		t.Error("the reload was noticed, or not carried out")
	}
	ctx := caddy.ActiveContext()
	series := edge.Series(t, ctx.GetMetricsRegistry())
	for name, want := range map[string]float64{
		`headrace_snapshot_version{}`:                    1,
		`headrace_snapshot_epoch{}`:                      1,
		`headrace_control_connected{}`:                   1,
		`headrace_snapshots_total{outcome="applied"}`:    1,
		`headrace_snapshots_total{outcome="rejected"}`:   0,
		`headrace_stream_starts_total{stream="news"}`:    1,
		`headrace_token_checks_total{reason="accepted"}`: 0,
	} {
		if got, there := series[name]; !there || got != want {
			t.Errorf("%s: got %v (%v), want %v", name, got, there, want)
		}
	}
	if age, there := series["headrace_snapshot_age_seconds{}"]; !there || age > 60 {
		t.Errorf("got age %v (%v)", age, there)
	}
}

// Restart without control plane: the edge answers and checks tokens within 1.5 s.
func TestRestartAlone(t *testing.T) {
	p := newPlane(t)
	app := controlled(t, p.address)
	load(t, app)
	inForce(t, edgetest.Host(t), p, snapshot.Version{Epoch: 1, Number: 1})
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	began := time.Now()
	load(t, with(app, "control", object{"url": "http://" + nobody.Addr().String(), "token_file": app["control"].(object)["token_file"]}))
	host := edgetest.Host(t)
	if got := verdict(t, host, "u1", "k1", edgetest.Secret); got != token.Accepted {
		t.Errorf("got %v for a good token", got)
	}
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("it took %s, want at most 1.5 s", took)
	}
	edgetest.PID(t, host, "news")
}

// A denied user and an ended key are refused within 2 s of the change; in the overlap of
// a rotation both keys are good.
func TestDenialAndRotation(t *testing.T) {
	p := newPlane(t)
	load(t, controlled(t, p.address))
	host := edgetest.Host(t)
	inForce(t, host, p, snapshot.Version{Epoch: 1, Number: 1})
	const second = "second-secret-000000000000000000000000000"
	within := func(what string, change func(*snapshot.Document), good func() bool) {
		t.Helper()
		began := time.Now()
		p.change(change)
		edgetest.Until(t, what, good)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s: it took %s, want at most 2 s", what, took)
		}
	}
	within("the user is denied", func(d *snapshot.Document) {
		d.Denied = []snapshot.Denial{{Reseller: "r1", User: "u1", Until: time.Now().Add(time.Hour).Unix()}}
	}, func() bool { return verdict(t, host, "u1", "k1", edgetest.Secret) == token.Revoked })
	if got := verdict(t, host, "u2", "k1", edgetest.Secret); got != token.Accepted {
		t.Errorf("another user: got %v", got)
	}
	within("the new key is good", func(d *snapshot.Document) {
		d.Keys = append(d.Keys, snapshot.Key{Reseller: "r1", KeyID: "k2", Secret: second})
		d.Keys[0].NotAfter = time.Now().Add(time.Hour).Unix()
	}, func() bool { return verdict(t, host, "u2", "k2", second) == token.Accepted })
	if got := verdict(t, host, "u2", "k1", edgetest.Secret); got != token.Accepted {
		t.Errorf("the old key in the overlap: got %v", got)
	}
	within("the old key has ended", func(d *snapshot.Document) { d.Keys = d.Keys[1:] },
		func() bool { return verdict(t, host, "u2", "k1", edgetest.Secret) == token.UnknownKey })
	if got := verdict(t, host, "u2", "k2", second); got != token.Accepted {
		t.Errorf("the new key: got %v", got)
	}
}

// What the node cannot carry out is rejected by name and changes nothing; after a reload
// that makes room it is taken.
func TestRejectedDocument(t *testing.T) {
	p := newPlane(t)
	app := with(controlled(t, p.address), "capacity", object{"streams": 1})
	load(t, app)
	host := edgetest.Host(t)
	inForce(t, host, p, snapshot.Version{Epoch: 1, Number: 1})
	pid, verifier := edgetest.PID(t, host, "news"), host.Verifier()
	v := p.change(func(d *snapshot.Document) { d.Streams = append(d.Streams, planeStream("sport")) })
	edgetest.Until(t, "the rejection is acknowledged", func() bool { return p.acked().Rejected != "" })
	if got := p.acked(); got.Version != v.Number || !strings.Contains(got.Rejected, `stream "sport" is one too many`) {
		t.Errorf("got %+v", got)
	}
	if host.Verifier() != verifier || edgetest.PID(t, host, "news") != pid || host.Engine().Lookup("sport") != nil {
		t.Error("the rejected document changed something")
	}
	if s, _ := host.Control(); s.Rejected == nil || s.Rejected.Version != v {
		t.Errorf("got status %+v", s)
	}
	load(t, with(app, "capacity", object{"streams": 2}))
	// Asked for again with the next poll: here a change brings it about.
	v = p.change(func(*snapshot.Document) {})
	inForce(t, host, p, v)
	edgetest.PID(t, host, "sport")
}

// From a Caddyfile's streams to a control plane and back, by reloads: what is in force
// stays until there is something in its place.
func TestChangeOfMaster(t *testing.T) {
	p := newPlane(t)
	led := controlled(t, p.address)
	own := node(t, small("own", 100_000))
	own["state"], own["ffmpeg"] = led["state"], led["ffmpeg"]
	load(t, own)
	host := edgetest.Host(t)
	edgetest.PID(t, host, "own")

	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	load(t, with(led, "control", object{"url": "http://" + nobody.Addr().String(), "token_file": led["control"].(object)["token_file"]}))
	if host.Engine().Lookup("own") == nil || host.Verifier() == nil {
		t.Error("what was in force was given up before there was a document")
	}
	load(t, led)
	inForce(t, host, p, snapshot.Version{Epoch: 1, Number: 1})
	if host.Engine().Lookup("own") != nil {
		t.Error("a stream of the Caddyfile is left")
	}
	load(t, own)
	if _, following := host.Control(); following || host.ProbeKey() != nil || host.Engine().Lookup("own") == nil || host.Engine().Lookup("news") != nil {
		t.Error("the control plane is still followed, or its stream is there")
	}
	p.change(func(*snapshot.Document) {})
	load(t, led)
	inForce(t, host, p, snapshot.Version{Epoch: 1, Number: 2})
}

// A reload that another app spoils leaves the control plane's document in force.
func TestSpoiltReloadUnderControl(t *testing.T) {
	p := newPlane(t)
	app := controlled(t, p.address)
	load(t, app)
	host := edgetest.Host(t)
	inForce(t, host, p, snapshot.Version{Epoch: 1, Number: 1})
	pid := edgetest.PID(t, host, "news")
	spoilt := edgetest.Config(object{"edge": with(app, "capacity", object{"streams": 3}), "troubled": object{"fails": "start"}})
	for range 4 { // Caddy starts apps in random order
		if err := edgetest.TryLoad(t, spoilt); err == nil {
			t.Fatal("it was taken")
		}
		if edgetest.PID(t, host, "news") != pid || host.Node().Capacity.Streams != 200 {
			t.Error("the spoilt reload changed something")
		}
	}
	v := p.change(func(*snapshot.Document) {})
	inForce(t, host, p, v)
	if err := edgetest.TryLoad(t, edgetest.Config(object{"edge": with(app, "group", "west")})); err == nil || !strings.Contains(err.Error(), `option "group"`) {
		t.Errorf("another group: got %v", err)
	}
}
