package faults

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/ingest/playlist"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// TestScenario08KillEdge checks the promises for an edge without a control plane
// that crashes and is started again (design.md, Budgets: checks tokens ≤ 1.5 s
// after exec, first playlist ≤ 3.5 s, a playlist request waits meanwhile;
// Numbering: a cold start never goes back; processes.md §4: no orphan survives).
func TestScenario08KillEdge(t *testing.T) {
	rounds := 10
	if edge.Thorough() {
		rounds = 20
	}
	s := newStudio(t)
	mine := fmt.Sprintf("s08-%d-", os.Getpid()) // no other test's streams are called so
	streams := []edge.Stream{
		s.stream(mine+"gop2", origin.Recipe{}, origin.Options{}),
		s.stream(mine+"large", origin.Recipe{Bitrate: 3_000_000, Height: 360}, origin.Options{}),
		edge.Copy(mine+"test", "test:"),
	}
	n := edge.Start(t, edge.Config{Streams: streams})
	n.AwaitLive(30 * time.Second)
	watch := startAudit(t, n, ids(streams)...)
	for _, stream := range streams {
		await200(t, n, n.PlaylistURL(stream.ID))
	}
	serving := figures{name: "exec → checks tokens"}
	first := figures{name: "exec → first playlist"}
	orphans := 0
	last := make(map[string]int64)

	for round := range rounds {
		for _, stream := range streams {
			last[stream.ID] = n.Streams()[stream.ID].LastMSN
		}
		children := n.Children()
		if len(children) != len(streams) {
			t.Errorf("life %d: got %d child processes, want one for each of %d streams", round, len(children), len(streams))
		}
		for _, a := range watch.auditors {
			a.ExpectColdRestart()
			a.Expect("kill -9 of the edge", 8*time.Second)
		}
		n.Signal(syscall.SIGKILL)
		_ = n.AwaitExit(10 * time.Second)
		n.Launch()
		players := make([]chan firstAnswer, len(streams))
		for i, stream := range streams {
			players[i] = make(chan firstAnswer, 1)
			go func() { players[i] <- askUntilAnswered(t.Context(), n.PlaylistURL(stream.ID)) }()
		}
		serving.add(n.AwaitServing())
		edge.Await(t, 10*time.Second, "the children of the crashed edge to be gone", func() bool {
			return time.Since(n.Started()) > time.Second || !anyAlive(children)
		})
		for _, c := range children {
			if c.Alive() {
				orphans++
			}
		}
		for i, stream := range streams {
			a := <-players[i]
			media, err := playlist.ParseMedia(a.body)
			if a.err != nil || a.status != http.StatusOK || err != nil || len(media.Segments) == 0 {
				t.Errorf("stream %s, life %d: the first answer to a player came %v after exec: %v, status %d, %q; want a playlist",
					stream.ID, round+1, a.at.Sub(n.Started()).Round(time.Millisecond), a.err, a.status, a.body)
				await200(t, n, n.PlaylistURL(stream.ID))
				continue
			}
			first.add(a.at.Sub(n.Started()))
			if msn := media.MediaSequence; msn <= last[stream.ID] {
				t.Errorf("stream %s: numbers went from %d to %d over restart %d", stream.ID, last[stream.ID], msn, round)
			}
		}
		if round%5 == 4 { // a longer life now and then
			awaitDelivered(t, observe(t, n, streams), 2)
		}
	}

	n.AwaitLive(30 * time.Second)
	if got, want := len(n.Mentioning(mine)), len(streams); got != want {
		t.Errorf("got %d processes that make the streams, want %d", got, want)
	}
	if orphans > 0 {
		t.Errorf("got %d orphans a second after the start, want none", orphans)
	}
	t.Logf("figures: %v; %v; %d orphans", &serving, &first, orphans)
	for f, budget := range map[*figures]time.Duration{&serving: 1500 * time.Millisecond, &first: 3500 * time.Millisecond} {
		f.judge(t, 0.95, budget)
		f.judge(t, 1, 2*budget) // a machine that has other work
	}
}

// firstAnswer is what a player gets that tries again while nobody listens.
type firstAnswer struct {
	status int
	body   []byte
	err    error
	at     time.Time
}

// askUntilAnswered asks for a playlist until there is any answer over HTTP. Only a
// connection that is refused or reset is tried again: a player that gets a 5xx
// gives up.
func askUntilAnswered(ctx context.Context, url string) firstAnswer {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		status, body, err := edge.Get(ctx, url)
		if err == nil || ctx.Err() != nil {
			return firstAnswer{status, body, err, time.Now()}
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// await200 waits until a media playlist is there.
func await200(t *testing.T, n *edge.Node, url string) {
	t.Helper()
	edge.Await(t, 30*time.Second, "a playlist", func() bool {
		status, _, err := edge.Get(t.Context(), url)
		return err == nil && status == http.StatusOK
	})
}

func anyAlive(children []edge.Child) bool {
	for _, c := range children {
		if c.Alive() {
			return true
		}
	}
	return false
}
