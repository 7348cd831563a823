package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/ingest/playlist"
)

// look is the time from one look at a playlist to the next: the precision of what
// an Observer measures.
const look = 20 * time.Millisecond

// Observer reads one media playlist over and over, as many times a second as the
// budgets need, and remembers where it stands.
type Observer struct {
	url string

	mu       sync.Mutex
	seen     []Sight // each newest segment, in the order seen
	statuses map[int]int
	errors   int
	gates    []gate
	stop     func()
}

// Sight is what a media playlist shows at its end.
type Sight struct {
	// MSN is the media sequence number of the newest segment, Discontinuity its
	// discontinuity sequence.
	MSN, Discontinuity int64
	// At is when the newest segment was first seen.
	At time.Time
}

type gate struct {
	holds func(Sight) bool
	open  chan Sight
}

// Observe watches a media playlist until the test ends. Answers other than 200 are
// counted; they end nothing.
func Observe(t testing.TB, url string) *Observer {
	t.Helper()
	o := &Observer{url: url, statuses: make(map[int]int)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { o.watch(ctx) })
	o.stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(o.stop)
	return o
}

func (o *Observer) watch(ctx context.Context) {
	client := http.Client{Transport: new(http.Transport), Timeout: time.Minute}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		o.look(ctx, &client)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (o *Observer) look(ctx context.Context, client *http.Client) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url, nil)
	if err != nil {
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			o.count(0)
		}
		return
	}
	defer func() { _ = resp.Body.Close() }()
	o.count(resp.StatusCode)
	if resp.StatusCode != http.StatusOK {
		return
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return
	}
	media, err := playlist.ParseMedia(body)
	if err != nil || len(media.Segments) == 0 {
		return
	}
	s := Sight{MSN: media.MediaSequence + int64(len(media.Segments)) - 1, Discontinuity: media.DiscontinuitySequence, At: time.Now()}
	for _, segment := range media.Segments {
		if segment.Discontinuity {
			s.Discontinuity++
		}
	}
	o.see(s)
}

func (o *Observer) count(status int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if status == 0 {
		o.errors++
		return
	}
	o.statuses[status]++
}

// see takes note of the newest segment and opens the gates that waited for it.
func (o *Observer) see(s Sight) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.seen); n > 0 && o.seen[n-1].MSN == s.MSN && o.seen[n-1].Discontinuity == s.Discontinuity {
		return
	}
	o.seen = append(o.seen, s)
	waiting := o.gates[:0]
	for _, g := range o.gates {
		if g.holds(s) {
			g.open <- s
			continue
		}
		waiting = append(waiting, g)
	}
	o.gates = waiting
}

// Last is what was seen last; its numbers are -1 before the first playlist.
func (o *Observer) Last() Sight {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.seen) == 0 {
		return Sight{MSN: -1, Discontinuity: -1}
	}
	return o.seen[len(o.seen)-1]
}

// Stop ends the watch before the test ends.
func (o *Observer) Stop() { o.stop() }

// Statuses counts the answers by status, and Errors the requests without one.
func (o *Observer) Statuses() (statuses map[int]int, errors int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	statuses = make(map[int]int, len(o.statuses))
	for status, n := range o.statuses {
		statuses[status] = n
	}
	return statuses, o.errors
}

// ErrUnseen says that what was waited for did not come in time.
var ErrUnseen = errors.New("the playlist did not change as expected")

// Until returns the first sight that is as wanted, and waits for it if there was none yet.
func (o *Observer) Until(limit time.Duration, holds func(Sight) bool) (Sight, error) {
	o.mu.Lock()
	if i := slices.IndexFunc(o.seen, holds); i >= 0 {
		defer o.mu.Unlock()
		return o.seen[i], nil
	}
	g := gate{holds, make(chan Sight, 1)}
	o.gates = append(o.gates, g)
	o.mu.Unlock()
	select {
	case s := <-g.open:
		return s, nil
	case <-time.After(limit):
		return Sight{}, fmt.Errorf("%w within %v; it stands at %+v", ErrUnseen, limit, o.Last())
	}
}

// NewerThan waits for a segment after msn.
func (o *Observer) NewerThan(limit time.Duration, msn int64) (Sight, error) {
	return o.Until(limit, func(s Sight) bool { return s.MSN > msn })
}

// Beyond waits for a segment that comes after a discontinuity which was not there yet.
func (o *Observer) Beyond(limit time.Duration, discontinuity int64) (Sight, error) {
	return o.Until(limit, func(s Sight) bool { return s.Discontinuity > discontinuity })
}
