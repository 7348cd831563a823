package cluster

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/test/control"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/postgres"
)

// TestScenario12PostgresDies kills the database under 100 writes a second. Whatever was
// acknowledged is there afterwards, and nothing twice; meanwhile answers are a 503 that
// says when to come back; writes go on within 2 s of its return; an edge notices nothing.
func TestScenario12PostgresDies(t *testing.T) {
	database, err := postgres.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Stop)
	s := newStage(t, control.Config{Database: database.URL("postgres")}, "news")
	viewer := edge.Observe(t, s.media("news"))
	w := &writers{t: t, plane: s.control, path: "/v1/resellers/" + s.market.Reseller}
	before := w.balance()

	stop := make(chan struct{})
	var running sync.WaitGroup
	for range 10 {
		running.Go(func() { w.write(stop) })
	}
	w.await("writes are acknowledged", func() bool { return w.acknowledged.Load() > 100 })
	for range 2 {
		refused := w.refused.Load()
		if err := database.Kill(); err != nil {
			t.Fatal(err)
		}
		w.await("writes are refused", func() bool { return w.refused.Load() > refused+100 }) // a second of them
		if err := database.Restart(); err != nil {
			t.Fatal(err)
		}
		back, had := time.Now(), w.acknowledged.Load()
		w.await("writes are acknowledged again", func() bool { return w.acknowledged.Load() > had })
		took := time.Since(back)
		t.Logf("figures: writes went on %v after the database was back", took.Round(time.Millisecond))
		if took > 2*time.Second {
			t.Errorf("writes went on %v after the database was back, want 2 s", took)
		}
	}
	if _, err := viewer.NewerThan(20*time.Second, 0); err != nil {
		t.Error("a viewer of the edge:", err)
	}
	close(stop)
	running.Wait()
	acknowledged := w.acknowledged.Load()
	t.Logf("figures: %d writes acknowledged", acknowledged)
	if got, want := w.balance(), before+acknowledged; got != want {
		t.Errorf("the balance is %d, want %d: what was acknowledged, once each", got, want)
	}
}

// writers issue credits, one at a time.
type writers struct {
	t                     *testing.T
	plane                 *control.Node
	path                  string
	acknowledged, refused atomic.Int64
}

// write issues credits ten times a second. What was not acknowledged is sent again with
// its key, until it is.
func (w *writers) write(stop chan struct{}) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		key := http.Header{"Idempotency-Key": {rand.Text()}}
		for acknowledged := false; !acknowledged; {
			err := w.plane.CallWith("POST", w.path+"/credits", key, map[string]any{"amount": 1, "reason": "scenario 12"}, nil)
			switch status := control.Refused(err); {
			case err == nil:
				w.acknowledged.Add(1)
				acknowledged = true
			case status == http.StatusServiceUnavailable || status == http.StatusConflict: // gone; or still at it
				w.refused.Add(1)
				w.judge(err)
			default:
				w.t.Errorf("a write was answered by %v, want 201 or 503", err)
				return
			}
			<-tick.C
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

// judge checks that a refusal helps whoever gets it.
func (w *writers) judge(err error) {
	if p := control.Problem(err); p == nil || p.Code == "" || p.Detail == "" || p.RetryAfter == "" {
		w.t.Errorf("refused without a word of why, or when to come back: %+v", p)
	}
}

func (w *writers) balance() int64 {
	w.t.Helper()
	var b struct{ Balance int64 }
	w.plane.Must("GET", w.path+"/balance", nil, &b)
	return b.Balance
}

func (w *writers) await(what string, holds func() bool) {
	w.t.Helper()
	edge.Await(w.t, 30*time.Second, fmt.Sprint("that ", what), holds)
}
