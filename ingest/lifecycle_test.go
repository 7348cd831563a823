package ingest

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/guard"
	"github.com/headrace/headrace/ingest/playlist"
)

// until polls a condition and fails the test when it does not come true in time.
func until(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("after %s: not %s", limit, what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// media makes a small file with the given options and returns it as a source.
func media(t *testing.T, name string, options ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	args := append([]string{"-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x90:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000"}, options...)
	if out, err := exec.Command("ffmpeg", append(args, path)...).CombinedOutput(); err != nil {
		t.Fatalf("making %s: %v\n%s", name, err, out)
	}
	return "file:" + path
}

func copied(s StreamSpec) StreamSpec {
	s.Renditions = []ffmpeg.Rendition{{Name: "source", Copy: true}}
	return s
}

func listed(t *testing.T, v *View) *playlist.Media {
	t.Helper()
	m, err := playlist.ParseMedia(v.Renditions()[0].Playlist.Plain)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Promise: FFmpeg dies, it is restarted on the spot, the numbering goes on, a
// discontinuity marks the seam.
func TestKilledChildComesBack(t *testing.T) {
	e := newEngine(t, t.TempDir())
	if err := e.Apply([]StreamSpec{spec(t, "a", "test:")}); err != nil {
		t.Fatal(err)
	}
	s := e.Lookup("a")
	first := waitFor(t, s, 0).LastMSN()
	waitFor(t, s, first+1)
	pid := s.Status().PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	until(t, 5*time.Second, "a new child", func() bool { p := s.Status().PID; return p != 0 && p != pid })
	respawned := time.Since(killed)
	last := s.View().LastMSN()
	v := waitFor(t, s, last+1)
	t.Logf("respawned after %s, next segment after %s", respawned, time.Since(killed))
	m := listed(t, v)
	if got, want := m.MediaSequence+int64(len(m.Segments))-1, last+1; got != want {
		t.Errorf("got newest number %d, want %d: the numbering goes on", got, want)
	}
	if !m.Segments[len(m.Segments)-1].Discontinuity {
		t.Error("the seam carries no EXT-X-DISCONTINUITY")
	}
	if st := s.Status(); st.Restarts[ReasonKilled] != 1 || st.DiscontinuitySequence != 1 {
		t.Errorf("got restarts %v and discontinuity sequence %d, want one kill and 1", st.Restarts, st.DiscontinuitySequence)
	}
}

func TestStoppedChildIsReplaced(t *testing.T) {
	e := newEngine(t, t.TempDir())
	if err := e.Apply([]StreamSpec{spec(t, "a", "test:")}); err != nil {
		t.Fatal(err)
	}
	s := e.Lookup("a")
	first := waitFor(t, s, 0).LastMSN()
	waitFor(t, s, first+1)
	pid := s.Status().PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, 6*time.Second, "seen as stalled", func() bool { return s.Status().Restarts[ReasonStalled] == 1 })
	waitFor(t, s, s.View().LastMSN()+1)
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the hung child %d is still there: %v", pid, err)
	}
}

func TestUnchangedStreamIsNotTouched(t *testing.T) {
	e := newEngine(t, t.TempDir())
	keep, change := spec(t, "keep", "test:"), spec(t, "change", "test:")
	if err := e.Apply([]StreamSpec{keep, change}); err != nil {
		t.Fatal(err)
	}
	kept, changed := e.Lookup("keep"), e.Lookup("change")
	waitFor(t, kept, 0)
	before := waitFor(t, changed, waitFor(t, changed, 0).LastMSN()+1)
	keptPID, changedPID := kept.Status().PID, changed.Status().PID

	change.Renditions = []ffmpeg.Rendition{{Name: "low", Height: 72, VideoBitrate: 80_000, AudioBitrate: 32_000}, {Name: "lower", Height: 64, VideoBitrate: 60_000, AudioBitrate: 32_000}}
	if err := e.Apply([]StreamSpec{keep, change}); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, "the new ladder", func() bool { return changed.View().Rendition("lower") != nil })
	v := changed.View()
	m := listed(t, v)
	var seams int
	for _, seg := range m.Segments {
		if seg.Discontinuity {
			seams++
		}
	}
	if v.LastMSN() <= before.LastMSN() || m.MediaSequence > before.LastMSN() || seams != 1 {
		t.Errorf("got a list from %d to %d with %d seams, want it to go on above %d with one", m.MediaSequence, v.LastMSN(), seams, before.LastMSN())
	}
	if lower := v.Rendition("lower"); lower.FirstMSN() != v.LastMSN() {
		t.Errorf("the new rendition begins at %d, want the number of its siblings, %d", lower.FirstMSN(), v.LastMSN())
	}
	if got := kept.Status().PID; got != keptPID {
		t.Errorf("the stream that did not change has child %d, want %d still", got, keptPID)
	}
	until(t, 5*time.Second, "the old child gone", func() bool { return errors.Is(syscall.Kill(changedPID, 0), syscall.ESRCH) })

	if err := e.Apply([]StreamSpec{keep}); err != nil {
		t.Fatal(err)
	}
	if e.Lookup("change") != nil {
		t.Error("a stream that was taken away is still found")
	}
	if changed.Status().State != StateStopped {
		t.Errorf("got state %s, want stopped", changed.Status().State)
	}
}

