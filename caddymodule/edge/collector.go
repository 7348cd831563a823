package edge

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/rtmp"
)

// Every label has a closed set of values: enumerations of ours, and the ids of
// the configured streams.
var (
	descTokens = prometheus.NewDesc("headrace_token_checks_total",
		"Checks of stream tokens, by result.", []string{"reason"}, nil)
	descRequests = prometheus.NewDesc("headrace_requests_total",
		"Answers below /live/, by what was asked for and status code.", []string{"kind", "code"}, nil)
	descBytes = prometheus.NewDesc("headrace_response_bytes_total",
		"Bytes of bodies sent below /live/, by what was asked for.", []string{"kind"}, nil)
	descStarts = prometheus.NewDesc("headrace_stream_starts_total",
		"FFmpeg processes started for a stream.", []string{"stream"}, nil)
	descRestarts = prometheus.NewDesc("headrace_stream_restarts_total",
		"FFmpeg processes of a stream that ended, by reason.", []string{"stream", "reason"}, nil)
	descSegments = prometheus.NewDesc("headrace_segments_total",
		"Media sequence numbers published by a stream.", []string{"stream"}, nil)
	descSegmentBytes = prometheus.NewDesc("headrace_segment_bytes_total",
		"Bytes of published segments, over all renditions of a stream.", []string{"stream"}, nil)
	descState = prometheus.NewDesc("headrace_stream_state",
		"1 for the state that a stream is in, 0 for the others.", []string{"stream", "state"}, nil)
	descLastMSN = prometheus.NewDesc("headrace_stream_last_msn",
		"Media sequence number of the newest segment of a stream.", []string{"stream"}, nil)
	descRing = prometheus.NewDesc("headrace_ring_bytes",
		"Memory held by the segments of a stream.", []string{"stream"}, nil)
	descPushes = prometheus.NewDesc("headrace_push_connections_total",
		"Connections of encoders, by what became of them.", []string{"outcome"}, nil)
	descPublishers = prometheus.NewDesc("headrace_publishers",
		"Streams that an encoder pushes now.", nil, nil)
	descCPU = prometheus.NewDesc("headrace_stream_cpu_seconds_total",
		"Processor time that the FFmpeg processes of a stream have used.", []string{"stream"}, nil)
	descThrottled = prometheus.NewDesc("headrace_stream_cpu_throttled_seconds_total",
		"Time in which the FFmpeg processes of a stream waited for the share that their limit gives them.", []string{"stream"}, nil)
	descMemory = prometheus.NewDesc("headrace_stream_memory_bytes",
		"Memory that the FFmpeg processes of a stream use.", []string{"stream"}, nil)
	descOOMKills = prometheus.NewDesc("headrace_stream_oom_kills_total",
		"Processes of a stream that were killed because their memory limit was used up.", []string{"stream"}, nil)
	descPIDsRefused = prometheus.NewDesc("headrace_stream_pids_refused_total",
		"Processes and threads of a stream that its limit did not let come into being.", []string{"stream"}, nil)
	descSessions = prometheus.NewDesc("headrace_sessions",
		"Viewer sessions that are open.", nil, nil)
	descSnapshotAge = prometheus.NewDesc("headrace_snapshot_age_seconds",
		"Time since the control plane confirmed that the snapshot in force is its newest.", nil, nil)
	descSnapshotVersion = prometheus.NewDesc("headrace_snapshot_version",
		"Version of the snapshot in force, within its epoch.", nil, nil)
	descSnapshotEpoch = prometheus.NewDesc("headrace_snapshot_epoch",
		"Epoch of the snapshot in force.", nil, nil)
	descSnapshots = prometheus.NewDesc("headrace_snapshots_total",
		"Snapshots that the control plane sent, by what became of them.", []string{"outcome"}, nil)
	descControl = prometheus.NewDesc("headrace_control_connected",
		"1 while the edge is in touch with its control plane.", nil, nil)
	descDraining = prometheus.NewDesc("headrace_draining",
		"1 while new viewers are asked to go elsewhere.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *Counters) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descTokens, descRequests, descBytes, descPushes, descSnapshots, descStarts, descRestarts, descSegments, descSegmentBytes, descState,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. All series of the requests are there
// from the start, so that rates over them begin at zero.
func (c *Counters) Collect(ch chan<- prometheus.Metric) {
	for _, r := range token.Reasons() {
		ch <- counter(descTokens, c.tokens[r].Load(), r.String())
	}
	for k := range kinds {
		ch <- counter(descBytes, c.bytes[k].Load(), k.String())
		for i, status := range statuses {
			ch <- counter(descRequests, c.requests[k][i].Load(), k.String(), strconv.Itoa(status))
		}
		ch <- counter(descRequests, c.requests[k][len(statuses)].Load(), k.String(), "other")
	}
	for _, o := range rtmp.Outcomes() {
		ch <- counter(descPushes, c.pushes[o].Load(), string(o))
	}
	ch <- counter(descSnapshots, c.applied.Load(), string(snapshot.Applied))
	ch <- counter(descSnapshots, c.rejected.Load(), string(snapshot.Rejected))
	c.mu.RLock()
	defer c.mu.RUnlock()
	for id, s := range c.streams {
		s.collect(id, ch)
	}
}

func (s *streamCounters) collect(id string, ch chan<- prometheus.Metric) {
	ch <- counter(descStarts, s.starts.Load(), id)
	ch <- counter(descSegments, s.segments.Load(), id)
	ch <- counter(descSegmentBytes, s.segmentBytes.Load(), id)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, reason := range ingest.Reasons() {
		ch <- counter(descRestarts, s.restarts[reason], id, string(reason))
	}
	for _, state := range ingest.States() {
		ch <- gauge(descState, truth(s.state == state), id, string(state))
	}
}

// gauges are what the Host knows at the moment.
type gauges struct{ host *Host }

// Describe implements prometheus.Collector.
func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descCPU, descThrottled, descMemory, descOOMKills, descPIDsRefused,
		descLastMSN, descRing, descSessions, descPublishers, descDraining,
		descSnapshotAge, descSnapshotVersion, descSnapshotEpoch, descControl,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	ch <- gauge(descSessions, float64(g.host.sessions.Len()))
	ch <- gauge(descPublishers, float64(g.host.Publishers()))
	ch <- gauge(descDraining, truth(g.host.Draining()))
	g.collectControl(ch)
	e := g.host.Engine()
	if e == nil {
		return
	}
	for _, s := range e.Streams() {
		status := s.Status()
		ch <- gauge(descLastMSN, float64(status.LastMSN), status.ID)
		ch <- gauge(descRing, float64(status.RingBytes), status.ID)
		collectUsage(ch, status.ID, status.Usage)
	}
}

// collectControl tells of the control plane, where there is one.
func (g gauges) collectControl(ch chan<- prometheus.Metric) {
	status, following := g.host.Control()
	if !following {
		return
	}
	ch <- gauge(descControl, truth(status.Connected))
	if !status.Confirmed.IsZero() {
		ch <- gauge(descSnapshotAge, max(0, time.Since(status.Confirmed).Seconds()))
	}
	ch <- gauge(descSnapshotVersion, float64(status.Version.Number))
	ch <- gauge(descSnapshotEpoch, float64(status.Version.Epoch))
}

func collectUsage(ch chan<- prometheus.Metric, stream string, u ingest.Usage) {
	ch <- prometheus.MustNewConstMetric(descCPU, prometheus.CounterValue, u.CPUSeconds, stream)
	ch <- prometheus.MustNewConstMetric(descThrottled, prometheus.CounterValue, u.ThrottledSeconds, stream)
	ch <- gauge(descMemory, float64(u.Memory), stream)
	ch <- counter(descOOMKills, u.OOMKills, stream)
	ch <- counter(descPIDsRefused, u.PIDsRefused, stream)
}

func counter(d *prometheus.Desc, value int64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Interface guards
var (
	_ prometheus.Collector = (*Counters)(nil)
	_ prometheus.Collector = gauges{}
)
