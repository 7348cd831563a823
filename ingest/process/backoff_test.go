package process

import (
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// constant is a source that stays near one end of its range. The very ends would make Int64N draw for ever.
type constant uint64

func (c constant) Uint64() uint64 { return uint64(c) }

const (
	least = constant(1 << 32)
	most  = constant(math.MaxUint64 - 1<<32)
)

func TestBackoff(t *testing.T) {
	const ms = time.Millisecond
	type end struct {
		after     time.Duration // since the end before
		delivered bool
		least     time.Duration
		most      time.Duration
		failed    bool
	}
	for _, tc := range []struct {
		name string
		ends []end
	}{
		{"delivered each time", []end{
			{0, true, 0, 100 * ms, false},
			{time.Second, true, 0, 100 * ms, false},
			{time.Second, true, 0, 100 * ms, false},
		}},
		{"fails at once", []end{
			{0, false, 0, 250 * ms, false},
			{ms, false, 0, 500 * ms, false},
			{ms, false, 0, time.Second, false},
			{ms, false, 0, 2 * time.Second, false},
			{ms, false, 54 * time.Second, 66 * time.Second, true},
			{time.Minute, false, 54 * time.Second, 66 * time.Second, true},
			{time.Hour, false, 54 * time.Second, 66 * time.Second, true},
		}},
		{"fails slowly", []end{
			{0, false, 0, 250 * ms, false},
			{30 * time.Second, false, 0, 500 * ms, false},
			{30 * time.Second, false, 0, time.Second, false},
			{30 * time.Second, false, 0, 2 * time.Second, false},
			{30 * time.Second, false, 0, 4 * time.Second, false}, // two minutes after the first
			{30 * time.Second, false, 0, 8 * time.Second, false},
			{30 * time.Second, false, 0, 16 * time.Second, false},
			{30 * time.Second, false, 0, 30 * time.Second, false},
			{30 * time.Second, false, 0, 30 * time.Second, false},
			{30*time.Second - ms, false, 54 * time.Second, 66 * time.Second, true},
		}},
		{"delivery resets", []end{
			{0, false, 0, 250 * ms, false},
			{ms, false, 0, 500 * ms, false},
			{ms, false, 0, time.Second, false},
			{ms, false, 0, 2 * time.Second, false},
			{ms, true, 0, 100 * ms, false},
			{ms, false, 0, 250 * ms, false},
			{ms, false, 0, 500 * ms, false},
			{ms, false, 0, time.Second, false},
			{ms, false, 0, 2 * time.Second, false},
			{ms, false, 54 * time.Second, 66 * time.Second, true},
			{ms, true, 0, 100 * ms, false},
			{ms, false, 0, 250 * ms, false},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			low, high := NewBackoff(least), NewBackoff(most)
			now := time.Now()
			for i, e := range tc.ends {
				now = now.Add(e.after)
				gotLeast, failedLow := low.Next(now, e.delivered)
				gotMost, failedHigh := high.Next(now, e.delivered)
				if gotLeast < e.least || gotLeast-e.least > ms || gotMost > e.most || e.most-gotMost > ms {
					t.Errorf("end %d: delay %v to %v, want %v to %v", i, gotLeast, gotMost, e.least, e.most)
				}
				if failedLow != e.failed || failedHigh != e.failed {
					t.Errorf("end %d: failed %v, %v, want %v", i, failedLow, failedHigh, e.failed)
				}
			}
		})
	}
}

func TestBackoffBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBackoff(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		now := time.Unix(1e9, 0)
		fruitless := 0 // ends since the last delivery
		var stamps []time.Time
		wasFailed := false
		for range rapid.IntRange(1, 60).Draw(t, "ends") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Minute)).Draw(t, "pause")))
			delivered := rapid.Bool().Draw(t, "delivered")
			delay, failed := b.Next(now, delivered)
			if delivered {
				fruitless, stamps, wasFailed = 0, nil, false
				if delay < 0 || delay > 100*time.Millisecond || failed {
					t.Fatalf("having delivered: %v, failed %v", delay, failed)
				}
				continue
			}
			fruitless++
			stamps = append(stamps, now)
			five := len(stamps) >= 5 && now.Sub(stamps[len(stamps)-5]) < 2*time.Minute
			if want := wasFailed || five; failed != want {
				t.Fatalf("failed = %v after %d fruitless starts, want %v", failed, fruitless, want)
			}
			wasFailed = failed
			if failed && (delay < 54*time.Second || delay > 66*time.Second) {
				t.Fatalf("failed: delay %v", delay)
			}
			limit := min(30*time.Second, time.Duration(float64(250*time.Millisecond)*math.Pow(2, float64(fruitless-1))))
			if !failed && (delay < 0 || delay > limit) {
				t.Fatalf("start %d: delay %v, want at most %v", fruitless, delay, limit)
			}
		}
	})
}

// TestBackoffStartsPerMinute plays a source that fails at once, for an hour.
func TestBackoffStartsPerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBackoff(nil)
		var starts []time.Time
		for began := time.Now(); time.Since(began) < time.Hour; {
			starts = append(starts, time.Now())
			delay, _ := b.Next(time.Now(), false)
			time.Sleep(delay) // of the bubble's clock
		}
		for i := 8; i < len(starts); i++ {
			if span := starts[i].Sub(starts[i-8]); span < time.Minute {
				t.Errorf("nine starts within %v, want at most eight a minute", span)
			}
		}
	})
}
