package nodehealth

import (
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestCollector(t *testing.T) {
	m := New(Options{})
	m.view.Store(&View{Nodes: []Node{
		{ID: "edge-1", GroupID: "g", State: Healthy, Score: 97, Latency: 20 * time.Millisecond, SeenAt: start},
		{ID: "edge-2", GroupID: "g", State: Joining},
	}})
	registry := prometheus.NewRegistry()
	if err := registry.Register(m); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			name := f.GetName()
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			got[name] = metric.GetGauge().GetValue()
		}
	}
	want := map[string]float64{
		"headrace_control_edge_score edge-1":         97,
		"headrace_control_edge_probe_seconds edge-1": 0.02,
		"headrace_control_edges g healthy":           1,
		"headrace_control_edges g joining":           1,
		"headrace_control_edges g degraded":          0,
		"headrace_control_edges g down":              0,
		"headrace_control_edges g probation":         0,
		"headrace_control_edges g draining":          0,
		"headrace_control_edges g quarantined":       0,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