func TestRefusedSpecsChangeNothing(t *testing.T) {
	e := newEngine(t, t.TempDir())
	good := spec(t, "good", "test:")
	if err := e.Apply([]StreamSpec{good}); err != nil {
		t.Fatal(err)
	}
	bad := spec(t, "bad", "test:")
	bad.Window = 2
	if err := e.Apply([]StreamSpec{bad}); err == nil || !strings.Contains(err.Error(), `"bad"`) {
		t.Errorf("got %v, want an error that names the stream", err)
	}
	if err := e.Apply([]StreamSpec{good, good}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("got %v, want an error about the same id twice", err)
	}
	if e.Lookup("good") == nil || e.Lookup("bad") != nil {
		t.Error("a refused list of streams changed something")
	}
}

func TestSourceThatFailsGivesWayToTheBackup(t *testing.T) {
	e := newEngine(t, t.TempDir())
	missing := filepath.Join(t.TempDir(), "later.ts")
	s := copied(spec(t, "a", "file:"+missing, media(t, "backup.ts", "-t", "4", "-g", "25", "-c:v", "libx264", "-c:a", "aac")))
	if err := e.Apply([]StreamSpec{s}); err != nil {
		t.Fatal(err)
	}
	stream := e.Lookup("a")
	waitFor(t, stream, 0)
	if st := stream.Status(); st.SourceIndex != 1 || st.Restarts[ReasonSourceUnreachable] == 0 {
		t.Fatalf("got source %d and restarts %v, want the backup after source_unreachable", st.SourceIndex, st.Restarts)
	}
	preferred := media(t, "preferred.ts", "-t", "4", "-g", "25", "-c:v", "libx264", "-c:a", "aac")
	if err := os.Rename(strings.TrimPrefix(preferred, "file:"), missing); err != nil {
		t.Fatal(err)
	}
	until(t, 45*time.Second, "back at the preferred source", func() bool { return stream.Status().SourceIndex == 0 })
	v := waitFor(t, stream, stream.View().LastMSN()+1)
	m := listed(t, v)
	for i, seg := range m.Segments[1:] {
		hole := seg.ProgramDateTime.Sub(m.Segments[i].ProgramDateTime) - m.Segments[i].Duration
		if hole > 1500*time.Millisecond {
			t.Errorf("a hole of %s, want the preferred source to take over without one\n%s", hole, v.Renditions()[0].Playlist.Plain)
		}
	}
}

func TestSourceFailures(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.ts")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no media\n", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, t.TempDir())
	e.SetPolicy(guard.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	for name, tt := range map[string]struct {
		source string
		reason Reason
	}{
		"missing": {"file:" + filepath.Join(dir, "missing.ts"), ReasonSourceUnreachable},
		"invalid": {"file:" + text, ReasonSourceInvalid},
		"refused": {"http://127.0.0.1:1/x.ts", ReasonSourceUnreachable},
		"outside": {"http://127.0.0.2:1/x.ts", ReasonSourceForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			if err := e.Apply([]StreamSpec{copied(spec(t, name, tt.source))}); err != nil {
				t.Fatal(err)
			}
			s := e.Lookup(name)
			until(t, 20*time.Second, "failed for the right reason", func() bool { return s.Status().Restarts[tt.reason] >= 2 })
			st := s.Status()
			if st.State == StateLive || s.View().Ready() || len(st.Log) == 0 {
				t.Errorf("got %+v, want no segment and FFmpeg's words", st)
			}
		})
	}
}

func TestAudioOnlyPlays(t *testing.T) {
	e := newEngine(t, t.TempDir())
	radio := copied(spec(t, "radio", media(t, "radio.ts", "-t", "6", "-map", "1:a", "-c:a", "aac")))
	if err := e.Apply([]StreamSpec{radio}); err != nil {
		t.Fatal(err)
	}
	v := waitFor(t, e.Lookup("radio"), 0)
	if got := string(v.Multivariant().Plain); !strings.Contains(got, `CODECS="mp4a.40.2"`) || strings.Contains(got, "RESOLUTION") {
		t.Errorf("got %s, want sound alone", got)
	}
}

