package ingest

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"
)

// counting counts the starts of children.
type counting struct {
	NopMetrics
	starts atomic.Int64
}

func (c *counting) Started(string) { c.starts.Add(1) }

func TestOnDemand(t *testing.T) {
	starts := new(counting)
	var viewers atomic.Int64
	e, err := New(Options{
		StateDir: t.TempDir(), Logger: zaptest.NewLogger(t), StartsPerSecond: 20, Metrics: starts,
		Viewers: func(string) int { return int(viewers.Load()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	quiet := spec(t, "quiet", "test:")
	quiet.IdleAfter = 2 * time.Second
	if err := e.Apply([]StreamSpec{quiet}); err != nil {
		t.Fatal(err)
	}
	s := e.Lookup("quiet")
	awaitState(t, s, StateIdle)

	// A hundred first viewers start one child and all see its first segment.
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			s.Demand(time.Now())
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if _, err := s.Wait(ctx, 0); err != nil {
				t.Errorf("waiting for the first segment: %v", err)
			}
		})
	}
	all.Wait()
	if got := starts.starts.Load(); got != 1 {
		t.Errorf("%d children were started for a hundred viewers, want 1", got)
	}
	last := s.View().LastMSN()

	// Somebody whose one request goes on for long keeps it running.
	viewers.Store(1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.Wait(ctx, last+6); err != nil {
		t.Fatalf("a watched stream stopped: %v; it is %+v", err, s.Status())
	}
	viewers.Store(0)
	awaitState(t, s, StateIdle)
	if v, st := s.View(), s.Status(); v.Ready() || st.PID != 0 || st.RingBytes != 0 {
		t.Errorf("idle, it still holds %d bytes and child %d, and shows segment %d", st.RingBytes, st.PID, v.LastMSN())
	}

	// The next viewer sees new numbers only.
	s.Demand(time.Now())
	v, err := s.Wait(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	if first := v.Renditions()[0].FirstMSN(); first <= last+6 {
		t.Errorf("it begins again at %d, want above %d", first, last+6)
	}
}

func TestOnDemandWithoutSource(t *testing.T) {
	e := newEngine(t, t.TempDir())
	dead := spec(t, "dead", "file:"+filepath.Join(t.TempDir(), "missing.ts"))
	dead.IdleAfter = time.Minute
	if err := e.Apply([]StreamSpec{dead}); err != nil {
		t.Fatal(err)
	}
	s := e.Lookup("dead")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 3 { // the viewer comes again
		s.Demand(time.Now())
		if _, err := s.Wait(ctx, 0); !errors.Is(err, ErrSourceFailed) {
			t.Fatalf("got %v, want to hear that the source failed; the stream is %+v", err, s.Status())
		}
	}
}

func awaitState(t *testing.T, s *Stream, want State) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for s.Status().State != want {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still %s, want %s", s.Status().State, want)
		}
	}
}
