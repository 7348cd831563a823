package soak

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// soakVariable holds how long TestSoak runs.
const soakVariable = "HEADRACE_SOAK"

// audienceVariable makes the test binary an audience instead of a test.
const audienceVariable = "HEADRACE_SOAK_AUDIENCE"

func TestMain(m *testing.M) {
	if os.Getenv(audienceVariable) != "" {
		os.Exit(watch(os.Stdin, os.Stdout))
	}
	os.Exit(edge.Main(m))
}

// plan is the size of a soak.
type plan struct {
	streams, viewers int
	time             time.Duration
	bitrate          int // of each stream, bits per second
}

// TestSoak is the long form: 20 copied streams of 2 Mbit/s and 2,000 viewers.
func TestSoak(t *testing.T) {
	text := os.Getenv(soakVariable)
	if text == "" {
		t.Skipf("takes long: set %s to a duration, 15m say; TestSoakShort is the short form", soakVariable)
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", soakVariable, err)
	}
	plan{streams: 20, viewers: 2000, time: length, bitrate: 2_000_000}.run(t)
}

// TestSoakShort is the same for a minute, with 5 streams and 300 viewers.
func TestSoakShort(t *testing.T) {
	plan{streams: 5, viewers: 300, time: time.Minute, bitrate: 800_000}.run(t)
}

// run starts an edge and its audience and judges the edge's memory every 5 s.
func (p plan) run(t *testing.T) {
	s, err := origin.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	loop, err := origin.Make(t.Context(), origin.Recipe{Bitrate: p.bitrate})
	if err != nil {
		t.Fatal(err)
	}
	var streams []edge.Stream
	for i := range p.streams {
		id := fmt.Sprintf("soak-%02d", i)
		streams = append(streams, edge.Copy(id, s.URL(s.Add(id, loop, origin.Options{}))))
	}
	n := edge.Start(t, edge.Config{Streams: streams})
	n.AwaitLive(time.Minute)
	idle := n.RSS()
	var urls []string
	for _, stream := range streams {
		urls = append(urls, n.URL(stream.ID))
	}
	audience := startAudience(t, urls, p)

	rows := p.sample(t, n)
	seen := audience.leave(t)
	t.Logf("figures: %d streams, %d viewers, %v; RSS before the viewers %.1f MB\n%s", p.streams, p.viewers, p.time, mega(idle), table(rows))
	t.Logf("figures: %v", seen)
	p.judge(t, n, rows, seen)
}

// row is one look at the edge.
type row struct {
	at                          time.Duration
	rss, rings                  int64
	cores                       float64 // since the row before
	goroutines, files, sessions int
}

// budget is what the edge may take at that time.
func (r row) budget() int64 { return r.rings*5/4 + 100e6 }

// sample looks at the edge every 5 s.
func (p plan) sample(t *testing.T, n *edge.Node) (rows []row) {
	t.Helper()
	const step = 5 * time.Second
	tick := time.NewTicker(step)
	defer tick.Stop()
	began, cpu := time.Now(), n.CPU()
	for time.Since(began) < p.time {
		<-tick.C
		now, metrics := n.CPU(), n.Metrics()
		rows = append(rows, row{
			at: time.Since(began).Round(time.Second), rss: n.RSS(), rings: int64(metrics.Sum("headrace_ring_bytes")),
			cores: float64(now-cpu) / 100 / step.Seconds(), goroutines: n.Goroutines(), files: n.FDs(), sessions: int(metrics.Sum("headrace_sessions")),
		})
		cpu = now
	}
	return rows
}

// judge holds every row against the budget, and the audience's report against what
// viewers were promised.
func (p plan) judge(t *testing.T, n *edge.Node, rows []row, seen report) {
	t.Helper()
	for _, r := range rows {
		if r.rss > r.budget() {
			t.Errorf("after %v: RSS %.1f MB, want at most %.1f MB with %.1f MB in rings", r.at, mega(r.rss), mega(r.budget()), mega(r.rings))
		}
	}
	if len(rows) == 0 || rows[len(rows)-1].rings == 0 {
		t.Error("the rings were empty: nothing was judged")
	}
	for id, status := range n.Streams() {
		if len(status.Restarts) > 0 {
			t.Errorf("stream %s: got restarts %v, want none", id, status.Restarts)
		}
	}
	if seen.Errors > 0 || len(seen.Status) > 0 || seen.Missed > 0 {
		t.Errorf("the audience had %d errors, statuses %v and missed %d segments, want none", seen.Errors, seen.Status, seen.Missed)
	}
	// One request a second and viewer, less what the arrival takes.
	if least := int64(float64(p.viewers) * p.time.Seconds() / 4); seen.Requests < least {
		t.Errorf("the audience made %d requests, want at least %d", seen.Requests, least)
	}
}

func mega(bytes int64) float64 { return float64(bytes) / 1e6 }

// table prints rows for people.
func table(rows []row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%8s %8s %9s %10s %6s %11s %6s %9s\n", "time", "RSS MB", "rings MB", "budget MB", "cores", "goroutines", "files", "sessions")
	for _, r := range rows {
		fmt.Fprintf(&b, "%8v %8.1f %9.1f %10.1f %6.2f %11d %6d %9d\n", r.at, mega(r.rss), mega(r.rings), mega(r.budget()), r.cores, r.goroutines, r.files, r.sessions)
	}
	return b.String()
}