// Nothing false is published when keyframes are further apart than TARGETDURATION
// allows; afterwards a discontinuity marks the seam.
func TestNoKeyframe(t *testing.T) {
	e := newEngine(t, t.TempDir())
	// Keyframes at 0, 1, 2, 3 and then none for 7 s, in a loop of 10 s.
	source := media(t, "gap.ts", "-t", "10", "-c:v", "libx264", "-g", "1000", "-sc_threshold", "0", "-force_key_frames", "0,1,2,3", "-c:a", "aac")
	if err := e.Apply([]StreamSpec{copied(spec(t, "a", source))}); err != nil {
		t.Fatal(err)
	}
	s := e.Lookup("a")
	waitFor(t, s, 0)
	until(t, 20*time.Second, "no_keyframe", func() bool { return s.Status().State == StateNoKeyframe })
	last := s.View().LastMSN()
	v := waitFor(t, s, last+1)
	m := listed(t, v)
	if !m.Segments[len(m.Segments)-1].Discontinuity {
		t.Error("the segment after the gap carries no discontinuity")
	}
	for _, seg := range m.Segments {
		if seg.Duration > 2*time.Second {
			t.Errorf("a segment of %s is listed, above the target duration of 2 s", seg.Duration)
		}
	}
	st := s.Status()
	if st.Void["no_keyframe"] == 0 || len(st.Restarts) != 0 {
		t.Errorf("got void %v and restarts %v, want the loss counted and no restart", st.Void, st.Restarts)
	}
}

func TestNumbersSurviveTheEdge(t *testing.T) {
	dir := t.TempDir()
	numbers, _, known, err := openNumbers(filepath.Join(dir, "numbers"), "a")
	if err != nil || known {
		t.Fatalf("got known %v, %v, want a new stream", known, err)
	}
	// As if its clock had been ahead: the clock alone would go back.
	ahead := time.Now().Unix() + 10_000
	for i := range int64(3) {
		if err := numbers.store(highest{ahead + i, 7 + i, time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := numbers.close(); err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, dir)
	if err := e.Apply([]StreamSpec{spec(t, "a", "test:")}); err != nil {
		t.Fatal(err)
	}
	v := waitFor(t, e.Lookup("a"), 0)
	m := listed(t, v)
	if m.MediaSequence != ahead+3 || m.DiscontinuitySequence != 10 {
		t.Errorf("got number %d and discontinuity sequence %d, want %d and 10: above what was remembered", m.MediaSequence, m.DiscontinuitySequence, ahead+3)
	}
}

func TestTornNumbersFallBackToTheRecordBefore(t *testing.T) {
	dir := t.TempDir()
	n, _, _, err := openNumbers(dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(5) {
		if err := n.store(highest{100 + i, i, time.UnixMilli(1000 * i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.file.WriteAt([]byte("torn"), n.turn%2*recordSize); err != nil {
		t.Fatal(err)
	}
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	n, was, known, err := openNumbers(dir, "a")
	if err != nil || !known || was.msn != 103 || was.discontinuity != 3 || was.end.UnixMilli() != 3000 {
		t.Errorf("got %+v, %v, %v, want 103, 3 and 3 s", was, known, err)
	}
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
}

func TestStateFolder(t *testing.T) {
	t.Run("in use by another edge", func(t *testing.T) {
		dir := t.TempDir()
		newEngine(t, dir)
		_, err := New(Options{StateDir: dir, Logger: zaptest.NewLogger(t)})
		if !errors.Is(err, ErrStateInUse) || !strings.Contains(err.Error(), dir) {
			t.Errorf("got %v, want ErrStateInUse with the folder's name", err)
		}
	})
	t.Run("given up on Close", func(t *testing.T) {
		dir := t.TempDir()
		e := newEngine(t, dir)
		e.Close()
		e.Close()
		newEngine(t, dir)
	})
	t.Run("not a folder", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{StateDir: path}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want an error with the folder's name", err)
		}
	})
	t.Run("none", func(t *testing.T) {
		if _, err := New(Options{}); err == nil || !strings.Contains(err.Error(), "state option") {
			t.Errorf("got %v, want an error that names the option", err)
		}
	})
}

func TestFFmpegIsNamedAtStart(t *testing.T) {
	fake := func(t *testing.T, body string) string {
		path := filepath.Join(t.TempDir(), "ffmpeg")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct{ name, program, want string }{
		{"missing", "/nonexistent/ffmpeg", "install it"},
		{"too old", fake(t, `echo "ffmpeg version 4.1.2 Copyright"`), "too old"},
		{"something else", fake(t, "exit 3"), "asking"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(Options{StateDir: t.TempDir(), FFmpeg: tt.program})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	t.Run("asked again when the program is another", func(t *testing.T) {
		dir, path := t.TempDir(), fake(t, `echo "ffmpeg version 7.1 Copyright"`)
		for _, version := range []string{"7.1", "7.1", "8.0"} {
			if version == "8.0" {
				if err := os.WriteFile(path, []byte("#!/bin/sh\necho 'ffmpeg version 8.0 Copyright, another'\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			e, err := New(Options{StateDir: dir, FFmpeg: path})
			if err != nil {
				t.Fatal(err)
			}
			if got := e.FFmpegVersion(); got != version {
				t.Errorf("got version %s, want %s", got, version)
			}
			e.Close()
		}
	})
	t.Run("without an encoder", func(t *testing.T) {
		e, err := New(Options{StateDir: t.TempDir(), FFmpeg: fake(t, `echo "ffmpeg version 7.1 Copyright"`)})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if err := e.Apply([]StreamSpec{spec(t, "a", "https://h/x.m3u8")}); err == nil || !strings.Contains(err.Error(), "libx264") {
			t.Errorf("got %v, want the encoder named", err)
		}
	})
}
