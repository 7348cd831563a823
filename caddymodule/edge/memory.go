package edge

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go's collector lets the heap double before it collects, and what thousands of
// viewers' connections take would double with it. The governor holds all that Go
// manages (segments lie outside of it) near what is in use: at leastMemory, or at
// memoryShare of the live heap and the stacks, whichever is more. A small edge
// never comes near the first and collects as rarely as ever.
const (
	leastMemory      = 70e6
	memoryShare      = 125  // percent
	memoryPerProcess = 10e6 // what the runtime needs for itself
	governInterval   = time.Second
)

// memoryLimit is the soft limit (GOMEMLIMIT) for a live heap and stacks, in bytes.
func memoryLimit(live, stacks uint64) int64 {
	return max(leastMemory, int64(memoryShare*(live+stacks)/100)+memoryPerProcess) //nolint:gosec // sizes of memory
}

// governMemory follows what is in use until ctx is done. An operator who sets
// GOMEMLIMIT knows better.
func governMemory(ctx context.Context) {
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
		debug.SetMemoryLimit(memoryLimit(inUse[0].Value.Uint64(), inUse[1].Value.Uint64()))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
