package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// TestStartIsRefused checks that an edge that cannot do its work does not start,
// and says in its log what is wrong by name (issue: Bad input and faults).
func TestStartIsRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		config edge.Config
		want   []string // each must be in the log
	}{
		{"a state folder below a file", edge.Config{State: filepath.Join(file, "state")}, []string{"state folder", file}},
		{"FFmpeg is missing", edge.Config{FFmpeg: filepath.Join(folder, "no-ffmpeg")}, []string{filepath.Join(folder, "no-ffmpeg")}},
		{"FFmpeg is too old", edge.Config{FFmpeg: oldFFmpeg(t, folder)}, []string{"3.4.8"}},
		{
			"FFmpeg has no encoder",
			edge.Config{FFmpeg: poorFFmpeg(t, folder), Streams: []edge.Stream{edge.Copy("s-ladder", "test:").With("rendition 480p 1200k")}},
			[]string{"libx264", "s-ladder"},
		},
		{
			"more streams than the capacity",
			edge.Config{Options: []string{"capacity {\n\t\t\tstreams 1\n\t\t}"}, Streams: []edge.Stream{edge.Copy("s-first", "test:"), edge.Copy("s-second", "test:")}},
			[]string{"s-second"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := edge.New(t, tt.config)
			n.Launch()
			if err := n.AwaitExit(30 * time.Second); err == nil {
				t.Error("the edge ended with exit code 0, want another")
			}
			// What it says last is what an operator sees.
			last := lastLine(n.Log())
			for _, want := range tt.want {
				if !strings.Contains(last, want) {
					t.Errorf("the last line does not hold %q:\n%s", want, last)
				}
			}
			t.Log(last)
		})
	}
}

// TestStateFolderInUse checks that a second edge with the state folder of a running
// one is refused, and that the first does not notice.
func TestStateFolderInUse(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	streams := []edge.Stream{s.stream("s-state", origin.Recipe{}, origin.Options{})}
	first := edge.Start(t, edge.Config{Streams: streams})
	first.AwaitLive(30 * time.Second)
	watch := startAudit(t, first, ids(streams)...)
	children := first.Children()

	second := edge.New(t, edge.Config{State: first.State(), Streams: streams})
	second.Launch()
	if err := second.AwaitExit(30 * time.Second); err == nil {
		t.Error("the second edge ended with exit code 0, want another")
	}
	if last := lastLine(second.Log()); !strings.Contains(last, first.State()) || !strings.Contains(last, "in use") {
		t.Errorf("the second edge does not say that the folder is in use:\n%s", last)
	}
	awaitDelivered(t, observe(t, first, streams), 2)
	if got, want := fmt.Sprint(edge.PIDs(first.Children())), fmt.Sprint(edge.PIDs(children)); got != want {
		t.Errorf("the first edge's children were %s, are now %s", want, got)
	}
	watch.finish()
}

// lastLine is the last line of a log.
func lastLine(log []byte) string {
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return lines[len(lines)-1]
}

// oldFFmpeg is a program that calls itself FFmpeg 3.4.8.
func oldFFmpeg(t *testing.T, folder string) string {
	t.Helper()
	return script(t, folder, "old-ffmpeg", `echo "ffmpeg version 3.4.8 Copyright (c) 2000-2020 the FFmpeg developers"`)
}

// poorFFmpeg is the real one, but it names no H.264 encoder.
func poorFFmpeg(t *testing.T, folder string) string {
	t.Helper()
	return script(t, folder, "poor-ffmpeg", `ffmpeg "$@" | grep -v 264`)
}

func script(t *testing.T, folder, name, body string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
