package ingest

import (
	"testing"
	"time"
)

func TestWatchdog(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	w := newWatchdog(&StreamSpec{SegmentDuration: 2 * time.Second, LongestGOP: 2 * time.Second})
	healthy := vitals{started: ago(time.Minute), lastByte: ago(50 * time.Millisecond), lastAdvance: ago(50 * time.Millisecond), lastPiece: ago(time.Second)}
	for _, tt := range []struct {
		name   string
		change func(*vitals)
		want   Reason
	}{
		{"healthy", func(*vitals) {}, ReasonNone},
		{"just started", func(v *vitals) { *v = vitals{started: ago(10 * time.Second)} }, ReasonNone},
		{"never a byte", func(v *vitals) { *v = vitals{started: ago(16 * time.Second)} }, ReasonNoOutput},
		{"silent for 2.7 s", func(v *vitals) { v.lastByte = ago(2700 * time.Millisecond) }, ReasonNone},
		{"silent for 2.9 s", func(v *vitals) { v.lastByte = ago(2900 * time.Millisecond) }, ReasonStalled},
		{"timestamps stand still", func(v *vitals) { v.lastAdvance = ago(4 * time.Second) }, ReasonFrozen},
		{"no segment", func(v *vitals) { v.lastPiece = ago(11 * time.Second) }, ReasonNoSegment},
		{"first bytes without a timestamp", func(v *vitals) { *v = vitals{started: ago(4 * time.Second), lastByte: now} }, ReasonFrozen},
		{"waits for a keyframe", func(v *vitals) { v.blind, v.lastAdvance, v.lastPiece = 11*time.Second, time.Time{}, time.Time{} }, ReasonNone},
		{"waits too long for a keyframe", func(v *vitals) { v.blind = 13 * time.Second }, ReasonNoKeyframe},
		{"waits for a keyframe and is silent", func(v *vitals) { v.blind, v.lastByte = time.Second, ago(4*time.Second) }, ReasonStalled},
		{"apart after a jump", func(v *vitals) { v.apart = time.Second }, ReasonNone},
		{"apart for good", func(v *vitals) { v.apart = 4 * time.Second }, ReasonDrift},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := healthy
			tt.change(&v)
			if got := w.verdict(now, v); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
