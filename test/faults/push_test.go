package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/rtmp"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/encoder"
)

// TestPushedStreamsPlay checks that what the usual encoders push, and codecs of
// enhanced RTMP, reach players (issue 3, Shown by 1).
func TestPushedStreamsPlay(t *testing.T) {
	encoders := []struct {
		name, codecs string
		publish      func(t *testing.T, file, to string)
	}{
		{"ffmpeg", "h264 aac", func(t *testing.T, file, to string) { ffmpegPublishes(t, file, to) }},
		{"rtmp2sink", "h264 aac", func(t *testing.T, file, to string) { gstreamerPublishes(t, "rtmp2sink", file, to) }},
		{"rtmpsink", "h264 aac", func(t *testing.T, file, to string) { gstreamerPublishes(t, "rtmpsink", file, to) }},
		{"hevc", "hevc aac", func(t *testing.T, _, to string) { loopPublishes(t, encoder.Recipe{Video: encoder.HEVC}, to) }},
		{"opus", "h264 aac", func(t *testing.T, _, to string) { loopPublishes(t, encoder.Recipe{Audio: encoder.Opus}, to) }},
	}
	var streams []edge.Stream
	for _, e := range encoders {
		streams = append(streams, edge.Copy(e.name, "push:"))
	}
	n := startPushed(t, streams)
	for _, e := range encoders {
		n.AwaitState(5*time.Second, e.name, ingest.StateWaiting)
		if st := n.Stream(e.name); st.Reason != ingest.ReasonNoPublisher || st.PID != 0 {
			t.Errorf("%s: got %+v without a publisher, want no FFmpeg and no_publisher", e.name, st)
		}
	}
	file := recording(t)
	var tokens []string
	for _, e := range encoders {
		to := n.own(e.name)
		if e.name == "rtmp2sink" { // the token alone: its scope is one stream
			to = fmt.Sprintf("rtmp://127.0.0.1:%d/live/%s", n.port, n.Mint(n.claims(e.name)))
		}
		tokens = append(tokens, to[strings.LastIndexAny(to, "=/")+1:])
		began := time.Now()
		e.publish(t, file, to)
		n.AwaitState(30*time.Second, e.name, ingest.StateLive)
		t.Logf("figures: %s: first segment %v after the encoder's start", e.name, time.Since(began).Round(time.Millisecond))
	}
	watch := startAudit(t, n.Node, ids(streams)...)
	for _, e := range encoders {
		codecs, decoded := probe(t, n.URL(e.name), 6)
		mpv := playsInMPV(t, n.URL(e.name), 6)
		t.Logf("figures: %s: %s, ffprobe decoded %.1f s of 6, mpv %.1f s of 6", e.name, codecs, decoded, mpv)
		if codecs != e.codecs || decoded < 5.5 || mpv < 5 {
			t.Errorf("%s: got %s, %.1f and %.1f s of 6, want %s and all of it", e.name, codecs, decoded, mpv, e.codecs)
		}
	}
	checkPublishers(t, n, len(encoders))
	for _, e := range encoders {
		if line := commandLine(t, n.Stream(e.name).PID); strings.Contains(line, "token") {
			t.Errorf("%s: FFmpeg's command line holds the key: %s", e.name, line)
		}
	}
	n.tellsNo(tokens...)
	watch.finish()
}

// checkPublishers wants health and the admin document to tell who publishes.
func checkPublishers(t *testing.T, n pushed, want int) {
	t.Helper()
	var list []struct {
		ID        string          `json:"id"`
		Publisher *rtmp.Publisher `json:"publisher"`
	}
	if err := json.Unmarshal(n.Admin("GET", "/edge/streams"), &list); err != nil {
		t.Fatal(err)
	}
	there := 0
	for _, s := range list {
		if p := s.Publisher; p != nil && p.Address == "127.0.0.1" && len(p.Codecs) == 2 && p.Bitrate > 50_000 && !p.Since.IsZero() {
			there++
			continue
		}
		t.Errorf("stream %s: got publisher %+v", s.ID, s.Publisher)
	}
	if got := n.Metrics()["headrace_publishers"]; there != want || got != float64(want) {
		t.Errorf("got %d publishers in the document and %g in the metric, want %d", there, got, want)
	}
}

