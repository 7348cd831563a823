package ingest

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/playlist"
	"github.com/headrace/headrace/ingest/source"
)

func newEngine(t *testing.T, dir string) *Engine {
	t.Helper()
	e, err := New(Options{StateDir: dir, Logger: zaptest.NewLogger(t), StartsPerSecond: 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func spec(t *testing.T, id string, sources ...string) StreamSpec {
	t.Helper()
	s := StreamSpec{
		ID: id, SegmentDuration: time.Second, LongestGOP: time.Second, Window: 6,
		Renditions: []ffmpeg.Rendition{{Name: "low", Height: 90, VideoBitrate: 100_000, AudioBitrate: 32_000}},
	}
	for _, text := range sources {
		src, err := source.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		s.Sources = append(s.Sources, src)
	}
	return s
}

func waitFor(t *testing.T, s *Stream, msn int64) *View {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	v, err := s.Wait(ctx, msn)
	if err != nil {
		t.Fatalf("waiting for segment %d: %v; the stream is %+v", msn, err, s.Status())
	}
	return v
}

func TestStreamPlays(t *testing.T) {
	e := newEngine(t, t.TempDir())
	ladder := spec(t, "ladder", "test:")
	ladder.Renditions = append([]ffmpeg.Rendition{{Name: "high", Height: 180, VideoBitrate: 300_000, AudioBitrate: 64_000}}, ladder.Renditions...)
	if err := e.Apply([]StreamSpec{ladder}); err != nil {
		t.Fatal(err)
	}
	s := e.Lookup("ladder")
	first := waitFor(t, s, 0).LastMSN()
	if clock := time.Now().Unix(); first > clock || first < clock-10 {
		t.Errorf("got first number %d, want floor(UTC / T), which is about %d", first, clock)
	}
	v := waitFor(t, s, first+2)
	for _, r := range v.Renditions() {
		m, err := playlist.ParseMedia(r.Playlist.Plain)
		if err != nil {
			t.Fatalf("rendition %s: %v\n%s", r.Name, err, r.Playlist.Plain)
		}
		if m.MediaSequence != first || len(m.Segments) < 3 || m.TargetDuration != 2 {
			t.Errorf("rendition %s: got a list from %d with %d segments and target duration %d", r.Name, m.MediaSequence, len(m.Segments), m.TargetDuration)
		}
		seg := r.Segment(first + 1)
		if seg == nil {
			t.Fatalf("rendition %s: segment %d is listed and not there", r.Name, first+1)
		}
		if b := seg.Bytes(); len(b) == 0 || len(b)%188 != 0 || b[0] != 0x47 {
			t.Errorf("rendition %s: segment of %d bytes is no transport stream", r.Name, len(b))
		}
		seg.Release()
	}
	mv, err := playlist.ParseMultivariant(v.Multivariant().Plain)
	if err != nil || len(mv.Variants) != 2 {
		t.Fatalf("got %v, %v, want two variants", mv, err)
	}
	if mv.Variants[0].Height != 180 || mv.Variants[0].FrameRate != 25 || mv.Variants[0].Bandwidth == 0 || mv.Variants[0].Codecs == "" {
		t.Errorf("got %+v, want what the bitstream holds", mv.Variants[0])
	}
	if st := s.Status(); st.State != StateLive || st.PID == 0 || st.LastMSN < first+2 {
		t.Errorf("got %+v, want a live stream", st)
	}
}
