package hls_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/caddymodule/internal/edgetest"
	"github.com/headrace/headrace/controlapi/token"
)

// The endless stream is the segments, one after another, without a seam, and ends
// between two of them when the edge drains.
func TestLive(t *testing.T) {
	s := open(t)
	first := s.last(t) - 1
	answer := s.do(t, "GET", live(t, "/news/low/live.ts"))
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "video/mp2t" {
		t.Fatalf("status %d, header %v", answer.StatusCode, answer.Header)
	}
	edgetest.Until(t, "two more segments", func() bool { return s.last(t) >= first+3 })
	s.host(t).SetDraining(true)
	defer s.host(t).SetDraining(false)
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := string(body)
	for msn := first; got != ""; msn++ {
		status, segment := s.get(t, live(t, "/news/low/%d.ts", msn))
		if status != 200 {
			t.Fatalf("%d.ts: status %d with %d bytes left", msn, status, len(got))
		}
		rest, ok := strings.CutPrefix(got, segment)
		if !ok && msn == first {
			continue // a segment came before the request did
		}
		if !ok {
			t.Fatalf("the stream goes on with others than the bytes of %d.ts", msn)
		}
		got = rest
	}
}

// An endless stream keeps its session: nobody else gets its place.
func TestLiveKeepsSession(t *testing.T) {
	s := open(t)
	tok := func(session string) string {
		return signed(t, func(c *token.Claims) { c.User, c.Session, c.Max = "dave", session, 1 })
	}
	answer := s.do(t, "GET", "/live/"+tok("j1")+"/news/low/live.ts")
	defer answer.Body.Close()
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		_, _ = io.Copy(io.Discard, answer.Body)
	}()
	until := time.Now().Add(4 * s.host(t).Engine().Lookup("news").TargetDuration())
	edgetest.Until(t, "more than a session's life", func() bool { return time.Now().After(until) })
	if status, _ := s.get(t, "/live/"+tok("j2")+"/news/index.m3u8"); status != 403 {
		t.Errorf("second session: status %d, want 403", status)
	}
	_ = answer.Body.Close()
	<-stop
}

// What runs goes on over a reload; a configuration that is refused changes nothing.
func TestReload(t *testing.T) {
	s := open(t)
	answer := s.do(t, "GET", live(t, "/news/low/live.ts"))
	pid := edgetest.PID(t, s.host(t), "news")
	if err := load(config(s.folder, object{"write_min_rate": -1})); err == nil {
		t.Error("a negative rate was taken")
	}
	if err := load(config(s.folder, object{"write_min_rate": 32 << 10})); err != nil {
		t.Fatal(err)
	}
	s.client.CloseIdleConnections()
	if got := edgetest.PID(t, s.host(t), "news"); got != pid {
		t.Errorf("FFmpeg has the process id %d, had %d", got, pid)
	}
	// The old server's grace period is a second: its viewers go on for longer.
	after := s.last(t) + 3
	buf := make([]byte, 64<<10)
	for s.last(t) < after {
		if _, err := answer.Body.Read(buf); err != nil {
			t.Fatalf("the endless stream ended with the old configuration: %v", err)
		}
	}
	if status, body := s.get(t, live(t, "/news/low/index.m3u8")); status != 200 {
		t.Errorf("status %d: %s", status, body)
	}
	_ = answer.Body.Close()
	if _, err := answer.Body.Read(buf); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read after close: %v", err)
	}
}
