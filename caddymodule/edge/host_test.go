package edge

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/ingest"
)

func TestReadiness(t *testing.T) {
	nothing := &generation{document: &snapshot.Document{}}
	streams := &generation{document: &snapshot.Document{Streams: []snapshot.Stream{{ID: "news"}, {ID: "sport"}}}}
	for _, tt := range []struct {
		name     string
		inForce  *generation
		news     ingest.State
		draining bool
		want     Readiness
	}{
		{"nothing in force", nil, "", false, Starting},
		{"nothing in force, draining", nil, "", true, Starting},
		{"no streams configured", nothing, "", false, Ready},
		{"streams that start", streams, ingest.StateStarting, false, NoStream},
		{"streams that failed", streams, ingest.StateFailed, false, NoStream},
		{"one of two is live", streams, ingest.StateLive, false, Ready},
		{"live and draining", streams, ingest.StateLive, true, Draining},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost()
			h.inForce.Store(tt.inForce)
			h.SetDraining(tt.draining)
			h.counters.State("sport", ingest.StateWaiting)
			if tt.news != "" {
				h.counters.State("news", tt.news)
			}
			if got := h.Readiness(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestMeter(t *testing.T) {
	var m meter
	start := time.Unix(1_000_000, 0)
	for _, step := range []struct {
		name  string
		at    time.Duration
		count int64
		want  float64
	}{
		{"first look", 0, 5000, 0},
		{"too early", 500 * time.Millisecond, 9000, 0},
		{"after a second", time.Second, 15_000, 10_000},
		{"too early again", 1900 * time.Millisecond, 99_000, 10_000},
		{"after two more", 3 * time.Second, 16_000, 500},
		{"a clock that goes back", time.Second, 99_000, 500},
	} {
		if got := m.rate(start.Add(step.at), step.count); got != step.want {
			t.Errorf("%s: got %v, want %v", step.name, got, step.want)
		}
	}
}

// The engine's logger, with all that was made of it, goes on into the log of the
// next configuration.
func TestCurrentLog(t *testing.T) {
	first, firstLines := observer.New(zap.InfoLevel)
	second, secondLines := observer.New(zap.DebugLevel)
	c := newCurrentLog()
	logger := zap.New(c).Named("edge").With(zap.String("stream_id", "news"))
	logger.Info("before any configuration")
	c.use(zap.New(first))
	logger.Info("one")
	logger.Debug("too fine for the first")
	c.use(zap.New(second))
	logger.Debug("two", zap.Int("pid", 7))
	logger.With(zap.String("source", "test:")).Info("three")

	if got := firstLines.Len(); got != 1 {
		t.Errorf("first log: got %d lines, want 1", got)
	}
	lines := secondLines.All()
	if len(lines) != 2 {
		t.Fatalf("second log: got %d lines, want 2", len(lines))
	}
	if got := lines[0]; got.LoggerName != "edge" || got.ContextMap()["stream_id"] != "news" || got.ContextMap()["pid"] != int64(7) {
		t.Errorf("got %s %v, want the name edge with stream_id and pid", got.LoggerName, got.ContextMap())
	}
	if got := lines[1].ContextMap(); got["stream_id"] != "news" || got["source"] != "test:" {
		t.Errorf("got %v, want stream_id and source", got)
	}
}
