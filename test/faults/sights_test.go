package faults

import (
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
)

func ids(streams []edge.Stream) []string {
	names := make([]string, len(streams))
	for i, s := range streams {
		names[i] = s.ID
	}
	return names
}

// observe watches the streams' playlists, in their order.
func observe(t *testing.T, n *edge.Node, streams []edge.Stream) []*edge.Observer {
	t.Helper()
	observers := make([]*edge.Observer, len(streams))
	for i, s := range streams {
		observers[i] = edge.Observe(t, n.PlaylistURL(s.ID))
	}
	for _, o := range observers {
		if _, err := o.NewerThan(15*time.Second, 0); err != nil {
			t.Fatal(err)
		}
	}
	return observers
}

// awaitDelivered waits until each has so many segments more.
func awaitDelivered(t *testing.T, observers []*edge.Observer, segments int64) {
	t.Helper()
	from := make([]int64, len(observers))
	for i, o := range observers {
		from[i] = o.Last().MSN
	}
	for i, o := range observers {
		if _, err := o.NewerThan(30*time.Second, from[i]+segments-1); err != nil {
			t.Fatal(err)
		}
	}
}

// kill sends a signal to a process that an edge told us of.
func kill(t *testing.T, pid int, signal syscall.Signal) edge.Child {
	t.Helper()
	child, ok := edge.Find(pid)
	if !ok {
		t.Fatalf("process %d, which the edge names as its own, does not run", pid)
	}
	if err := child.Signal(signal); err != nil {
		t.Fatal(err)
	}
	return child
}

// noServerErrors fails for each request that did not get a playlist.
func noServerErrors(t *testing.T, observers []*edge.Observer) {
	t.Helper()
	for _, o := range observers {
		statuses, failed := o.Statuses()
		delete(statuses, 200)
		if len(statuses) > 0 || failed > 0 {
			t.Errorf("playlist requests: %d failed, statuses besides 200: %v; want none", failed, statuses)
		}
	}
}
