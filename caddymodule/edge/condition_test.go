package edge

import (
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/ingest"
)

func TestScore(t *testing.T) {
	for _, tt := range []struct {
		name           string
		fresh, streams int
		used           float64
		want           int
	}{
		{"all well", 3, 3, 0, 100},
		{"no streams", 0, 0, 0, 100},
		{"half of the streams", 1, 2, 0, 50},
		{"half of the egress", 3, 3, 0.5, 65},
		{"all of the egress", 3, 3, 1, 30},
		{"no stream", 0, 3, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := score(share(tt.fresh, tt.streams), tt.used); got != tt.want {
				t.Errorf("got score %d, want %d", got, tt.want)
			}
		})
	}
}

func TestCondition(t *testing.T) {
	configured := &configuration{}
	inForce := &generation{configuration: configured, document: &snapshot.Document{}}
	for _, tt := range []struct {
		name           string
		configured     *configuration
		inForce        *generation
		streams, fresh int
		draining       bool
		want           State
	}{
		{"nothing in force", nil, nil, 0, 0, false, StateStarting},
		{"no document yet", configured, nil, 0, 0, false, StateJoining},
		{"all well", configured, inForce, 2, 2, false, StateHealthy},
		{"half of the streams", configured, inForce, 2, 1, false, StateDegraded},
		{"draining", configured, inForce, 2, 1, true, StateDraining},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost()
			h.configured.Store(tt.configured)
			h.inForce.Store(tt.inForce)
			h.SetDraining(tt.draining)
			if got := h.Condition(Tally{streams: tt.streams, answerable: tt.streams, fresh: tt.fresh}).State; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestHeadroom(t *testing.T) {
	for _, tt := range []struct {
		name     string
		capacity Capacity
		streams  int
		egress   float64
		left     int
		bits     int64 // -1: not known
		used     float64
	}{
		{"egress not known", Capacity{Streams: 5}, 2, 1e9, 3, -1, 0},
		{"some left", Capacity{Streams: 5, Egress: 1e9}, 5, 4e8, 0, 6e8, 0.4},
		{"more than all used", Capacity{Streams: 5, Egress: 1e9}, 0, 2e9, 5, 0, 1},
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
		if got := headroom(Capacity{CPU: tt.capacity}, 0, 0, tt.used).CPU; got == nil || *got != tt.want {
			t.Errorf("%g of %g cores in use: got %v left, want %g", tt.used, tt.capacity, got, tt.want)
		}
	}
	if got := headroom(Capacity{}, 0, 0, 1).CPU; got != nil {
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
