package faults

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// neighbour is the healthy stream that must not notice what happens to the others.
const neighbour = "healthy"

// jitter is how far an ordinary segment of the neighbour may come from its time.
const jitter = 250 * time.Millisecond

// badSource is a source that cannot be played from the start.
type badSource struct {
	id      string
	source  string
	reasons []ingest.Reason // one of them must be given
}

// TestBadSourceFromTheStart checks that a stream whose source cannot be played says
// why, publishes nothing, answers players by 503 after three target durations,
// and disturbs nobody (issue: Bad input and faults).
func TestBadSourceFromTheStart(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	bad := func(name string, act func(*origin.Feed)) string {
		f := s.feed(name, origin.Recipe{}, origin.Options{})
		act(f)
		return s.URL(f)
	}
	sources := []badSource{
		{"absent", bad("absent", (*origin.Feed).Stop), []ingest.Reason{ingest.ReasonSourceStatus}},
		{"nobody-listens", "http://" + closedPort(t) + "/live.ts", []ingest.Reason{ingest.ReasonSourceUnreachable}},
		{
			"refused", bad("refused", func(f *origin.Feed) { f.Answer(http.StatusForbidden, "text/plain", "no") }),
			[]ingest.Reason{ingest.ReasonSourceRefused},
		},
		{
			"broken", bad("broken", func(f *origin.Feed) { f.Answer(http.StatusInternalServerError, "text/plain", "oops") }),
			[]ingest.Reason{ingest.ReasonSourceStatus},
		},
		{
			"page", bad("page", func(f *origin.Feed) { f.Answer(http.StatusOK, "text/html", "<!doctype html><title>no media</title>") }),
			[]ingest.Reason{ingest.ReasonSourceInvalid},
		},
		{"noise", bad("noise", (*origin.Feed).Garble), []ingest.Reason{ingest.ReasonSourceInvalid, ingest.ReasonNoOutput}},
		{"silent", bad("silent", (*origin.Feed).Hang), []ingest.Reason{ingest.ReasonSourceTimeout, ingest.ReasonNoOutput, ingest.ReasonSourceInvalid}},
	}
	streams := []edge.Stream{s.stream(neighbour, origin.Recipe{}, origin.Options{})}
	for _, b := range sources {
		streams = append(streams, edge.Copy(b.id, b.source))
	}
	n := edge.Start(t, edge.Config{Streams: streams})
	n.AwaitState(30*time.Second, neighbour, ingest.StateLive)
	watch := startAudit(t, n, neighbour)
	beat := startCadence(t, n, neighbour)

	for _, b := range sources {
		var got ingest.Status
		// On a machine that is busy with other tests, a child may first be ended because
		// it did not get to say anything.
		edge.Await(t, time.Minute, fmt.Sprintf("stream %s to tell one of %q", b.id, b.reasons), func() bool {
			got = n.Stream(b.id)
			return slices.Contains(b.reasons, got.Reason) && (got.State == ingest.StateWaiting || got.State == ingest.StateFailed || got.State == ingest.StateStarting)
		})
		if got.LastMSN != 0 || got.Restarts[got.Reason] == 0 {
			t.Errorf("stream %s: got last number %d, restarts %v; want nothing published and the reason counted", b.id, got.LastMSN, got.Restarts)
		}
	}
	notYet(t, n, "absent")
	beat.judge(t)
	boundedMemory(t, n)
	watch.finish()
}

// notYet checks the answer for a stream that has no segment: after a wait, come again.
func notYet(t *testing.T, n *edge.Node, stream string) {
	t.Helper()
	const most = 3 * 4 * time.Second // TARGETDURATION is ceil(2 s + 2 s)
	began := time.Now()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.PlaylistURL(stream), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if took := time.Since(began); took < most-time.Second || took > most+time.Second {
		t.Errorf("a playlist without segments was answered after %v, want %v", took, most)
	}
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a playlist without segments: got status %d with Retry-After %q, want 503 with one", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
}