// TestPublisherComesBack checks that a publisher which is back before it is given up
// goes on in the same numbering (issue 3, Shown by 1).
func TestPublisherComesBack(t *testing.T) {
	const rounds = 10
	streams := []edge.Stream{edge.Copy("again", "push:")}
	n := startPushed(t, streams, "hold 10s")
	file := recording(t)
	publisher := ffmpegPublishes(t, file, n.own("again"))
	n.AwaitLive(30 * time.Second)
	watch := startAudit(t, n.Node, "again")
	sights := observe(t, n.Node, streams)
	back := figures{name: "publisher killed and started again → new segment"}
	first := sights[0].Last()
	for range rounds {
		awaitDelivered(t, sights, 2)
		before := sights[0].Last()
		watch.expect("again", "publisher killed", 12*time.Second)
		killed := time.Now()
		publisher.kill()
		publisher = ffmpegPublishes(t, file, n.own("again"))
		seen, err := sights[0].Beyond(20*time.Second, before.Discontinuity)
		if err != nil {
			t.Fatal(err)
		}
		back.add(seen.At.Sub(killed))
	}
	last := sights[0].Last()
	if got := last.Discontinuity - first.Discontinuity; got != rounds {
		t.Errorf("got %d discontinuities for %d returns", got, rounds)
	}
	t.Logf("figures: %v; numbers %d to %d", &back, first.MSN, last.MSN)
	back.judge(t, 1, 10*time.Second)
	if got := n.Stream("again").Restarts[ingest.ReasonNoPublisher]; got != rounds {
		t.Errorf("got %v, want %d children that ended for no_publisher", n.Stream("again").Restarts, rounds)
	}
	noServerErrors(t, sights)
	watch.finish()
}

// TestSilentPublisherMakesWay checks that an encoder which lost its network, and comes
// back by another connection, need not wait for the old one to be given up.
func TestSilentPublisherMakesWay(t *testing.T) {
	streams := []edge.Stream{edge.Copy("lost", "push:")}
	n := startPushed(t, streams)
	file := recording(t)
	first := ffmpegPublishes(t, file, n.own("lost"))
	n.AwaitLive(30 * time.Second)
	watch := startAudit(t, n.Node, "lost")
	sights := observe(t, n.Node, streams)
	awaitDelivered(t, sights, 2)
	watch.expect("lost", "publisher hangs", 15*time.Second)
	before, hung := sights[0].Last(), time.Now()
	kill(t, first.cmd.Process.Pid, syscall.SIGSTOP)
	attempts := 0
	edge.Await(t, 20*time.Second, "another connection of the encoder to be let in", func() bool {
		attempts++
		again := ffmpegPublishes(t, file, n.own("lost"))
		select {
		case <-again.done:
			return false
		case <-time.After(3 * time.Second): // refusals come at once
			return true
		}
	})
	seen, err := sights[0].Beyond(20*time.Second, before.Discontinuity)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("figures: publisher hangs → new segment by another connection after %v, attempt %d", seen.At.Sub(hung).Round(time.Millisecond), attempts)
	awaitDelivered(t, sights, 2)
	noServerErrors(t, sights)
	watch.finish()
}

