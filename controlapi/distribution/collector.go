package distribution

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	descHeld = prometheus.NewDesc("headrace_control_polls_held",
		"Polls of edges that wait for a new snapshot.", nil, nil)
	descSent = prometheus.NewDesc("headrace_control_snapshots_sent_total",
		"Snapshots sent to edges.", nil, nil)
	descBuilt = prometheus.NewDesc("headrace_control_snapshot_builds_total",
		"Snapshots built, by what became of it.", []string{"outcome"}, nil)
	descAcks = prometheus.NewDesc("headrace_control_snapshot_acks_total",
		"Acknowledgements of edges, by what they did with the snapshot.", []string{"outcome"}, nil)
	descVersion = prometheus.NewDesc("headrace_control_config_version",
		"Newest version of the configuration, within its epoch.", nil, nil)
)

// counts are what a Service has done.
type counts struct {
	held                atomic.Int64
	sent, built, failed atomic.Int64
	applied, rejected   atomic.Int64
}

// Describe implements prometheus.Collector.
func (s *Service) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descHeld, descSent, descBuilt, descAcks, descVersion} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *Service) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n *atomic.Int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n.Load()), labels...)
	}
	ch <- prometheus.MustNewConstMetric(descHeld, prometheus.GaugeValue, float64(s.counts.held.Load()))
	count(descSent, &s.counts.sent)
	count(descBuilt, &s.counts.built, "built")
	count(descBuilt, &s.counts.failed, "failed")
	count(descAcks, &s.counts.applied, "applied")
	count(descAcks, &s.counts.rejected, "rejected")
	if l := s.latest.Load(); l != nil {
		ch <- prometheus.MustNewConstMetric(descVersion, prometheus.GaugeValue, float64(l.version.Number))
	}
}

// Interface guard
var _ prometheus.Collector = (*Service)(nil)
