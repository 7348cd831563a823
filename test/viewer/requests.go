package viewer

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"sync"
	"time"
)

// RequestOptions says how Requests makes them.
type RequestOptions struct {
	// Client makes the requests; nil means a transport with a keep-alive
	// connection per worker.
	Client *http.Client
	// Workers is how many requests may be under way at once. Default 64.
	Workers int
	// Timeout bounds one request. Default 10 s.
	Timeout time.Duration
}

// Requests sends GET requests to the URLs in turn at a fixed rate per second until
// the context ends, and returns what came of them.
//
// The rate does not yield to a slow server: a request is due at its time, its
// latency counts from then, and one that is due while all workers are busy and
// as many wait is dropped and counted. Playlists (".m3u8") and everything else,
// as segments, are told apart by their path.
func Requests(ctx context.Context, urls []string, rate float64, o RequestOptions) *Stats {
	r := newRecorder()
	if o.Workers <= 0 {
		o.Workers = 64
	}
	if o.Client == nil {
		t := &http.Transport{MaxConnsPerHost: o.Workers, MaxIdleConnsPerHost: o.Workers, DisableCompression: true}
		defer t.CloseIdleConnections()
		o.Client = &http.Client{Transport: t}
	}
	targets := make([]*url.URL, 0, len(urls))
	for _, s := range urls {
		if u, err := url.Parse(s); err != nil {
			r.errors.Add(1)
		} else {
			targets = append(targets, u)
		}
	}
	if len(targets) == 0 || rate <= 0 {
		return r.stats()
	}
	c := newClient(r, o.Client, o.Timeout)
	jobs := make(chan job, o.Workers)
	var wg sync.WaitGroup
	for range o.Workers {
		wg.Go(func() {
			for j := range jobs {
				c.request(ctx, j)
			}
		})
	}
	schedule(ctx, r, jobs, targets, rate)
	close(jobs)
	wg.Wait()
	return r.stats()
}

// job is one request and when it is due.
type job struct {
	url *url.URL
	due time.Time
}

// schedule hands out jobs as they come due, until the context ends.
func schedule(ctx context.Context, r *recorder, jobs chan<- job, targets []*url.URL, rate float64) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	start := time.Now()
	for n := 0; ; n++ {
		// Counted from the start, so that no error adds up.
		due := start.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
		}
		if ctx.Err() != nil {
			return
		}
		select {
		case jobs <- job{targets[n%len(targets)], due}:
		default:
			r.droppings.Add(1)
		}
	}
}

// request makes one request and throws the answer away.
func (c *client) request(ctx context.Context, j job) {
	if ctx.Err() != nil {
		return // the run is over; what is still queued was never sent
	}
	resp, cancel, ok := c.get(ctx, j.url)
	defer cancel()
	if !ok {
		return
	}
	defer resp.Body.Close()
	n, err := discard(resp.Body)
	c.recorder.bytes.Add(n)
	switch took := time.Since(j.due); {
	case err != nil:
		c.failed(ctx)
	case path.Ext(j.url.Path) == ".m3u8":
		c.recorder.playlists.observe(took)
	default:
		c.recorder.segments.observe(took)
	}
}
