package nodehealth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/headrace/headrace/controlapi/probe"
)

// Cadence of the probes.
const (
	defaultInterval = time.Second
	jitter          = 0.1 // of the interval, more or less
	probeTimeout    = 800 * time.Millisecond
)

// prober asks one edge for its health, again and again. Its address comes from the
// inventory, never from who registers.
type prober struct {
	edge   string
	url    string
	key    probe.Key
	client *http.Client
	// interval is from the start of one probe to that of the next.
	interval time.Duration
	// skew is how far the edge's clock is ahead of ours, as far as probes go.
	skew time.Duration
}

// answer is what became of a probe.
type answer struct {
	document *Document
	took     time.Duration
	offset   time.Duration // of the edge's clock
	err      error
}

// run probes until ctx is done and hands each answer to tell. The first probe comes at a
// random moment within the interval, so that a thousand edges are not asked at once.
func (p *prober) run(ctx context.Context, tell func(answer)) {
	wait := time.Duration(rand.Float64() * float64(p.interval) / 2) //nolint:gosec // spreading needs no secrecy
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		started := time.Now()
		a := p.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		tell(a)
		spread := 1 + jitter*(2*rand.Float64()-1) //nolint:gosec // as above
		timer.Reset(max(0, time.Duration(spread*float64(p.interval))-time.Since(started)))
	}
}

// ask puts one question, and once more by the edge's clock if that is what it asks for.
func (p *prober) ask(ctx context.Context) answer {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	a := p.once(ctx)
	if errors.Is(a.err, errOtherTime) {
		a = p.once(ctx)
	}
	return a
}

// errOtherTime says that the edge's clock shows another time; the skew is known now.
var errOtherTime = errors.New("the edge's clock shows another time")

func (p *prober) once(ctx context.Context) answer {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return answer{err: fmt.Errorf("the address %q is no URL: %w", p.url, err)}
	}
	q := probe.Ask(p.edge, time.Now().Add(p.skew))
	r.Header.Set(probe.Header, q.Header(p.key))
	started := time.Now()
	response, err := p.client.Do(r)
	if err != nil {
		return answer{err: withoutURL(err)}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	received := time.Now()
	took := received.Sub(started)
	switch {
	case err != nil:
		return answer{err: fmt.Errorf("reading the answer: %w", err)}
	case len(body) > maxDocument:
		return answer{err: fmt.Errorf("the answer is longer than %d octets", maxDocument)}
	case response.StatusCode != http.StatusOK && response.StatusCode != http.StatusUnauthorized:
		return answer{err: fmt.Errorf("it answered with status code %d", response.StatusCode)}
	}
	at, err := q.Verify(p.key, response.Header.Get(probe.Header), response.StatusCode, body)
	if err != nil {
		return answer{err: fmt.Errorf("status code %d: %w; if the edge joined anew, it has another credential", response.StatusCode, err)}
	}
	p.skew = at.Sub(received.Add(-took / 2))
	if response.StatusCode == http.StatusUnauthorized {
		return answer{err: errOtherTime}
	}
	d, err := parseDocument(body)
	if err == nil && d.EdgeID != p.edge {
		err = fmt.Errorf("it answered as edge %q", d.EdgeID)
	}
	if err != nil {
		return answer{err: err}
	}
	return answer{document: d, took: took, offset: d.clockOffset(received, took)}
}

// withoutURL takes the address from an error: who reads it knows which edge it is about.
func withoutURL(err error) error {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		if inner.Timeout() {
			return errors.New("no answer in time")
		}
		return inner.Err
	}
	return err
}

// newClient makes the client of all probers. It goes straight to the edges: a proxy that
// the environment names is not asked, and a redirect is no answer.
func newClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{
			DialContext:            (&net.Dialer{Timeout: defaultInterval, KeepAlive: 15 * time.Second}).DialContext,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
