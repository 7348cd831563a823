package faults

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/test/auditor"
	"github.com/headrace/headrace/test/edge"
)

// audit watches streams of a node with an auditor each, from when they are live to
// the end of the test or to finish, whichever comes first.
type audit struct {
	t        *testing.T
	auditors map[string]*auditor.Auditor
	stop     context.CancelFunc
	running  sync.WaitGroup
	finished bool
}

// auditTime is the time from one look of an auditor to the next.
const auditTime = 250 * time.Millisecond

func startAudit(t *testing.T, n *edge.Node, streams ...string) *audit {
	t.Helper()
	return startAuditThrough(t, n, func(r http.RoundTripper) http.RoundTripper { return r }, streams...)
}

// startAuditThrough is startAudit with a layer between the auditors and the network.
func startAuditThrough(t *testing.T, n *edge.Node, layer func(http.RoundTripper) http.RoundTripper, streams ...string) *audit {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a := &audit{t: t, auditors: make(map[string]*auditor.Auditor), stop: cancel}
	for _, id := range streams {
		transport := &http.Transport{MaxIdleConnsPerHost: 4, DisableCompression: true}
		one := auditor.New(n.URL(id), auditor.Options{
			Client: &http.Client{Transport: layer(transport)}, Interval: auditTime, FetchSegments: true,
		})
		a.auditors[id] = one
		a.running.Go(func() {
			defer transport.CloseIdleConnections()
			if err := one.Run(ctx); err != nil {
				t.Errorf("auditing %s: %v", id, err)
			}
		})
	}
	t.Cleanup(func() { a.finish() })
	return a
}

// expect declares a fault of one stream.
func (a *audit) expect(stream, fault string, hole time.Duration) {
	a.auditors[stream].Expect(fault, hole)
}

// finish ends the watch and fails the test for each broken rule.
func (a *audit) finish() {
	if a.finished {
		return
	}
	a.finished = true
	a.stop()
	a.running.Wait()
	for id, one := range a.auditors {
		report := one.Report()
		for _, v := range report.Violations {
			a.t.Errorf("stream %s: %v", id, v)
		}
		if report.Segments == 0 {
			a.t.Errorf("the auditor of stream %s saw no segment", id)
		}
		a.t.Logf("auditor of %s: %d lists, %d segments, %d fetches, %d requests, %d failed, not 200: %v, %d holes, %d violations",
			id, report.Lists, report.Segments, report.Fetches, report.Requests, report.Errors, report.NonOK, len(report.Holes), len(report.Violations))
	}
}
