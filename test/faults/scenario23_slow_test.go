package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

const (
	slowHeaders   = 1000
	slowReaders   = 300
	slowestAttack = 1 << 10  // bytes per second
	slowButGood   = 20 << 10 // above the 16 KiB/s that the hls handler asks for
)

// TestScenario23SlowClients checks that clients which hold connections as long as
// they can (a thousand that never finish a request, three hundred that read a
// segment at 1 KB/s) neither slow others nor take much memory and are cut off,
// and that a slow viewer above the documented rate is not.
//
// The timeouts are Caddy's and the handler's defaults: what an operator has who
// writes nothing. That an attacker is cut is seen by the edge's open files: his
// own end learns of it only when he has read what the kernel kept for him.
func TestScenario23SlowClients(t *testing.T) {
	s := newStudio(t)
	streams := []edge.Stream{
		s.stream("s23-large", origin.Recipe{Bitrate: 3_000_000, Height: 360}, origin.Options{}),
		s.stream("s23-gop2", origin.Recipe{}, origin.Options{}),
	}
	n := edge.Start(t, edge.Config{Streams: streams})
	n.AwaitLive(30 * time.Second)
	sights := observe(t, n, streams)
	awaitDelivered(t, sights, 3)
	calm := startLoad(t, 200, audience(t, n, streams, sights))
	awaitDelivered(t, sights, 3)
	before := calm.stop()
	l := startLoad(t, 200, audience(t, n, streams, sights))
	awaitDelivered(t, sights, 1) // the load has its connections
	files, rss := n.FDs(), n.RSS()

	ctx, cancel := context.WithCancel(t.Context())
	var attack sync.WaitGroup
	defer attack.Wait()
	defer cancel()
	began := time.Now()
	large := fmt.Sprintf("%s%s/%d.ts", n.BaseURL("s23-large"), edge.Rendition, sights[0].Last().MSN)
	for i := range slowHeaders {
		attack.Go(func() { neverFinish(ctx, n.Address(), i%2 == 0) })
	}
	for range slowReaders {
		attack.Go(func() { _, _ = readSlowly(ctx, n.Address(), large, slowestAttack) })
	}
	good := make(chan error, 1)
	go func() {
		got, err := readSlowly(ctx, n.Address(), large, slowButGood)
		if err != nil {
			err = fmt.Errorf("after %d bytes: %w", got, err)
		}
		good <- err
	}()
	edge.Await(t, 20*time.Second, "the attack to stand", func() bool { return n.FDs() > files+(slowHeaders+slowReaders)*9/10 })

	peak := int64(0)
	edge.Await(t, 90*time.Second, "the attackers to be cut off", func() bool {
		peak = max(peak, n.RSS())
		return n.FDs() <= files+mostKept+20
	})
	cut := time.Since(began)
	if err := <-good; err != nil {
		t.Errorf("the slow but good viewer was cut off: %v", err)
	}
	report := l.stop()
	t.Logf("figures: attackers cut after %v; RSS + %.1f MiB; valid before %v; valid meanwhile %v",
		cut.Round(time.Millisecond), float64(peak-rss)/(1<<20), before, report)
	report.latency.judgeBeside(t, &before.latency, 0.99, 150*time.Millisecond)
	if cut > 70*time.Second {
		t.Errorf("the last attacker was cut after %v, want at most 70 s", cut)
	}
	if peak-rss > 100<<20 {
		t.Errorf("the edge took %d bytes more, want at most 100 MiB", peak-rss)
	}
	if report.others() > 0 || len(report.broken) > 0 {
		t.Errorf("got statuses %v and %d requests without an answer, want 200 for all", report.statuses, len(report.broken))
	}
}

// neverFinish sends a request that has no end, a header every five seconds, or
// nothing at all.
func neverFinish(ctx context.Context, address string, talks bool) {
	conn, err := dialThin(ctx, address)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	go func() {
		<-ctx.Done()
		_ = conn.Close()
	}()
	if !talks {
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	if _, err := fmt.Fprintf(conn, "GET /live/x HTTP/1.1\r\nHost: %s\r\n", address); err != nil {
		return
	}
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for range tick.C {
		if _, err := fmt.Fprint(conn, "X-A: b\r\n"); err != nil {
			return
		}
	}
}

// readSlowly fetches a URL at a rate in bytes per second, over a thin line. It is
// good only if all bytes come.
func readSlowly(ctx context.Context, address, url string, rate int64) (got int64, err error) {
	conn, err := dialThin(ctx, address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", strings.TrimPrefix(url, "http://"+address), address); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 1<<10), nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %d", resp.StatusCode)
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for ; err == nil; <-tick.C {
		var n int64
		n, err = io.CopyN(io.Discard, resp.Body, rate/4)
		got += n
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return got, err
}