// wayward is a source that plays and then goes wrong.
type wayward struct {
	id     string
	breaks func(f *origin.Feed)
	mend   func(f *origin.Feed) // nil: it plays again by itself
	want   []ingest.Reason      // for its restart or its state; empty: none is needed
	state  []ingest.State       // one that it must pass through; empty: any
	hole   time.Duration        // budget from the fault, or from the mending, to a new segment
}

// TestSourceGoesWrong checks that a stream whose source fails while it plays says
// why, goes on when the source does, marks the seam by a discontinuity, keeps all
// rules of its playlist, and disturbs nobody (issue: Bad input and faults).
func TestSourceGoesWrong(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	usual := s.loop(origin.Recipe{})
	play := func(r origin.Recipe) func(*origin.Feed) {
		loop := s.loop(r)
		return func(f *origin.Feed) { f.Play(loop) }
	}
	cases := []wayward{
		{
			// Mended within a second or two: after five failed starts it would be
			// tried only once a minute.
			id: "stops", breaks: (*origin.Feed).Stop, mend: (*origin.Feed).Heal,
			want:  []ingest.Reason{ingest.ReasonSourceEnded, ingest.ReasonSourceStatus},
			state: []ingest.State{ingest.StateWaiting, ingest.StateStarting}, hole: 8 * time.Second,
		},
		{
			id: "hangs", breaks: (*origin.Feed).Hang, mend: (*origin.Feed).Heal,
			want: []ingest.Reason{ingest.ReasonStalled}, hole: 16 * time.Second,
		},
		{
			id: "garbles", breaks: (*origin.Feed).Garble, mend: (*origin.Feed).Heal,
			want: []ingest.Reason{ingest.ReasonStalled, ingest.ReasonFrozen, ingest.ReasonSourceInvalid, ingest.ReasonNoSegment}, hole: 16 * time.Second,
		},
		{
			id: "no-keyframes", breaks: play(origin.Recipe{GOP: origin.Duration}), mend: func(f *origin.Feed) { f.Play(usual) },
			want: []ingest.Reason{ingest.ReasonNoKeyframe}, state: []ingest.State{ingest.StateNoKeyframe}, hole: 10 * time.Second,
		},
		{id: "resolution", breaks: play(origin.Recipe{Height: 240}), hole: 8 * time.Second},
		{id: "codec", breaks: play(origin.Recipe{Video: origin.HEVC, Audio: origin.MP2}), hole: 20 * time.Second},
		{id: "sound-alone", breaks: play(origin.Recipe{Video: origin.None}), hole: 20 * time.Second},
		{id: "jump-ahead", breaks: func(f *origin.Feed) { f.Jump(time.Hour) }, hole: 20 * time.Second},
		{id: "jump-back", breaks: func(f *origin.Feed) { f.Jump(-10 * time.Minute) }, hole: 20 * time.Second},
	}
	streams := []edge.Stream{s.stream(neighbour, origin.Recipe{}, origin.Options{})}
	feeds := make([]*origin.Feed, len(cases))
	for i, c := range cases {
		feeds[i] = s.feed(c.id, origin.Recipe{}, origin.Options{})
		streams = append(streams, edge.Copy(c.id, s.URL(feeds[i])))
	}
	n := edge.Start(t, edge.Config{Streams: streams})
	n.AwaitLive(60 * time.Second)
	watch := startAudit(t, n, ids(streams)...)
	beat := startCadence(t, n, neighbour)
	sights := observe(t, n, streams)[1:]
	awaitDelivered(t, sights, 2)

	before, since := make([]edge.Sight, len(cases)), make([]time.Time, len(cases))
	for i, c := range cases {
		before[i], since[i] = sights[i].Last(), time.Now()
		watch.expect(c.id, c.id, time.Minute)
		c.breaks(feeds[i])
	}
	for i, c := range cases {
		if len(c.want) > 0 {
			awaitReason(t, n, c)
		}
		if c.mend != nil {
			since[i] = time.Now()
			c.mend(feeds[i])
		}
	}
	var well []*edge.Observer
	for i, c := range cases {
		seen, err := sights[i].Beyond(40*time.Second, before[i].Discontinuity)
		status := n.Stream(c.id)
		if err != nil {
			t.Errorf("stream %s: %v; state %s, reason %q, restarts %v, FFmpeg said %v", c.id, err, status.State, status.Reason, status.Restarts, status.Log)
			continue
		}
		well = append(well, sights[i])
		took := seen.At.Sub(since[i])
		t.Logf("figures: %s: %v until a new segment, restarts %v, lost %v", c.id, took.Round(time.Millisecond), status.Restarts, status.Void)
		if took > c.hole {
			t.Errorf("stream %s: a new segment came after %v, want at most %v", c.id, took, c.hole)
		}
	}
	awaitDelivered(t, well, 2)
	checkMedia(t, n)
	noServerErrors(t, sights)
	beat.judge(t)
	boundedMemory(t, n)
	watch.finish()
}

