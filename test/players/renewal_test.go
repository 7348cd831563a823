package players

import (
	"fmt"
	"testing"
	"time"

	"github.com/headrace/headrace/test/control"
	"github.com/headrace/headrace/test/edge"
)

// TestPageRenewsItsToken plays longer than any token lives: the page comes in by the
// entry URL, and gets a new token before the old one ends. Nothing is to be seen of it.
func TestPageRenewsItsToken(t *testing.T) {
	const life = 60 * time.Second // the shortest session of a plan
	c := control.Start(t, control.Config{})
	root := pageFolder(t)
	node := edge.New(t, edge.Config{Site: []string{"root " + root, "file_server"}})
	node.Join(c.URL(), c.Edge("edge-1", "http://"+node.Address()))
	c.Stream("bars")
	m := c.Open("bars")
	c.Must("PATCH", "/v1/plans/plan", map[string]any{"session_seconds": life.Seconds()}, nil)
	node.Launch()
	node.AwaitStreams(time.Minute, "bars")
	const window = 8
	first := node.Stream("bars").LastMSN
	edge.Await(t, time.Minute, "a window", func() bool { return node.Stream("bars").LastMSN >= first+window })
	writeEntries(t, root, []entry{{"bars", fmt.Sprintf("%s/play/bars?key=%s", c.URL(), m.PlayKey)}})

	length := life + 10*time.Second
	if edge.Thorough() {
		length = 4 * life
	}
	h := open(t, "http://"+node.Address()+"/", "bars", length).wait()
	if h.Played < length.Seconds()-2 || h.Stalls != 0 || h.FatalErrors != 0 || !h.Playing {
		t.Errorf("played %.1f s of %v with %d stalls and %d fatal errors, want all of it with none", h.Played, length, h.Stalls, h.FatalErrors)
	}
	if h.Renewals == 0 {
		t.Error("the token was never renewed")
	}
}
