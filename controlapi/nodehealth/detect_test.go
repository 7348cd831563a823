package nodehealth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/probe"
)

// wire carries probes to fake edges without a network, so that time can be fast.
type wire struct {
	mu    sync.Mutex
	edges map[string]*fakeEdge // by host
	fault map[string]string    // by host: refused or hung
	asked map[string][]time.Time
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	e, fault := w.edges[r.URL.Host], w.fault[r.URL.Host]
	w.asked[r.URL.Host] = append(w.asked[r.URL.Host], time.Now())
	w.mu.Unlock()
	switch fault {
	case "refused":
		return nil, errors.New("connection refused")
	case "hung":
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	time.Sleep(3 * time.Millisecond)
	answer := httptest.NewRecorder()
	e.ServeHTTP(answer, r)
	return answer.Result(), nil
}

func (w *wire) breakOff(host, fault string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault[host] = fault
}

// raised are the numbers that were written down.
type raised struct {
	mu      sync.Mutex
	numbers [][]controlapi.Numbers
	fail    bool
}

func (r *raised) RaiseNumbers(_ context.Context, numbers []controlapi.Numbers) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.numbers = append(r.numbers, numbers)
	if r.fail {
		return errors.New("the database is gone")
	}
	return nil
}

// bubble runs a monitor over n fake edges of one group in fast time.
func bubble(t *testing.T, n int, o Options, f func(m *Monitor, w *wire)) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{edges: make(map[string]*fakeEdge), fault: make(map[string]string), asked: make(map[string][]time.Time)}
		var inv inventory
		var targets []controlapi.ProbeTarget
		for i := range n {
			id := "edge-" + string(rune('a'+i))
			e := &fakeEdge{id: id, key: probe.DeriveKey("credential of " + id), gate: probe.NewGate()}
			e.say(map[string]any{
				"edge_id": id, "state": "healthy", "fresh_share": 1, "snapshot": map[string]any{"epoch": 1, "version": 7},
				"streams": []map[string]any{{"id": "news", "state": "live", "last_msn": 42, "discontinuity_sequence": 2}},
			})
			w.edges[id] = e
			targets = append(targets, controlapi.ProbeTarget{ID: id, GroupID: "g", URL: "https://" + id, State: controlapi.EdgeActive, ProbeKey: e.key[:]})
		}
		inv.set(targets...)
		o.Inventory, o.Transport = &inv, w
		m := New(o)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { m.Run(ctx) })
		time.Sleep(10 * time.Second)
		f(m, w)
		cancel()
		running.Wait()
	})
}

// TestDetection measures how long it takes until viewers are sent elsewhere. The budgets
// are 2.5 s for a process that dies and 4 s for a host that is lost.
func TestDetection(t *testing.T) {
	for _, tt := range []struct {
		fault string
		limit time.Duration
	}{{"refused", 2500 * time.Millisecond}, {"hung", 4 * time.Second}} {
		t.Run(tt.fault, func(t *testing.T) {
			var longest time.Duration
			for i := range 20 {
				bubble(t, 5, Options{}, func(m *Monitor, w *wire) {
					time.Sleep(time.Duration(i) * 53 * time.Millisecond) // at any moment between two probes
					w.breakOff("edge-a", tt.fault)
					broken := time.Now()
					for m.View().Lookup("edge-a").Weight > 0 && time.Since(broken) < time.Minute {
						time.Sleep(10 * time.Millisecond)
					}
					longest = max(longest, time.Since(broken))
				})
			}
			t.Logf("an edge that is %s: at most %v", tt.fault, longest)
			if longest > tt.limit {
				t.Errorf("viewers were sent there for %v, want at most %v", longest, tt.limit)
			}
		})
	}
}

// TestCadence checks that an edge is asked once a second, with a tenth of jitter.
func TestCadence(t *testing.T) {
	bubble(t, 3, Options{}, func(_ *Monitor, w *wire) {
		time.Sleep(time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		for host, asked := range w.asked {
			if len(asked) < 60 || len(asked) > 80 {
				t.Errorf("%s was asked %d times in 70 s", host, len(asked))
			}
			for i := 1; i < len(asked); i++ {
				if d := asked[i].Sub(asked[i-1]); d < 900*time.Millisecond || d > 1100*time.Millisecond {
					t.Errorf("%s was asked after %v", host, d)
				}
			}
		}
	})
}

// TestNumbersAreWritten checks when the highest numbers go to the database: once they are
// known, again if that failed, and then only when they have risen by much.
func TestNumbersAreWritten(t *testing.T) {
	r := &raised{fail: true}
	bubble(t, 1, Options{Numbers: r}, func(*Monitor, *wire) {
		written := func() int {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.numbers)
		}
		time.Sleep(61 * time.Second)
		if got := written(); got != 1 {
			t.Fatalf("written down %d times in the first minute, want once", got)
		}
		r.mu.Lock()
		r.fail = false
		r.mu.Unlock()
		time.Sleep(10 * time.Minute)
		if got := written(); got != 2 {
			t.Errorf("written down %d times, want a second time because the first failed, and no more", got)
		}
		if got, want := r.numbers[1], (controlapi.Numbers{StreamID: "news", MSN: 42, Discontinuity: 2}); len(got) != 1 || got[0] != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}
