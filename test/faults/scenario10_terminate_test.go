package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// TestScenario10TerminateUnderLoad checks that an edge that is asked to stop does
// so within 12 s, lets what is in flight finish (with the 10 s of grace_period
// that the example configuration has), and leaves no child behind.
func TestScenario10TerminateUnderLoad(t *testing.T) {
	s := newStudio(t)
	mine := fmt.Sprintf("s10-%d-", os.Getpid()) // no other test's streams are called so
	streams := []edge.Stream{
		s.stream(mine+"large", origin.Recipe{Bitrate: 10_000_000, Height: 360}, origin.Options{}),
		s.stream(mine+"gop2", origin.Recipe{}, origin.Options{}),
		edge.Copy(mine+"test", "test:"),
	}
	n := edge.Start(t, edge.Config{Streams: streams})
	n.AwaitLive(30 * time.Second)
	sights := observe(t, n, streams)
	awaitDelivered(t, sights, 3)
	children := n.Children()
	if len(children) != len(streams) {
		t.Fatalf("got %d child processes, want %d", len(children), len(streams))
	}
	l := startLoad(t, 200, audience(t, n, streams[1:], sights[1:]))

	// A segment of 2.5 MB is read at a rate at which, when the signal comes, a part
	// is still on the edge's side of the kernel's buffers (some 800 KB); and a player
	// waits for the next segment.
	slow := startSlowSegment(t, n, mine+"large", 300_000)
	time.Sleep(2 * time.Second) // not a wait for something: the load runs this long
	last := n.Streams()[mine+"gop2"].LastMSN
	// A viewer of its own, so that the table of sessions tells when it has come: a
	// connection that the server has not read from yet is closed without an answer.
	claims := edge.Claims(mine + "gop2")
	claims.User = "waiting"
	sessions := n.Metrics().Sum("headrace_sessions")
	waiting := make(chan error, 1)
	go func() {
		url := fmt.Sprintf("http://%s/live/%s/%s/%s/index.m3u8?_HLS_msn=%d", n.Address(), n.Mint(claims), mine+"gop2", edge.Rendition, last+1)
		status, _, err := edge.Get(context.WithoutCancel(t.Context()), url)
		if err == nil && status/100 == 5 {
			err = fmt.Errorf("status %d", status)
		}
		waiting <- err
	}()
	edge.Await(t, 5*time.Second, "the slow viewer to be in the middle", func() bool { return slow.read() > 0 })
	edge.Await(t, 5*time.Second, "the waiting viewer to have come", func() bool { return n.Metrics().Sum("headrace_sessions") > sessions })

	signalled := time.Now()
	n.Signal(syscall.SIGTERM)
	err := n.AwaitExit(20 * time.Second)
	took := time.Since(signalled)
	report := l.stop()
	if err != nil {
		t.Errorf("the edge ended with %v, want exit code 0", err)
	}
	if took > 12*time.Second {
		t.Errorf("the edge took %v to stop, want at most 12 s", took)
	}
	got, want, err := slow.wait()
	if err != nil || got != want {
		t.Errorf("the segment in flight: got %d of %d bytes, %v", got, want, err)
	}
	waited := <-waiting
	if waited != nil {
		t.Errorf("the playlist request in flight: %v", waited)
	}
	for _, c := range children {
		if c.Alive() {
			t.Errorf("FFmpeg %d outlived the edge", c.PID)
		}
	}
	if left := n.Mentioning(mine); len(left) > 0 {
		t.Errorf("processes %v still make the streams", edge.PIDs(left))
	}
	// Requests that were sent before the signal must be answered; later ones find
	// nobody who listens.
	if cut := report.brokenBetween(time.Time{}, signalled); cut > 0 {
		t.Errorf("%d requests that were made before the signal were not answered", cut)
	}
	if report.serverErrors() > 0 {
		t.Errorf("got statuses %v, want no 5xx", report.statuses)
	}
	t.Logf("figures: SIGTERM → exit %v; slow segment %d of %d bytes; load %v", took.Round(time.Millisecond), got, want, report)
}

// slowSegment is a viewer with a thin line in the middle of a segment.
type slowSegment struct {
	conn net.Conn
	got  chan int64
	done chan slowResult
	seen int64
}

type slowResult struct {
	got, want int64
	err       error
}

// startSlowSegment begins to fetch the newest segment at a rate in bytes per second.
func startSlowSegment(t *testing.T, n *edge.Node, stream string, rate int64) *slowSegment {
	t.Helper()
	conn, err := dialThin(t.Context(), n.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	path := strings.TrimPrefix(n.BaseURL(stream), "http://"+n.Address())
	_, err = fmt.Fprintf(conn, "GET %s%s/%d.ts HTTP/1.1\r\nHost: %s\r\n\r\n", path, edge.Rendition, n.Streams()[stream].LastMSN, n.Address())
	if err != nil {
		t.Fatal(err)
	}
	v := &slowSegment{conn: conn, got: make(chan int64, 1), done: make(chan slowResult, 1)}
	go v.run(rate)
	return v
}

func (v *slowSegment) run(rate int64) {
	resp, err := http.ReadResponse(bufio.NewReaderSize(v.conn, 4096), nil)
	if err != nil {
		v.done <- slowResult{err: err}
		return
	}
	defer func() { _ = resp.Body.Close() }()
	r := slowResult{want: resp.ContentLength}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ; r.err == nil; <-tick.C {
		var n int64
		n, r.err = io.CopyN(io.Discard, resp.Body, rate/20)
		r.got += n
		select {
		case v.got <- r.got:
		default:
		}
	}
	if errors.Is(r.err, io.EOF) {
		r.err = nil
	}
	v.done <- r
}

// read is how many bytes came, as far as is known.
func (v *slowSegment) read() int64 {
	select {
	case v.seen = <-v.got:
	default:
	}
	return v.seen
}

func (v *slowSegment) wait() (got, want int64, err error) {
	r := <-v.done
	return r.got, r.want, r.err
}
