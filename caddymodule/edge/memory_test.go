package edge

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func noRings() int64 { return 0 }

func TestMemoryLimit(t *testing.T) {
	for _, tt := range []struct {
		name         string
		live, stacks uint64
		rings        int64
		want         int64
	}{
		{"an edge without viewers", 5e6, 1e6, 0, 50e6},
		{"rings without viewers", 5e6, 1e6, 200e6, 74e6},
		{"2,000 viewers", 26e6, 24e6, 200e6, 79e6},
		{"10,000 viewers", 80e6, 120e6, 200e6, 244e6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := memoryLimit(tt.live, tt.stacks, tt.rings); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestGovernorFollowsAndLetsGo(t *testing.T) {
	names := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(names)
	for _, n := range names {
		if n.Value.Kind() != metrics.KindUint64 {
			t.Fatalf("this Go does not tell %s", n.Name)
		}
	}
	t.Setenv("GOMEMLIMIT", "")
	before := debug.SetMemoryLimit(-1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { governMemory(ctx, noRings); close(done) }()
	deadline := time.Now().Add(5 * time.Second)
	for debug.SetMemoryLimit(-1) == before && time.Now().Before(deadline) {
		<-time.After(5 * time.Millisecond)
	}
	if got := debug.SetMemoryLimit(-1); got < leastMemory || got == before {
		t.Errorf("got a limit of %d, want one that follows what is in use", got)
	}
	cancel()
	<-done
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("got a limit of %d afterwards, want %d again", got, before)
	}
	t.Run("not against the operator", func(t *testing.T) {
		t.Setenv("GOMEMLIMIT", "1GiB")
		governMemory(t.Context(), noRings) // comes back at once
	})
}
