package faults

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// TestScenario09ReloadUnderLoad checks that a reload touches nothing that did not
// change: no FFmpeg, no segment, no counter, no viewer; that a changed stream is
// changed alone, and a rejected configuration changes nothing (promise 1;
// style.md, Caddy lifecycle).
//
// What remains is the hand-over of Caddy's servers: each reload starts a new one
// beside the old one, on a socket of its own (SO_REUSEPORT), and then shuts the old
// one down. Of that no request is answered by an error, but some are not answered
// on the connection on which they were sent:
//   - On one that was kept: it is closed, and a request can cross that. Every HTTP
//     server does so; clients make the request again.
//   - On a new one that the old server has accepted, and whose first request comes
//     when it is shutting down: net/http closes it unanswered (conn.serve).
//   - On a new one that the old socket has not accepted yet: the kernel resets it,
//     unless net.ipv4.tcp_migrate_req is 1.
//
// None of them is the edge's own doing, and all of them a client may ask once more
// (RFC 9110 §9.2.2). They are counted; asked once more, every one must be answered.
func TestScenario09ReloadUnderLoad(t *testing.T) {
	const reloads = 50
	s := newStudio(t)
	streams := []edge.Stream{
		s.stream("s09-gop2", origin.Recipe{}, origin.Options{}),
		s.stream("s09-other", origin.Recipe{GOP: time.Second}, origin.Options{}),
		edge.Copy("s09-test", "test:"),
	}
	config := edge.Config{Streams: streams}
	n := edge.Start(t, config)
	n.AwaitLive(30 * time.Second)
	pids := streamPIDs(n)
	goroutines, files := n.Goroutines(), n.FDs()

	var audited []*again
	watch := startAuditThrough(t, n, func(r http.RoundTripper) http.RoundTripper {
		audited = append(audited, &again{RoundTripper: r})
		return audited[len(audited)-1]
	}, ids(streams)...)
	sights := observe(t, n, streams)
	awaitDelivered(t, sights, 2)
	l := startStubbornLoad(t, 300, audience(t, n, streams, sights))
	counters := n.Metrics()
	took := figures{name: "reload"}
	for i := range reloads {
		config.Site = []string{fmt.Sprintf("respond /generation %d", i)}
		began := time.Now()
		if err := n.Reload(config); err != nil {
			t.Fatal(err)
		}
		took.add(time.Since(began))
		edge.Await(t, 5*time.Second, "the new configuration to answer", func() bool {
			_, body, err := edge.Get(t.Context(), "http://"+n.Address()+"/generation")
			return err == nil && string(body) == fmt.Sprint(i)
		})
		if got := streamPIDs(n); !maps.Equal(got, pids) {
			t.Fatalf("reload %d changed the children from %v to %v", i, pids, got)
		}
		now := n.Metrics()
		monotonic(t, counters, now)
		counters = now
		time.Sleep(250 * time.Millisecond) // the pace of the reloads
	}

	rejected(t, n, config, pids)
	changeOne(t, n, config, watch, pids)

	report := l.stop()
	for _, o := range sights {
		o.Stop()
		statuses, _ := o.Statuses()
		if delete(statuses, http.StatusOK); len(statuses) > 0 {
			t.Errorf("got statuses %v for playlists, want 200 only", statuses)
		}
	}
	watch.finish()
	http.DefaultClient.CloseIdleConnections()
	crossed := 0
	for _, a := range audited {
		crossed += int(a.count.Load())
	}
	t.Logf("figures: %v; load %v; auditors made %d again", &took, report, crossed)
	settled(t, n, goroutines, files)
	t.Logf("figures: goroutines %d before, %d after; files %d before, %d after", goroutines, n.Goroutines(), files, n.FDs())
	if report.others() > 0 {
		t.Errorf("got statuses %v, want 200 only", report.statuses)
	}
	if len(report.broken) > 0 {
		t.Errorf("%d requests were not answered even when made again; the first: %v", len(report.broken), report.broken[0].err)
	}
	if most := 2 * reloads; report.fresh > most {
		t.Errorf("%d requests were not answered on a new connection, want at most %d, two for each reload", report.fresh, most)
	}
}

// streamPIDs are the children by stream.
func streamPIDs(n *edge.Node) map[string]int {
	pids := make(map[string]int)
	for id, s := range n.Streams() {
		pids[id] = s.PID
	}
	return pids
}

// monotonic checks that no counter of ours went back or away.
func monotonic(t *testing.T, before, after edge.Metrics) {
	t.Helper()
	for name, was := range before {
		if !strings.HasPrefix(name, "headrace_") || !strings.Contains(name, "_total") {
			continue
		}
		if now, there := after[name]; !there || now < was {
			t.Errorf("counter %s went from %g to %g (there: %v)", name, was, now, there)
		}
	}
}

// rejected loads configurations that cannot be: none may change anything.
func rejected(t *testing.T, n *edge.Node, good edge.Config, pids map[string]int) {
	t.Helper()
	bad := map[string]func(c *edge.Config){
		"an unknown option": func(c *edge.Config) { c.Options = []string{"colour green"} },
		"a stream too many": func(c *edge.Config) { c.Options = []string{"capacity {\n\t\t\tstreams 1\n\t\t}"} },
		"a key without its file": func(c *edge.Config) {
			c.Options = []string{"key r2 k1 {\n\t\t\tsecret_file /nonexistent/key\n\t\t}"}
		},
		"another state folder":        func(c *edge.Config) { c.State = n.Folder() + "/elsewhere" },
		"an address that is not ours": func(c *edge.Config) { c.Site = []string{"bind 203.0.113.1"} },
	}
	for name, spoil := range bad {
		c := good
		spoil(&c)
		if err := n.Reload(c); err == nil {
			t.Errorf("%s: got no error, want a refusal", name)
		}
		if got := streamPIDs(n); !maps.Equal(got, pids) {
			t.Errorf("%s: a refused configuration changed the children from %v to %v", name, pids, got)
		}
	}
}

// changeOne gives one stream a backup source: its child is replaced, at a seam and
// without a hole, and no other.
func changeOne(t *testing.T, n *edge.Node, c edge.Config, watch *audit, pids map[string]int) {
	t.Helper()
	c.Streams = slices.Clone(c.Streams)
	changed := &c.Streams[1]
	changed.Sources = append(slices.Clone(changed.Sources), "test:")
	watch.expect(changed.ID, "changed configuration", 6*time.Second)
	if err := n.Reload(c); err != nil {
		t.Fatal(err)
	}
	edge.Await(t, 30*time.Second, "the changed stream's new child", func() bool {
		return n.Streams()[changed.ID].PID != pids[changed.ID]
	})
	sights := observe(t, n, c.Streams)
	awaitDelivered(t, sights, 2)
	for _, o := range sights {
		o.Stop()
	}
	for id, pid := range streamPIDs(n) {
		if id != changed.ID && pid != pids[id] {
			t.Errorf("stream %s, which did not change, has child %d, had %d", id, pid, pids[id])
		}
	}
}

// settled waits until goroutines and files are what they were, within 5 % and one.
func settled(t *testing.T, n *edge.Node, goroutines, files int) {
	t.Helper()
	within := func(got, want int) bool { return float64(got) <= float64(want)*1.05+1 }
	deadline := time.Now().Add(30 * time.Second)
	for ; ; time.Sleep(100 * time.Millisecond) {
		now, open := n.Goroutines(), n.FDs()
		if within(now, goroutines) && within(open, files) {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("got %d goroutines and %d files, want the %d and %d of before", now, open, goroutines, files)
			return
		}
	}
}
