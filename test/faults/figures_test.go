package faults

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// figures are measured times, kept with the one budget that they are judged by.
type figures struct {
	name  string
	times []time.Duration
}

func (f *figures) add(d time.Duration) { f.times = append(f.times, d) }

// at is the value that a share of the figures does not exceed (nearest rank).
func (f *figures) at(share float64) time.Duration {
	if len(f.times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(f.times))
	rank := int(share*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

func (f *figures) String() string {
	return fmt.Sprintf("%s n=%d p50=%v p95=%v p99=%v max=%v", f.name, len(f.times),
		f.at(0.5).Round(time.Millisecond), f.at(0.95).Round(time.Millisecond), f.at(0.99).Round(time.Millisecond), f.at(1).Round(time.Millisecond))
}

// judge compares a share of the figures with its budget.
func (f *figures) judge(t *testing.T, share float64, budget time.Duration) {
	t.Helper()
	if got := f.at(share); got > budget {
		t.Errorf("%s: got %v at p%g of %d, want at most %v", f.name, got, 100*share, len(f.times), budget)
	}
}

// judgeBeside is judge for figures of a machine that may have had other work: where
// the same share took longer in calm, without the fault, it may take half as much
// again.
func (f *figures) judgeBeside(t *testing.T, calm *figures, share float64, budget time.Duration) {
	t.Helper()
	f.judge(t, share, max(budget, calm.at(share)*3/2))
}

func TestFiguresAreNearestRanks(t *testing.T) {
	var f figures
	for i := range 20 {
		f.add(time.Duration(20-i) * time.Second)
	}
	for share, want := range map[float64]time.Duration{0.5: 10 * time.Second, 0.95: 19 * time.Second, 1: 20 * time.Second} {
		if got := f.at(share); got != want {
			t.Errorf("at %g: got %v, want %v", share, got, want)
		}
	}
}