// TestPublishersThatAreRefused checks who may not push (issue 3, Shown by 1).
func TestPublishersThatAreRefused(t *testing.T) {
	t.Parallel()
	streams := []edge.Stream{edge.Copy("mine", "push:"), edge.Copy("other", "push:"), edge.Copy("pulled", "test:")}
	n := startPushed(t, streams)
	change := func(stream string, edit func(*token.Claims)) string {
		c := n.claims("mine")
		edit(&c)
		return n.place(stream, c)
	}
	good := n.own("mine")
	for _, tt := range []struct{ name, to, reason string }{
		{"a wrong signature", good[:len(good)-4] + "0000", "bad_signature"},
		{"a key of nobody", change("mine", func(c *token.Claims) { c.Kid = "k9" }), "unknown_key"},
		{"no token", fmt.Sprintf("rtmp://127.0.0.1:%d/live/mine", n.port), "malformed"},
		{"a play token", change("mine", func(c *token.Claims) { c.Operation = token.Play }), "wrong_operation"},
		{"a token of another stream", change("mine", func(c *token.Claims) { c.ID = "other" }), "wrong_stream"},
		{"an expired token", change("mine", func(c *token.Claims) { c.Expires = time.Now().Unix() - 1 }), "expired"},
		{"an unknown stream", n.place("nowhere", n.claims("nowhere")), "not_entitled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sample := fmt.Sprintf(`headrace_token_checks_total{reason=%q}`, tt.reason)
			before := n.Metrics()[sample]
			_, gone := loopPublishes(t, encoder.Recipe{}, tt.to)
			err := awaitRefusal(t, gone)
			if got := n.Metrics()[sample] - before; got != 1 {
				t.Errorf("got %g more of %s, want 1", got, tt.reason)
			}
			t.Logf("answer: connection ended with %v; reason %s", err, tt.reason)
		})
	}
	t.Run("a stream that takes no publisher", func(t *testing.T) {
		_, gone := loopPublishes(t, encoder.Recipe{}, n.own("pulled"))
		t.Logf("answer: connection ended with %v", awaitRefusal(t, gone))
	})
	t.Run("what FFmpeg says of a refusal", func(t *testing.T) {
		p := ffmpegPublishes(t, recording(t), change("mine", func(c *token.Claims) { c.Operation = token.Play }))
		select {
		case <-p.done:
			first, _, _ := strings.Cut(p.said.String(), "\n")
			t.Logf("answer: FFmpeg ended with %v: %s", p.err, first)
		case <-time.After(20 * time.Second):
			t.Error("FFmpeg goes on although it was refused")
		}
	})
	if st := n.Stream("mine"); st.PID != 0 || st.Reason != ingest.ReasonNoPublisher {
		t.Errorf("got %+v after refusals alone, want no FFmpeg", st)
	}
	session := func(name string) string { return change("mine", func(c *token.Claims) { c.Session = name }) }
	_, first := loopPublishes(t, encoder.Recipe{}, session("s1"))
	n.AwaitState(20*time.Second, "mine", ingest.StateLive)
	_, second := loopPublishes(t, encoder.Recipe{}, session("s2"))
	t.Logf("answer to a second publisher: %v", awaitRefusal(t, second))
	select {
	case err := <-first:
		t.Fatalf("the first publisher was ended by the second: %v", err)
	default:
	}
	last := n.Stream("mine").DiscontinuitySequence
	loopPublishes(t, encoder.Recipe{}, session("s1"))
	t.Logf("answer to the first when its session comes again: %v", awaitRefusal(t, first))
	edge.Await(t, 20*time.Second, "the session's second publisher on the air", func() bool {
		st := n.Stream("mine")
		return st.State == ingest.StateLive && st.DiscontinuitySequence == last+1
	})
	m := n.Metrics()
	for outcome, want := range map[rtmp.Outcome]float64{rtmp.Refused: 9, rtmp.Busy: 1, rtmp.Accepted: 2} {
		if got := m[fmt.Sprintf(`headrace_push_connections_total{outcome=%q}`, outcome)]; got != want {
			t.Errorf("got %g connections %s, want %g", got, outcome, want)
		}
	}
	n.tellsNo(good[strings.LastIndexByte(good, '=')+1:])
}

func awaitRefusal(t *testing.T, gone <-chan error) error {
	t.Helper()
	select {
	case err := <-gone:
		if err == nil {
			t.Error("the encoder ended by itself")
		}
		return err
	case <-time.After(15 * time.Second):
		t.Error("the encoder was not refused")
		return errors.New("none")
	}
}
