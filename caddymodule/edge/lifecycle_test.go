package edge_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/caddymodule/internal/edgetest"
)

type object = edgetest.Object

func init() {
	caddy.RegisterModule(troubled{})
	caddy.RegisterModule(failingLoader{})
}

// troubled is an app that fails where it is told to, and looks at the edge when
// it starts.
type troubled struct {
	Fails string `json:"fails,omitempty"`
}

var errTroubled = errors.New("troubled as told")

// atStart is called by the start of a troubled app.
var atStart = func() {}

func (troubled) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "troubled", New: func() caddy.Module { return new(troubled) }}
}

func (a *troubled) Provision(caddy.Context) error { return a.fail("provision") }
func (a *troubled) Validate() error               { return a.fail("validate") }
func (a *troubled) Stop() error                   { return nil }

func (a *troubled) Start() error {
	atStart()
	return a.fail("start")
}

func (a *troubled) fail(where string) error {
	if a.Fails == where {
		return errTroubled
	}
	return nil
}

// failingLoader fails after all apps have started: Caddy then cleans the new
// configuration up without stopping its apps.
type failingLoader struct{}

func (failingLoader) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.config_loaders.failing", New: func() caddy.Module { return new(failingLoader) }}
}

func (failingLoader) LoadConfig(caddy.Context) ([]byte, error) { return nil, errTroubled }

// small is a test stream that costs little.
func small(id string, bitrate int) object {
	return object{"id": id, "sources": []string{"test:"}, "renditions": []object{
		{"name": "low", "height": 144, "video_bitrate": bitrate, "audio_bitrate": 32_000},
	}}
}

// node is an edge with an idle FFmpeg and a folder that is not there yet.
func node(t *testing.T, streams ...object) object {
	return object{
		"state":   filepath.Join(t.TempDir(), "state"),
		"ffmpeg":  edgetest.IdleFFmpeg(t),
		"keys":    []object{{"reseller": "r1", "kid": "k1", "secret": edgetest.Secret}},
		"streams": streams,
	}
}

// with copies an edge's configuration and changes members.
func with(app object, changes ...any) object {
	changed := make(object, len(app))
	for k, v := range app {
		changed[k] = v
	}
	for i := 0; i < len(changes); i += 2 {
		changed[changes[i].(string)] = changes[i+1]
	}
	return changed
}

func load(t *testing.T, app object) {
	t.Helper()
	edgetest.Load(t, edgetest.Config(object{"edge": app}))
}

// isAlive tells whether a process runs.
func isAlive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestReload(t *testing.T) {
	app := with(node(t, small("changed", 100_000), small("kept", 100_000), small("removed", 100_000)), "ffmpeg", "ffmpeg")
	load(t, app)
	host := edgetest.Host(t)
	kept, changed, removed := edgetest.PID(t, host, "kept"), edgetest.PID(t, host, "changed"), edgetest.PID(t, host, "removed")
	verifier := host.Verifier()

	load(t, with(app, "streams", []object{small("added", 100_000), small("changed", 120_000), small("kept", 100_000)}))
	if got := edgetest.Host(t); got != host {
		t.Fatal("the reload made another host")
	}
	if host.Verifier() == verifier {
		t.Error("the verifier is the old one; it knows nothing of the new stream")
	}
	edgetest.PID(t, host, "added")
	edgetest.Until(t, "the changed stream has another child", func() bool {
		pid := host.Engine().Lookup("changed").Status().PID
		return pid != 0 && pid != changed
	})
	if host.Engine().Lookup("removed") != nil || isAlive(removed) {
		t.Errorf("the removed stream is there, or its child %d", removed)
	}
	if got := edgetest.PID(t, host, "kept"); got != kept {
		t.Errorf("the child of the stream that did not change: got pid %d, want %d", got, kept)
	}
}

