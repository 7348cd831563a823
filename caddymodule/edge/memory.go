package edge

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"go.uber.org/zap"
)

// Go's collector lets the heap double before it collects, and what thousands of
// viewers' connections take would double with it. An edge may take the bytes of its
// rings × 1.25 + 100 MB, and the rings lie outside of what Go manages. So the governor
// holds the rest near what is in use, and gives it a share of what segments allow: the
// fuller the rings, the more rarely is collected. A small edge never comes near.
const (
	leastMemory    = 50e6
	memoryShare    = 110 // percent of the live heap and the stacks
	ringShare      = 12  // percent of the rings
	governInterval = time.Second
)

// memoryLimit is the soft limit (GOMEMLIMIT) for a live heap, stacks and rings, in bytes.
func memoryLimit(live, stacks uint64, rings int64) int64 {
	return max(leastMemory, memoryShare*int64(live+stacks)/100) + ringShare*rings/100 //nolint:gosec // sizes of memory
}

// governMemory follows what is in use until ctx is done. An operator who sets
// GOMEMLIMIT knows better.
func governMemory(ctx context.Context, rings func() int64) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	tick := time.NewTicker(governInterval)
	defer tick.Stop()
	inUse := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	for {
		metrics.Read(inUse)
		debug.SetMemoryLimit(memoryLimit(inUse[0].Value.Uint64(), inUse[1].Value.Uint64(), rings()))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// startUp is when the start of an edge is over: its streams are on the air, or as good as.
const startUp = 5 * time.Second

// settle gives back once what only the start of the program needed.
func settle(ctx context.Context, log *zap.Logger) {
	over := time.NewTimer(startUp)
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
		return
	}
	if err := forgetStartUp(); err != nil {
		log.Info("what only the start needed stays in memory", zap.Error(err))
	}
}
