package playlist

import (
	"testing"
	"time"
)

func TestBandwidth(t *testing.T) {
	s := func(kilobytes int, seconds float64) Sample {
		return Sample{Bytes: kilobytes * 1000, Duration: time.Duration(seconds * float64(time.Second))}
	}
	tests := []struct {
		name          string
		window        []Sample
		target        time.Duration
		peak, average int
	}{
		{"empty", nil, 4 * time.Second, 0, 0},
		{"constant", []Sample{s(500, 2), s(500, 2), s(500, 2)}, 4 * time.Second, 2000000, 2000000},
		{"one large segment of half a target", []Sample{s(500, 2), s(1000, 2), s(500, 2)}, 4 * time.Second, 4000000, 2666667},
		{"a segment too short to count alone", []Sample{s(500, 2), s(500, 1), s(500, 2)}, 4 * time.Second, 2666667, 2400000},
		{"run of exactly one and a half", []Sample{s(900, 3), s(0, 3)}, 2 * time.Second, 2400000, 1200000},
		{"run just above one and a half", []Sample{s(900, 3.001), s(0, 3)}, 2 * time.Second, 1199801, 1199801},
		{"only one segment, too long", []Sample{s(500, 9)}, 4 * time.Second, 444445, 444445},
		{"only one segment, too short", []Sample{s(500, 1)}, 4 * time.Second, 4000000, 4000000},
		{"no time", []Sample{s(500, 0)}, 4 * time.Second, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			peak, average := Bandwidth(tt.window, tt.target)
			if peak != tt.peak || average != tt.average {
				t.Errorf("got %d and %d, want %d and %d", peak, average, tt.peak, tt.average)
			}
		})
	}
}

func BenchmarkBandwidth(b *testing.B) {
	window := make([]Sample, 17)
	for i := range window {
		window[i] = Sample{Bytes: 500_000 + i, Duration: 2 * time.Second}
	}
	b.ReportAllocs()
	for b.Loop() {
		Bandwidth(window, 4*time.Second)
	}
}
