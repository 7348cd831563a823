package faults

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

const (
	floodRate    = 5000 // requests with bad tokens per second
	floodConns   = 20
	floodTime    = 10 * time.Second
	floodLeast   = 4500 // below this the generator, not the edge, was measured
	validRate    = 500
	floodBatches = 50 // per second and connection
)

// TestScenario24BadTokenFlood checks that a flood of requests with bad tokens does
// not slow viewers down, and that none of these is refused (promises 2 and 4). The
// flood is pipelined on few connections, because on a small machine the generator
// has to be much cheaper than the edge. That a refusal allocates no more than an
// acceptance is a test of the token package.
func TestScenario24BadTokenFlood(t *testing.T) {
	s := newStudio(t)
	streams := []edge.Stream{
		s.stream("s24-gop2", origin.Recipe{}, origin.Options{}),
		s.stream("s24-other", origin.Recipe{GOP: time.Second}, origin.Options{}),
	}
	n := edge.Start(t, edge.Config{Streams: streams})
	n.AwaitLive(30 * time.Second)
	sights := observe(t, n, streams)
	awaitDelivered(t, sights, 2)
	calm := startLoad(t, validRate, audience(t, n, streams, sights))
	awaitDelivered(t, sights, 3)
	before := calm.stop()
	cpu := n.CPU()

	l := startLoad(t, validRate, audience(t, n, streams, sights))
	f := flood(t, n)
	report := l.stop()
	used := float64(n.CPU()-cpu) / 100 / floodTime.Seconds()
	counted := n.Metrics()
	refused := counted.Sum("headrace_token_checks_total") - counted[`headrace_token_checks_total{reason="accepted"}`]

	rate := float64(f.answered.Load()) / floodTime.Seconds()
	t.Logf("figures: flood %.0f/s answered, edge at %.2f cores; valid before %v; valid meanwhile %v", rate, used, before, report)
	if f.other.Load() > 0 || f.answered.Load() == 0 {
		t.Errorf("%d of %d bad tokens got another answer than 403", f.other.Load(), f.answered.Load())
	}
	if int64(refused) < f.answered.Load() {
		t.Errorf("the edge counted %.0f refusals, and made %d", refused, f.answered.Load())
	}
	if rate < floodLeast {
		t.Errorf("the generator reached %.0f bad requests per second of %d: this machine is too busy to tell", rate, floodRate)
	}
	report.latency.judgeBeside(t, &before.latency, 0.99, 50*time.Millisecond)
	if report.others() > 0 || len(report.broken) > 0 {
		t.Errorf("got statuses %v and %d requests without an answer, want 200 for all", report.statuses, len(report.broken))
	}
}

// flooded is what became of a flood.
type flooded struct{ answered, other atomic.Int64 }

// flood sends bad tokens of every kind for a while.
func flood(t *testing.T, n *edge.Node) *flooded {
	t.Helper()
	good := n.Mint(edge.Claims("s24-gop2"))
	forged := good[:len(good)-1] + string("01"[b2i(good[len(good)-1] == '0')])
	old := edge.Claims("s24-gop2")
	old.Expires = time.Now().Add(-time.Hour).Unix()
	unknown := edge.Claims("s24-gop2")
	unknown.Kid = "k9"
	tokens := []string{forged, n.Mint(old), n.Mint(unknown), n.Mint(edge.Claims("another")), "nonsense"}

	ctx, cancel := context.WithTimeout(t.Context(), floodTime)
	defer cancel()
	result := new(flooded)
	var conns sync.WaitGroup
	for i := range floodConns {
		var batch bytes.Buffer
		const size = floodRate / floodConns / floodBatches
		for j := range size {
			fmt.Fprintf(&batch, "GET /live/%s/s24-gop2/%s/index.m3u8 HTTP/1.1\r\nHost: %s\r\n\r\n", tokens[(i+j)%len(tokens)], edge.Rendition, n.Address())
		}
		conns.Go(func() { result.send(ctx, n.Address(), batch.Bytes(), size) })
	}
	conns.Wait()
	return result
}

// send writes a batch at each tick and reads its answers, over one connection.
func (f *flooded) send(ctx context.Context, address string, batch []byte, size int) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	began := time.Now()
	for sent := 0; ctx.Err() == nil; sent++ {
		due := began.Add(time.Duration(sent) * time.Second / floodBatches)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		if _, err := conn.Write(batch); err != nil {
			return
		}
		for range size {
			if !f.answer(answers) {
				return
			}
		}
	}
}

// answer reads the header of one answer; those of refusals have no body.
func (f *flooded) answer(r *bufio.Reader) bool {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return false
	}
	refused := strings.HasPrefix(string(status), "HTTP/1.1 403 ")
	for len(bytes.TrimSpace(status)) > 0 {
		if status, err = r.ReadSlice('\n'); err != nil {
			return false
		}
	}
	f.answered.Add(1)
	if !refused {
		f.other.Add(1)
	}
	return refused
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