// awaitReason waits until the stream names one of the wanted reasons, in its state
// or in its count of restarts, and has been in the wanted state.
func awaitReason(t *testing.T, n *edge.Node, c wayward) {
	t.Helper()
	passed := c.state == nil
	edge.Await(t, 40*time.Second, fmt.Sprintf("stream %s to name one of %q, in one of the states %q", c.id, c.want, c.state), func() bool {
		got := n.Stream(c.id)
		passed = passed || slices.Contains(c.state, got.State)
		return passed && slices.ContainsFunc(c.want, func(r ingest.Reason) bool { return got.Reason == r || got.Restarts[r] > 0 })
	})
}

// checkMedia checks that the new resolution and the new codecs are announced.
func checkMedia(t *testing.T, n *edge.Node) {
	t.Helper()
	now := n.Streams()
	for _, want := range []struct {
		id     string
		codecs string
		height int
	}{
		{"resolution", "avc1", 240},
		{"codec", "hvc1", 180},
		{"sound-alone", "mp4a", 0},
	} {
		r := now[want.id].Renditions[0]
		if r.Height != want.height || len(r.Codecs) < 4 || r.Codecs[:4] != want.codecs {
			t.Errorf("stream %s: got %q in %d lines, want %s in %d", want.id, r.Codecs, r.Height, want.codecs, want.height)
		}
	}
}

// TestUnusualSourcesPlay checks sources that are sound, but not like the others:
// they play without a broken rule, and without a restart.
func TestUnusualSourcesPlay(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	sound := s.feed("sound", origin.Recipe{Video: origin.None}, origin.Options{})
	short := s.feed("hls2", origin.Recipe{}, origin.Options{})
	long := s.feed("hls6", origin.Recipe{}, origin.Options{})
	// The stamps wrap 20 s from now.
	wrap := s.feed("wrap", origin.Recipe{}, origin.Options{Base: origin.WrapsAt - origin.History - 20*time.Second})
	gop := s.feed("gop8", origin.Recipe{GOP: 8 * time.Second}, origin.Options{Live: true})
	streams := []edge.Stream{
		edge.Copy("sound", s.URL(sound)),
		edge.Copy("hls2", s.PlaylistURL(short, 2*time.Second)),
		edge.Copy("hls6", s.PlaylistURL(long, 6*time.Second)),
		edge.Copy("wrap", s.URL(wrap)),
		edge.Copy("gop8", s.URL(gop)).With("longest_gop 8s", "window 15"),
	}
	n := edge.Start(t, edge.Config{Streams: streams})
	began := time.Now()
	for _, stream := range streams {
		edge.Await(t, time.Minute, "stream "+stream.ID+" to be live", func() bool { return n.Streams()[stream.ID].LastMSN > 0 })
		t.Logf("figures: %s is live after %v", stream.ID, time.Since(began).Round(time.Millisecond))
	}
	watch := startAudit(t, n, ids(streams)...)
	sights := observe(t, n, streams)
	// Ten segments of 2 s: past the wrap.
	awaitDelivered(t, sights[:4], 10)
	awaitDelivered(t, sights[4:], 1)
	for id, status := range n.Streams() {
		if len(status.Restarts) > 0 {
			t.Errorf("stream %s: got restarts %v, want none; FFmpeg said %v", id, status.Restarts, n.Stream(id).Log)
		}
	}
	watch.finish()
}

