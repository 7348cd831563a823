// Package edgetest runs Caddy with the edge app inside a test's own process.
// Caddy has one configuration per process, so such tests cannot be parallel; two
// packages can, because nothing here has a fixed port or folder.
package edgetest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/headrace/headrace/caddymodule/edge"
)

// Secret is a good secret.
const Secret = "test-secret-00000000000000000000000000000"

// Object is a JSON object.
type Object = map[string]any

// idle is an FFmpeg that can do everything and does nothing: for tests of who
// starts and stops it.
const idle = `#!/bin/sh
case "$*" in
*-version*) echo "ffmpeg version 7.1" ;;
*-encoders*) printf ' V..... libx264 x\n A..... aac x\n' ;;
*-filters*) printf ' T.. smptebars x\n T.. scroll x\n T.. drawtext x\n T.. sine x\n' ;;
*) exec sleep 600 ;;
esac
`

// IdleFFmpeg writes an FFmpeg that starts but delivers nothing and returns its path.
func IdleFFmpeg(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(path, []byte(idle), 0o700); err != nil { //nolint:gosec // it has to run
		t.Fatal(err)
	}
	return path
}

// Config is a Caddy configuration with these apps, no admin endpoint and no logs.
func Config(apps Object) Object {
	return Object{
		"admin":   Object{"disabled": true, "config": Object{"persist": false}},
		"logging": Object{"logs": Object{"default": Object{"writer": Object{"output": "discard"}}}},
		"apps":    apps,
	}
}

// Load puts a configuration in force, as a reload does, and stops Caddy after the
// test.
func Load(t testing.TB, config Object) {
	t.Helper()
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := TryLoad(t, config); err != nil {
		t.Fatal(err)
	}
}

// TryLoad is Load for a configuration that is to be refused.
func TryLoad(t testing.TB, config Object) error {
	t.Helper()
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return caddy.Load(b, true)
}

// Host is that of the configuration in force.
func Host(t testing.TB) *edge.Host {
	t.Helper()
	app, err := caddy.ActiveContext().AppIfConfigured("edge")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*edge.App).Host()
}

// PID waits until a stream has a child and returns its process id.
func PID(t testing.TB, host *edge.Host, stream string) (pid int) {
	t.Helper()
	Until(t, "stream "+stream+" has a child", func() bool {
		s := host.Engine().Lookup(stream)
		if s != nil {
			pid = s.Status().PID
		}
		return pid != 0
	})
	return pid
}

// Until waits for a condition, half a minute at most.
func Until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("never happened: %s", what)
		case <-tick.C:
		}
	}
}

// Validate does what "caddy validate" does.
func Validate(t testing.TB, config Object) error {
	t.Helper()
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	var c caddy.Config
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	return caddy.Validate(&c)
}
