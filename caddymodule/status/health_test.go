package status

import (
	"testing"
	"time"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/ingest"
)

func TestScore(t *testing.T) {
	for _, tt := range []struct {
		name           string
		fresh, streams int
		used           float64
		want           int
		wantState      State
	}{
		{"all well", 3, 3, 0, 100, Healthy},
		{"no streams", 0, 0, 0, 100, Healthy},
		{"half of the streams", 1, 2, 0, 50, Degraded},
		{"half of the egress", 3, 3, 0.5, 65, Healthy},
		{"all of the egress", 3, 3, 1, 30, Degraded},
		{"no stream", 0, 3, 0, 0, Degraded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := score(share(tt.fresh, tt.streams), tt.used)
			if got != tt.want {
				t.Errorf("got score %d, want %d", got, tt.want)
			}
			if got := state(false, got); got != tt.wantState {
				t.Errorf("got state %s, want %s", got, tt.wantState)
			}
			if got := state(true, got); got != Draining {
				t.Errorf("got state %s, want %s", got, Draining)
			}
		})
	}
}

func TestHeadroom(t *testing.T) {
	for _, tt := range []struct {
		name     string
		capacity edge.Capacity
		streams  int
		egress   float64
		left     int
		bits     int64 // -1: not known
		used     float64
	}{
		{"egress not known", edge.Capacity{Streams: 5}, 2, 1e9, 3, -1, 0},
		{"some left", edge.Capacity{Streams: 5, Egress: 1e9}, 5, 4e8, 0, 6e8, 0.4},
		{"more than all used", edge.Capacity{Streams: 5, Egress: 1e9}, 0, 2e9, 5, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := headroom(tt.capacity, tt.streams, tt.egress, 1.5)
			bits := int64(-1)
			if got.Egress != nil {
				bits = *got.Egress
			}
			if got.Streams != tt.left || bits != tt.bits {
				t.Errorf("got %d streams and %d bit/s, want %d and %d", got.Streams, bits, tt.left, tt.bits)
			}
			if got := used(tt.egress, tt.capacity.Egress); got != tt.used {
				t.Errorf("used: got %v, want %v", got, tt.used)
			}
		})
	}
}

func TestHeadroomOfCores(t *testing.T) {
	for _, tt := range []struct{ capacity, used, want float64 }{{4, 1.5, 2.5}, {4, 5, 0}} {
		if got := headroom(edge.Capacity{CPU: tt.capacity}, 0, 0, tt.used).CPU; got == nil || *got != tt.want {
			t.Errorf("%g of %g cores in use: got %v left, want %g", tt.used, tt.capacity, got, tt.want)
		}
	}
	if got := headroom(edge.Capacity{}, 0, 0, 1).CPU; got != nil {
		t.Errorf("got %v cores left of a capacity that is not known", *got)
	}
}

func TestIsFresh(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, tt := range []struct {
		name  string
		state ingest.State
		age   time.Duration
		want  bool
	}{
		{"just now", ingest.StateLive, time.Second, true},
		{"at the bound", ingest.StateLive, 6 * time.Second, true},
		{"after it", ingest.StateLive, 6*time.Second + time.Millisecond, false},
		{"not live", ingest.StateWaiting, time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := ingest.Status{State: tt.state, LastSegmentAt: now.Add(-tt.age)}
			if got := isFresh(s, 4*time.Second, now); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestIsSources(t *testing.T) {
	for _, tt := range []struct {
		reason ingest.Reason
		want   bool
	}{
		{ingest.ReasonSourceTimeout, true},
		{ingest.ReasonSourceRefused, true},
		{ingest.ReasonOriginDown, true},
		{ingest.ReasonNoPublisher, true},
		{ingest.ReasonNone, false},
		{ingest.ReasonStalled, false},
		{ingest.ReasonOOM, false},
		{ingest.ReasonStartFailed, false},
	} {
		if got := isSources(tt.reason); got != tt.want {
			t.Errorf("%q: got %v, want %v", tt.reason, got, tt.want)
		}
	}
}
