package ingest

import (
	"testing"
	"time"
)

func TestPatience(t *testing.T) {
	type waits = map[int]time.Duration
	for _, tt := range []struct {
		name string
		asks []waits
		want time.Duration
	}{
		{"asked once: what was before is no excuse", []waits{{1: time.Minute}}, 0},
		{"hangs", []waits{{1: time.Second}, {1: time.Second}, {1: time.Second}}, 0},
		{"waits", []waits{{1: time.Second}, {1: 1400 * time.Millisecond}, {1: 1800 * time.Millisecond}}, 800 * time.Millisecond},
		{"the longest of its threads", []waits{{1: 0, 2: 0}, {1: 100 * time.Millisecond, 2: 300 * time.Millisecond}}, 300 * time.Millisecond},
		{"another thread each time", []waits{{1: 0, 2: 0}, {1: 300 * time.Millisecond, 2: 0}, {1: 300 * time.Millisecond, 2: 300 * time.Millisecond}}, 600 * time.Millisecond},
		{"a new thread's past is not known", []waits{{1: 0}, {1: 0, 2: time.Second}}, 0},
		{"not for ever", []waits{{1: 0}, {1: time.Hour}}, patienceLimit},
		{"the kernel does not tell", []waits{nil, nil}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p patience
			var got time.Duration
			for _, w := range tt.asks {
				got = p.excuse(w)
			}
			if got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
