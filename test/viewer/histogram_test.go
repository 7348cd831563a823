package viewer

import (
	"sync"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	tests := []struct {
		name    string
		observe func(h *histogram)
		want    Latency
	}{
		{"nothing", func(h *histogram) {}, Latency{}},
		{
			"one", func(h *histogram) { h.observe(3 * time.Millisecond) },
			Latency{1, 3 * time.Millisecond, 3 * time.Millisecond, 3 * time.Millisecond, 3 * time.Millisecond},
		},
		{"negative, after a clock step", func(h *histogram) { h.observe(-time.Second) }, Latency{1, 0, 0, 0, 0}},
		{"1 to 100 ms", func(h *histogram) {
			for i := range 100 {
				h.observe(time.Duration(i+1) * time.Millisecond)
			}
		}, Latency{100, 50 * time.Millisecond, 95 * time.Millisecond, 99 * time.Millisecond, 100 * time.Millisecond}},
		{"a rare outlier", func(h *histogram) {
			for range 999 {
				h.observe(time.Millisecond)
			}
			h.observe(9 * time.Hour)
		}, Latency{1000, time.Millisecond, time.Millisecond, time.Millisecond, 9 * time.Hour}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var h histogram
			tt.observe(&h)
			got := h.latency()
			near := func(got, want time.Duration) bool { return got >= want && got <= want+want*7/100 }
			if got.Count != tt.want.Count || got.Max != tt.want.Max || !near(got.P50, tt.want.P50) ||
				!near(got.P95, tt.want.P95) || !near(got.P99, tt.want.P99) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// Buckets meet: each time lies below its bucket's bound and not below the one before.
func TestBucketBounds(t *testing.T) {
	for us := int64(0); us < 1<<40; us += 1 + us/97 {
		d := time.Duration(us) * time.Microsecond
		i := bucket(d)
		if d >= bound(i) || i > 0 && d < bound(i-1) {
			t.Fatalf("%v is in bucket %d, from %v to %v", d, i, bound(max(i-1, 0)), bound(i))
		}
	}
}

func TestHistogramConcurrently(t *testing.T) {
	var h histogram
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 1000 {
				h.observe(time.Duration(i) * time.Millisecond)
			}
		})
	}
	wg.Wait()
	if got := h.latency(); got.Count != 8000 || got.Max != 7*time.Millisecond {
		t.Errorf("got %v", got)
	}
}