func TestRejectedReload(t *testing.T) {
	app := node(t, small("news", 100_000))
	more := with(app, "streams", []object{small("news", 200_000), small("extra", 100_000)})
	both := func(fails string) object {
		return edgetest.Config(object{"edge": more, "troubled": object{"fails": fails}})
	}
	// This one is in force for a moment, so it leaves the stream as it is.
	loader := edgetest.Config(object{"edge": with(app, "streams", []object{small("news", 100_000), small("extra", 100_000)})})
	loader["admin"] = object{"disabled": true, "config": object{"persist": false, "load": object{"module": "failing"}}}

	load(t, app)
	host := edgetest.Host(t)
	pid, verifier, document := edgetest.PID(t, host, "news"), host.Verifier(), host.Document()
	for _, tt := range []struct {
		name   string
		config object
		want   string
	}{
		{"unknown field", edgetest.Config(object{"edge": with(app, "capaciti", 5)}), "capaciti"},
		{"invalid stream", edgetest.Config(object{"edge": with(app, "streams", []object{{"id": "x"}})}), "it has no source"},
		{"another app fails to provision", both("provision"), errTroubled.Error()},
		{"another app is invalid", both("validate"), errTroubled.Error()},
		{"a step after the start fails", loader, errTroubled.Error()},
		{"other id", edgetest.Config(object{"edge": with(more, "id", "edge-2")}), `cannot change option "id" from edge-1 to edge-2; restart the edge`},
		{"other state folder", edgetest.Config(object{"edge": with(more, "state", t.TempDir())}), `option "state"`},
		{"other FFmpeg", edgetest.Config(object{"edge": with(more, "ffmpeg", "/other")}), `option "ffmpeg"`},
		{"other rate of starts", edgetest.Config(object{"edge": with(more, "starts_per_second", 3)}), `option "starts_per_second"`},
		{"other sandbox", edgetest.Config(object{"edge": with(more, "sandbox", "off")}), `cannot change option "sandbox" from auto to off`},
		{"secret without a value", edgetest.Config(object{"edge": with(more, "keys", []object{
			{"reseller": "r1", "kid": "k1", "secret": "{env.HEADRACE_TEST_UNSET}"},
		})}), "key r1/k1: evaluated placeholder {env.HEADRACE_TEST_UNSET} is empty"},
		{"secret file that is missing", edgetest.Config(object{"edge": with(more, "keys", []object{
			{"reseller": "r1", "kid": "k1", "secret_file": "/nonexistent/secret"},
		})}), "/nonexistent/secret"},
		{"source without a value", edgetest.Config(object{"edge": with(more, "streams", []object{
			{"id": "x", "sources": []string{"test:", "{env.HEADRACE_TEST_UNSET}"}},
		})}), `stream "x": source 2: evaluated placeholder`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := edgetest.TryLoad(t, tt.config)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
			unchanged(t, host, pid, verifier, document)
		})
	}
}

// unchanged checks that nothing of what was in force was touched.
func unchanged(t *testing.T, host *edge.Host, pid int, verifier any, document any) {
	t.Helper()
	if got := edgetest.Host(t); got != host {
		t.Error("there is another host")
	}
	if got := host.Engine().Lookup("news").Status().PID; got != pid || !isAlive(pid) {
		t.Errorf("the child of the stream: got pid %d, want %d, alive", got, pid)
	}
	if host.Engine().Lookup("extra") != nil {
		t.Error("a stream of the refused configuration is there")
	}
	if any(host.Verifier()) != verifier || any(host.Document()) != document {
		t.Error("keys or document are not those of before")
	}
}

// Caddy starts apps in random order. Where ours is first, it has put the new
// configuration in force by the time that the other app fails.
func TestAnotherAppFailsToStart(t *testing.T) {
	app := node(t, small("news", 100_000))
	load(t, app)
	host := edgetest.Host(t)
	pid, verifier, document := edgetest.PID(t, host, "news"), host.Verifier(), host.Document()
	more := edgetest.Config(object{
		"edge":     with(app, "streams", []object{small("news", 100_000), small("extra", 100_000)}),
		"troubled": object{"fails": "start"},
	})
	orders := make(map[bool]int)
	atStart = func() { orders[host.Engine().Lookup("extra") != nil]++ }
	defer func() { atStart = func() {} }()
	for range 200 {
		if err := edgetest.TryLoad(t, more); err == nil || !strings.Contains(err.Error(), errTroubled.Error()) {
			t.Fatalf("got error %v, want %v", err, errTroubled)
		}
		unchanged(t, host, pid, verifier, document)
		if orders[true] > 0 && orders[false] > 0 {
			return
		}
	}
	t.Errorf("got starts before and after ours: %v, want both", orders)
}