// TestFileThatEndsIsReadAgain checks a source that is a file: it is played at the
// pace of time, its end is a restart with the reason source_ended, and the
// numbering goes on.
func TestFileThatEndsIsReadAgain(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	streams := []edge.Stream{edge.Copy("file", s.FileURL(s.feed("file", origin.Recipe{}, origin.Options{})))}
	n := edge.Start(t, edge.Config{Streams: streams})
	n.AwaitLive(30 * time.Second)
	sights := observe(t, n, streams)
	watch := startAudit(t, n, "file")
	watch.expect("file", "end of file", time.Minute)
	if _, err := sights[0].Beyond(time.Minute, sights[0].Last().Discontinuity); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(n.Started()); took < origin.Duration-4*time.Second {
		t.Errorf("a file of %v was played in %v", origin.Duration, took)
	}
	if got := n.Stream("file").Restarts; got[ingest.ReasonSourceEnded] == 0 || len(got) > 1 {
		t.Errorf("got restarts %v, want only %q", got, ingest.ReasonSourceEnded)
	}
	awaitDelivered(t, sights, 1)
}

// closedPort is an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// boundedMemory compares the edge's memory with the budget: ring bytes × 1.25 + 100 MB.
func boundedMemory(t *testing.T, n *edge.Node) {
	t.Helper()
	rings := n.Metrics().Sum("headrace_ring_bytes")
	rss, budget := n.RSS(), int64(rings*1.25)+100e6
	t.Logf("figures: RSS %d MB, rings %.0f MB, budget %d MB", rss/1e6, rings/1e6, budget/1e6)
	if rss > budget {
		t.Errorf("the edge takes %d bytes, want at most %d with %.0f bytes in rings", rss, budget, rings)
	}
}

// cadence is how regularly a stream's segments come.
type cadence struct {
	observer *edge.Observer
	stop     chan struct{}
	stopped  chan figures
}

// startCadence measures, until it is judged, how far each new segment comes from
// two seconds after the one before.
func startCadence(t *testing.T, n *edge.Node, stream string) *cadence {
	t.Helper()
	c := &cadence{observer: edge.Observe(t, n.PlaylistURL(stream)), stop: make(chan struct{}), stopped: make(chan figures, 1)}
	go c.run()
	return c
}

func (c *cadence) run() {
	off := figures{name: "jitter of the neighbour's segments"}
	var last edge.Sight
	for {
		seen, err := c.observer.NewerThan(10*time.Second, last.MSN)
		select {
		case <-c.stop:
			c.stopped <- off
			return
		default:
		}
		switch {
		case err != nil:
			off.add(10 * time.Second)
		case last.MSN > 0:
			off.add((seen.At.Sub(last.At) - time.Duration(seen.MSN-last.MSN)*2*time.Second).Abs())
		}
		if err == nil {
			last = seen
		}
	}
}

// end gives what was measured.
func (c *cadence) end() figures {
	close(c.stop)
	return <-c.stopped
}

func (c *cadence) judge(t *testing.T) {
	t.Helper()
	off := c.end()
	t.Logf("figures: %v", &off)
	if len(off.times) == 0 {
		t.Error("the neighbour had no segments to judge")
	}
	// The worst of a dozen segments are the machine's. The auditor judges each of them.
	off.judge(t, 0.5, jitter)
}
