package nodehealth

import "github.com/prometheus/client_golang/prometheus"

var (
	descEdges = prometheus.NewDesc("headrace_control_edges",
		"Edges by what this instance holds of them.", []string{"group", "state"}, nil)
	descScore = prometheus.NewDesc("headrace_control_edge_score",
		"Health of an edge, 0 to 100.", []string{"edge"}, nil)
	descLatency = prometheus.NewDesc("headrace_control_edge_probe_seconds",
		"Time within which 95 % of an edge's last answers to probes came.", []string{"edge"}, nil)
)

// Describe implements prometheus.Collector.
func (m *Monitor) Describe(to chan<- *prometheus.Desc) {
	to <- descEdges
	to <- descScore
	to <- descLatency
}

// Collect implements prometheus.Collector by the newest view.
func (m *Monitor) Collect(to chan<- prometheus.Metric) {
	counts := make(map[string]map[State]int)
	for _, n := range m.View().Nodes {
		if counts[n.GroupID] == nil {
			counts[n.GroupID] = make(map[State]int)
		}
		counts[n.GroupID][n.State]++
		if n.SeenAt.IsZero() {
			continue
		}
		to <- prometheus.MustNewConstMetric(descScore, prometheus.GaugeValue, float64(n.Score), n.ID)
		to <- prometheus.MustNewConstMetric(descLatency, prometheus.GaugeValue, n.Latency.Seconds(), n.ID)
	}
	for group, states := range counts {
		for _, s := range States() {
			to <- prometheus.MustNewConstMetric(descEdges, prometheus.GaugeValue, float64(states[s]), group, string(s))
		}
	}
}

// Interface guard
var _ prometheus.Collector = (*Monitor)(nil)
