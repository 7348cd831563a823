package nodehealth

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// BenchmarkProbe is all that an answer of an edge with 500 streams costs among 200 edges,
// but for the network: reading it, a step of the fleet and a new view. There are as many
// of these per second as there are edges.
func BenchmarkProbe(b *testing.B) {
	f := newFleet()
	var targets []controlapi.ProbeTarget
	for i := range 200 {
		targets = append(targets, controlapi.ProbeTarget{ID: fmt.Sprintf("edge-%03d", i), GroupID: "g", URL: "x", ProbeKey: make([]byte, 32), State: controlapi.EdgeActive})
	}
	f.targets(start, targets)
	d := Document{EdgeID: "edge-000", State: "healthy", FreshShare: 1}
	age := 1.5
	for i := range 500 {
		d.Streams = append(d.Streams, Stream{ID: fmt.Sprintf("stream-%03d", i), State: "live", Role: "primary", MSN: 890_123_456, SegmentAge: &age, Fresh: true})
	}
	text, err := json.Marshal(d)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	now := start
	for b.Loop() {
		now = now.Add(5 * time.Millisecond)
		read, err := parseDocument(text)
		if err != nil {
			b.Fatal(err)
		}
		f.answered(now, "edge-000", read, time.Millisecond, 0)
		f.step(now)
		f.view(now)
	}
}
