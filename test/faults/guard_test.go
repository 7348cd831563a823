package faults

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// TestGuardFollowsReload checks that what is allowed changes with a reload, for
// connections made after it, and that a source's secrets are nowhere to be seen.
func TestGuardFollowsReload(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	feed := s.feed("guarded", origin.Recipe{}, origin.Options{})
	playlist := strings.Replace(s.PlaylistURL(feed, 2*time.Second), "http://", "http://u:hunter2@", 1) + "?key=hunter2"
	config := edge.Config{Streams: []edge.Stream{edge.Copy("guarded", playlist)}, Guard: []string{"allow 10.0.0.0/8"}}
	n := edge.Start(t, config)
	got := n.AwaitReason(30*time.Second, "guarded", ingest.ReasonSourceForbidden)
	if last := got.Log[len(got.Log)-1].Text; !strings.Contains(last, "loopback") || !strings.Contains(last, "guard { allow") {
		t.Errorf("got %q, want the kind of address and the remedy", last)
	}

	config.Guard = []string{"allow 10.0.0.0/8", "allow 127.0.0.1"}
	if err := n.Reload(config); err != nil {
		t.Fatal(err)
	}
	n.AwaitState(90*time.Second, "guarded", ingest.StateLive) // the backoff may be long by now
	pid := n.Stream("guarded").PID
	for _, name := range []string{"cmdline", "status"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("hunter2")) || bytes.Contains(b, []byte(s.Address())) {
			t.Errorf("%s of FFmpeg tells where the source is: %q", name, b)
		}
	}

	config.Guard = []string{}
	if err := n.Reload(config); err != nil {
		t.Fatal(err)
	}
	if n.Stream("guarded").PID != pid {
		t.Error("a reload of the guard restarted FFmpeg")
	}
	kill(t, pid, syscall.SIGKILL) // the next one needs new connections
	edge.Await(t, 60*time.Second, "the stream to be refused again", func() bool {
		return n.Stream("guarded").Restarts[ingest.ReasonSourceForbidden] > got.Restarts[ingest.ReasonSourceForbidden]
	})
	if shown := n.Admin("GET", "/edge/streams/guarded"); bytes.Contains(shown, []byte("hunter2")) {
		t.Errorf("the status tells the secret: %s", shown)
	}
	if bytes.Contains(n.Log(), []byte("hunter2")) {
		t.Error("the log tells the secret")
	}
}
