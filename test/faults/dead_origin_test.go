package faults

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// originStreamsVariable is the number of streams on the dead origin; the promise
// speaks of 200, which take more memory than some machines have.
const originStreamsVariable = "HEADRACE_ORIGIN_STREAMS"

// TestDeadOrigin checks that streams of one origin that is away do not storm it: at
// most 2 starts a second and core while it is away, and when it is back, those
// that have viewers are on air within 10 s, and all within 60 s.
func TestDeadOrigin(t *testing.T) {
	const watched = 8
	streams := 30
	if text := os.Getenv(originStreamsVariable); text != "" {
		var err error
		if streams, err = strconv.Atoi(text); err != nil || streams < watched {
			t.Fatalf("%s=%q: give a number of streams, at least %d", originStreamsVariable, text, watched)
		}
	}
	s := newStudio(t)
	var all []edge.Stream
	for i := range streams {
		// Pictures only: what a stream costs the machine is not what is measured.
		all = append(all, s.stream(fmt.Sprintf("s-%03d", i), origin.Recipe{Bitrate: 60_000, Height: 90, Audio: origin.None}, origin.Options{}))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	n := edge.Start(t, edge.Config{Streams: all})
	// The last ones in the order, which would be the last to start.
	var sights []*edge.Observer
	for _, stream := range all[len(all)-watched:] {
		viewer := edge.Claims(stream.ID)
		viewer.Session = stream.ID // each stream has a viewer of its own
		sights = append(sights, edge.Observe(t, fmt.Sprintf("http://%s/live/%s/%s/%s/index.m3u8", n.Address(), n.Mint(viewer), stream.ID, edge.Rendition)))
	}
	rate := startRate(n, 20*time.Second)
	down := 0
	for _, st := range n.Streams() {
		if st.Reason == ingest.ReasonOriginDown {
			down++
		}
	}
	if down < streams/2 {
		t.Errorf("%d of %d streams wait for the origin, want most", down, streams)
	}
	rate.judge(t)

	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	first := figures{name: "watched streams back"}
	for _, o := range sights {
		seen, err := o.NewerThan(time.Minute, 0)
		if err != nil {
			t.Fatal(err)
		}
		first.add(seen.At.Sub(back))
	}
	var looked time.Time
	edge.Await(t, 2*time.Minute, "all streams to be live", func() bool {
		// To tell of 200 streams many times a second would keep the edge from starting them.
		if time.Since(looked) < time.Second {
			return false
		}
		looked = time.Now()
		for _, st := range n.Streams() {
			if st.State != ingest.StateLive {
				return false
			}
		}
		return true
	})
	took := time.Since(back)
	t.Logf("figures: %d streams; origin away: %.0f starts in 20 s, at most %.1f in a second; %v; all back after %v", streams, rate.all, rate.most, &first, took.Round(time.Millisecond))
	first.judge(t, 1, 10*time.Second)
	if took > time.Minute {
		t.Errorf("all streams were back after %v, want at most 60 s", took)
	}
}