func TestRemovedAppLeavesNothing(t *testing.T) {
	app := node(t, small("news", 100_000))
	load(t, app)
	host := edgetest.Host(t)
	pid := edgetest.PID(t, host, "news")
	edgetest.Load(t, edgetest.Config(object{}))
	if isAlive(pid) {
		t.Errorf("child %d is alive", pid)
	}
	if host.Engine() != nil || host.Verifier() != nil || host.Document() != nil {
		t.Error("the host still has an engine, keys or a document")
	}
	if err := lock(app["state"].(string)); err != nil {
		t.Errorf("the state folder is not free: %v", err)
	}
	load(t, app)
	if edgetest.Host(t) == host {
		t.Error("the old host is in use again; nobody held it")
	}
}

// lock takes the lock of a state folder, and gives it up.
func lock(folder string) error {
	f, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

func TestValidateHasNoSideEffects(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	app := object{
		"state": state, "ffmpeg": "/nonexistent/ffmpeg",
		"keys": []object{
			{"reseller": "r1", "kid": "k1", "secret": "{env.HEADRACE_TEST_UNSET}"},
			{"reseller": "r1", "kid": "k2", "secret_file": "/nonexistent/secret"},
		},
		"streams": []object{{"id": "news", "sources": []string{"https://nonexistent.invalid/x.m3u8", "{env.HEADRACE_TEST_UNSET}"}}},
	}
	if err := edgetest.Validate(t, edgetest.Config(object{"edge": app})); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(state); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state folder: got error %v, want that it is not there", err)
	}
	if edge.Held() != 0 {
		t.Error("the host is still held")
	}
}

func TestStartFails(t *testing.T) {
	state := func(t *testing.T) string { return filepath.Join(t.TempDir(), "state") }
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, app object)
		want   string
	}{
		{"no FFmpeg", func(_ *testing.T, app object) { app["ffmpeg"] = "/nonexistent/ffmpeg" }, "/nonexistent/ffmpeg"},
		{"state folder that cannot be made", func(t *testing.T, app object) {
			file := state(t)
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			app["state"] = filepath.Join(file, "state")
		}, "state folder"},
		{"state folder of another edge", func(t *testing.T, app object) {
			folder := app["state"].(string)
			if err := os.MkdirAll(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			f, err := os.Create(filepath.Join(folder, "lock"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Close() })
			if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
				t.Fatal(err)
			}
		}, "in use by another edge"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app := node(t, small("news", 100_000))
			tt.change(t, app)
			err := edgetest.TryLoad(t, edgetest.Config(object{"edge": app}))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
			if strings.Contains(fmt.Sprint(err), edgetest.Secret) {
				t.Errorf("the error tells a secret: %v", err)
			}
			if edge.Held() != 0 {
				t.Error("the host is still held")
			}
		})
	}
}

// What is refused by the engine itself leaves no engine behind.
func TestFirstConfigurationRefused(t *testing.T) {
	app := node(t, small("news", 100_000))
	poor := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(poor, []byte("#!/bin/sh\necho 'ffmpeg version 7.1'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := edgetest.TryLoad(t, edgetest.Config(object{"edge": with(app, "ffmpeg", poor)}))
	if err == nil || !strings.Contains(err.Error(), `no encoder "libx264"`) {
		t.Fatalf("got error %v, want one that names the encoder", err)
	}
	if err := lock(app["state"].(string)); err != nil {
		t.Errorf("the state folder is not free: %v", err)
	}
	load(t, app)
}

func TestCountersAndDrainingSurviveReload(t *testing.T) {
	app := node(t, small("news", 100_000))
	load(t, app)
	host := edgetest.Host(t)
	edgetest.PID(t, host, "news")
	host.Counters().Request(edge.KindSegment, 200, 1000)
	host.SetDraining(true)
	load(t, with(app, "capacity", object{"streams": 5}))
	edgetest.Host(t).Counters().Request(edge.KindSegment, 200, 500)
	if !edgetest.Host(t).Draining() {
		t.Error("the reload ended the draining")
	}
	ctx := caddy.ActiveContext()
	series := edge.Series(t, ctx.GetMetricsRegistry())
	for name, want := range map[string]float64{
		`headrace_requests_total{code="200",kind="segment"}`: 2,
		`headrace_response_bytes_total{kind="segment"}`:      1500,
		`headrace_stream_starts_total{stream="news"}`:        1,
		`headrace_draining{}`:                                1,
	} {
		if got := series[name]; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}
