package process

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func fixed(n int) func() int { return func() int { return n } }

// startAtOnce takes a turn and starts at once.
func startAtOnce(t *testing.T, l *Limiter) {
	t.Helper()
	started, err := l.Wait(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	started()
}

// TestLimiterSlowStarts checks that children which take their time to start do not come
// together: what is limited is what the node has to bear.
func TestLimiterSlowStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, callers = 4, 60
		l := NewLimiter(perSecond)
		r := rand.New(rand.NewPCG(1, 2))
		took := make([]time.Duration, callers)
		for i := range took {
			took[i] = time.Duration(r.IntN(1800)) * time.Millisecond
		}
		done := make(chan time.Time, callers)
		for _, d := range took {
			go func() {
				started, err := l.Wait(t.Context(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(d)
				done <- time.Now()
				started()
			}()
		}
		var all []time.Time
		for range callers {
			all = append(all, <-done)
		}
		for i := perSecond; i < callers; i++ {
			if span := all[i].Sub(all[i-perSecond]); span < time.Second {
				t.Errorf("%d starts within %v", perSecond+1, span)
			}
		}
	})
}

// TestLimiterOutlivesAStartThatHangs checks that a start that never ends does not end
// all others.
func TestLimiterOutlivesAStartThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		began := time.Now()
		if _, err := l.Wait(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		startAtOnce(t, l)
		if got, want := time.Since(began), startPatience+time.Second; got != want {
			t.Errorf("the next start came after %v, want %v", got, want)
		}
	})
}

func TestLimiterRate(t *testing.T) {
	for _, tc := range []struct {
		name      string
		perSecond int
		callers   int
		want      time.Duration // until all have started
	}{
		{"all at once", 4, 4, 0},
		{"one waits", 4, 5, time.Second},
		{"a hundred streams", 4, 100, 24 * time.Second},
		{"one a second", 1, 3, 2 * time.Second},
		{"zero means one", 0, 3, 2 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewLimiter(tc.perSecond)
				began := time.Now()
				starts := make(chan time.Duration, tc.callers)
				for range tc.callers {
					go func() {
						started, err := l.Wait(t.Context(), nil)
						if err != nil {
							t.Error(err)
							return
						}
						starts <- time.Since(began)
						started()
					}()
				}
				var all []time.Duration
				for range tc.callers {
					all = append(all, <-starts)
				}
				if got := all[len(all)-1]; got != tc.want {
					t.Errorf("last start after %v, want %v", got, tc.want)
				}
				n := max(tc.perSecond, 1)
				for i := n; i < len(all); i++ {
					if span := all[i] - all[i-n]; span < time.Second {
						t.Errorf("%d starts within %v", n+1, span)
					}
				}
			})
		})
	}
}

// A pause does not save up starts.
func TestLimiterAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(2)
		began := time.Now()
		var got []time.Duration
		for _, pause := range []time.Duration{0, 700 * time.Millisecond, 0, 0, time.Hour, 0, 0} {
			time.Sleep(pause)
			startAtOnce(t, l)
			got = append(got, time.Since(began))
		}
		const ms = time.Millisecond
		later := time.Hour + 1700*ms
		want := []time.Duration{0, 700 * ms, 1000 * ms, 1700 * ms, later, later, later + time.Second}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("starts (-want +got):\n%s", diff)
		}
	})
}

func TestLimiterOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		startAtOnce(t, l) // takes the first second
		order := make(chan string)
		var gained atomic.Int64
		queue := func(name string, priority func() int) {
			go func() {
				started, err := l.Wait(t.Context(), priority)
				if err != nil {
					t.Error(err)
					return
				}
				order <- name
				started()
			}()
			synctest.Wait() // so that they queue in this order
		}
		queue("first of 5", fixed(5))
		queue("unwatched", nil)
		queue("gaining", func() int { return int(gained.Load()) })
		queue("second of 5", fixed(5))
		queue("most", fixed(100))
		var got []string
		for range 5 {
			got = append(got, <-order)
			if len(got) == 2 {
				gained.Store(50)
			}
		}
		want := []string{"most", "first of 5", "gaining", "second of 5", "unwatched"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestLimiterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		began := time.Now()
		startAtOnce(t, l)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.Wait(gone, fixed(9)); !errors.Is(err, context.Canceled) {
			t.Errorf("Wait with an ended context: %v", err)
		}
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := l.Wait(short, fixed(9)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait past its context: %v", err)
		}
		// Whoever gave up takes no start from those who wait.
		if _, err := l.Wait(t.Context(), nil); err != nil || time.Since(began) != time.Second {
			t.Errorf("next start: %v after %v, want after 1s", err, time.Since(began))
		}
	})
}
