package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
)

// load asks for URLs in turn, so many times a second whatever the answers take
// (open loop), over connections that are kept as players keep them.
//
// A request that fails on a connection that had been used before, and before any
// byte of an answer, is made once more on a new one, as RFC 9110 §9.2.2 lets
// clients do and as browsers do: a server may close an idle connection at the very
// moment it is used again. Go's client does so by itself; here it is counted.
type load struct {
	client *http.Client
	fresh  *again // nil: a request that fails on a new connection has failed
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu  sync.Mutex
	got loadReport
}

// loadReport is what became of a load.
type loadReport struct {
	latency  figures
	statuses map[int]int
	reused   int   // attempts that failed on a reused connection and were made again
	fresh    int   // the same on a new connection, if the load does that
	broken   []cut // failed for good
	skipped  int   // not made, because too many were under way
	rate     float64
}

// cut is a request without an answer.
type cut struct {
	sent time.Time
	err  error
}

// Bounds of a load: requests that wait for their answers, and connections that it
// keeps for later ones.
const (
	mostUnderWay = 512
	mostKept     = 64
)

// startLoad begins to ask for what next names, so many times a second.
func startLoad(t *testing.T, perSecond int, next func(i int) string) *load {
	t.Helper()
	l := newLoad()
	l.start(t, perSecond, next)
	return l
}

// startStubbornLoad is startLoad with requests that are made once more if they
// fail on a new connection.
func startStubbornLoad(t *testing.T, perSecond int, next func(i int) string) *load {
	t.Helper()
	l := newLoad()
	l.fresh = &again{RoundTripper: l.client.Transport}
	l.client.Transport = l.fresh
	l.start(t, perSecond, next)
	return l
}

func newLoad() *load {
	return &load{
		client: &http.Client{
			Transport: &http.Transport{MaxIdleConns: mostKept, MaxIdleConnsPerHost: mostKept, MaxConnsPerHost: 256, DisableCompression: true},
			Timeout:   20 * time.Second,
		},
		got: loadReport{latency: figures{name: "latency"}, statuses: make(map[int]int)},
	}
}

func (l *load) start(t *testing.T, perSecond int, next func(i int) string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.ended.Go(func() { l.run(ctx, perSecond, next) })
	t.Cleanup(func() { l.stop() })
}

// run makes requests by the clock: a late tick makes up for what it missed.
func (l *load) run(ctx context.Context, perSecond int, next func(i int) string) {
	defer l.idle()
	slots := make(chan struct{}, mostUnderWay)
	var under sync.WaitGroup
	defer under.Wait()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	began, made := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			l.mu.Lock()
			l.got.rate = float64(made) / time.Since(began).Seconds()
			l.mu.Unlock()
			return
		case <-tick.C:
		}
		for due := int(time.Since(began).Seconds() * float64(perSecond)); made < due; made++ {
			select {
			case slots <- struct{}{}:
				url := next(made)
				under.Go(func() {
					l.ask(url)
					<-slots
				})
			default:
				l.mu.Lock()
				l.got.skipped++
				l.mu.Unlock()
			}
		}
	}
}

func (l *load) ask(url string) {
	sent := time.Now()
	status, attempts, err := l.once(url)
	took := time.Since(sent)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got.reused += max(attempts-1, 0)
	if err != nil {
		l.got.broken = append(l.got.broken, cut{sent, err})
		return
	}
	l.got.statuses[status]++
	l.got.latency.add(took)
}

// once makes one request, on as many connections as that takes, and reads its answer.
func (l *load) once(url string) (status, attempts int, err error) {
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { attempts++ },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, attempts, err
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return 0, attempts, err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return resp.StatusCode, attempts, err
	}
	return resp.StatusCode, attempts, nil
}

// idle closes the connections that are kept.
func (l *load) idle() {
	if l.fresh != nil {
		l.fresh.RoundTripper.(*http.Transport).CloseIdleConnections()
		return
	}
	l.client.CloseIdleConnections()
}

// stop ends the load, waits for what is under way, and returns what became of it.
func (l *load) stop() loadReport {
	l.cancel()
	l.ended.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.got
	if l.fresh != nil {
		r.fresh = int(l.fresh.count.Load())
		r.reused -= r.fresh
	}
	r.statuses = maps.Clone(r.statuses)
	return r
}

func (r loadReport) String() string {
	return fmt.Sprintf("%.0f/s, %v, statuses %v, %d broken (%d resets), made again: %d on a reused connection, %d on a new one; %d skipped",
		r.rate, &r.latency, r.statuses, len(r.broken), r.resets(), r.reused, r.fresh, r.skipped)
}

// serverErrors counts answers of 5xx.
func (r loadReport) serverErrors() (n int) {
	for status, count := range r.statuses {
		if status/100 == 5 {
			n += count
		}
	}
	return n
}

// others counts answers other than 200.
func (r loadReport) others() (n int) {
	for status, count := range r.statuses {
		if status != http.StatusOK {
			n += count
		}
	}
	return n
}

// resets counts requests that were broken by a connection that was reset or closed.
func (r loadReport) resets() (n int) {
	for _, c := range r.broken {
		if errors.Is(c.err, syscall.ECONNRESET) || errors.Is(c.err, io.EOF) || errors.Is(c.err, io.ErrUnexpectedEOF) || errors.Is(c.err, net.ErrClosed) {
			n++
		}
	}
	return n
}

// brokenBetween counts requests without an answer that were sent in a time.
func (r loadReport) brokenBetween(from, to time.Time) (n int) {
	for _, c := range r.broken {
		if c.sent.After(from) && c.sent.Before(to) {
			n++
		}
	}
	return n
}

// audience gives a load what viewers of streams ask for: in turn a multivariant
// playlist, two media playlists, and the newest segment that was seen.
func audience(t *testing.T, n *edge.Node, streams []edge.Stream, sights []*edge.Observer) func(i int) string {
	t.Helper()
	bases := make([]string, len(streams))
	for i, s := range streams {
		bases[i] = n.BaseURL(s.ID)
	}
	return func(i int) string {
		which := i / 4 % len(streams)
		switch i % 4 {
		case 0:
			return bases[which] + "index.m3u8"
		case 1:
			return fmt.Sprintf("%s%s/%d.ts", bases[which], edge.Rendition, sights[which].Last().MSN)
		}
		return bases[which] + edge.Rendition + "/index.m3u8"
	}
}
