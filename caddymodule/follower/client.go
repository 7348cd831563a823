package follower

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/headrace/headrace/controlapi/snapshot"
)

// Control is where the control plane is and how both know each other.
type Control struct {
	// URL is its base URL, "https://control.example:8443". Plain http is for loopback.
	URL string
	// TokenFile holds the edge's credential; only its owner may read it. It is read
	// before each exchange, so that a new one is used at once.
	TokenFile string
	// Fingerprint is that of the certificate to trust; zero: what the system trusts.
	Fingerprint snapshot.Fingerprint
}

// Bounds of an exchange.
const (
	// lateAnswer is how long after its hold a poll is given up.
	lateAnswer = 5 * time.Second
	// transfer is what the rest of an answer may take once it has begun.
	transfer = 30 * time.Second
	// shortExchange bounds an acknowledgement and a join.
	shortExchange = 10 * time.Second
	maxProblem    = 4 << 10
)

// errUnreachable says that no connection came about.
var errUnreachable = errors.New("the control plane cannot be reached")

// busyError says that the control plane asks for patience.
type busyError struct {
	retryAfter time.Duration
	detail     string
}

func (e *busyError) Error() string { return "the control plane asks for patience: " + e.detail }

// statusError is any other refusal.
type statusError struct {
	status int
	detail string
}

func (e *statusError) Error() string {
	if e.status == http.StatusUnauthorized {
		return "the control plane does not accept this edge's credential (" + e.detail + "); make a join code for the edge and run `edge join`"
	}
	return fmt.Sprintf("the control plane answered %d: %s", e.status, e.detail)
}

// isFinal tells that the same request would be refused again.
func (e *statusError) isFinal() bool {
	return e.status/100 == 4 && e.status != http.StatusUnauthorized && e.status != http.StatusTooManyRequests
}

// client speaks the edges' protocol.
type client struct {
	base *url.URL
	http *http.Client
}

func newClient(c Control) (*client, error) {
	base, err := CheckURL(c.URL)
	if err != nil {
		return nil, err
	}
	// HTTP/1.1 on purpose: a request that is given up takes its connection with it,
	// and no dead one is used again.
	transport := &http.Transport{
		DialContext: (&net.Dialer{
			Timeout: dialTimeout,
			// A held poll is silent for half a minute. These find out in 11 s that
			// nobody is at the other end.
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
		}).DialContext,
		TLSClientConfig:     tlsConfig(c.Fingerprint),
		TLSHandshakeTimeout: 5 * time.Second,
		DisableCompression:  true, // poll does that, within bounds
		MaxIdleConns:        2,
		IdleConnTimeout:     time.Minute,
	}
	return &client{base: base, http: &http.Client{
		Transport: transport,
		// The credential goes nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answer is what a poll brought; octets are nil when there is nothing new.
type answer struct {
	octets []byte
	// version is what the control plane calls it, for a document that cannot be read.
	version snapshot.Version
}

// poll asks for a document that is not the one that the edge has had.
func (c *client) poll(ctx context.Context, credential string, have snapshot.Version, wait time.Duration, h snapshot.Health) (answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(wait*6/5+lateAnswer, func() { cancel(errors.New("no answer came in time")) })
	defer late.Stop()
	r, err := c.request(ctx, http.MethodGet, "/edge/v1/snapshot", credential, nil)
	if err != nil {
		return answer{}, err
	}
	r.URL.RawQuery = "have=" + have.String() + "&wait=" + wait.String()
	r.Header.Set("Accept-Encoding", "zstd, gzip")
	if report, err := json.Marshal(h); err == nil {
		r.Header.Set(snapshot.HealthHeader, string(report))
	}
	response, err := c.do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	late.Reset(transfer)
	if response.StatusCode == http.StatusNotModified {
		return answer{}, nil
	}
	a := answer{}
	a.version, _ = snapshot.ParseVersion(response.Header.Get(snapshot.VersionHeader))
	if a.octets, err = unpack(response.Header.Get("Content-Encoding"), response.Body); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return answer{}, fmt.Errorf("receiving snapshot %v: %w", a.version, err)
	}
	return a, nil
}

// ack says what became of a version.
func (c *client) ack(ctx context.Context, credential string, a snapshot.Ack) error {
	ctx, cancel := context.WithTimeout(ctx, shortExchange)
	defer cancel()
	response, err := c.post(ctx, "/edge/v1/ack", credential, a)
	if err != nil {
		return fmt.Errorf("acknowledging snapshot %v: %w", a.Version, err)
	}
	return response.Body.Close()
}

func (c *client) post(ctx context.Context, path, credential string, body any) (*http.Response, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := c.request(ctx, http.MethodPost, path, credential, b)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	return c.do(r)
}

func (c *client) request(ctx context.Context, method, path, credential string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	return r, nil
}

// do sends a request. Every answer but success and 304 is an error.
func (c *client) do(r *http.Request) (*http.Response, error) {
	response, err := c.http.Do(r)
	if err != nil {
		c.close()
		return nil, unreached(r.Context(), err)
	}
	if response.StatusCode/100 == 2 || response.StatusCode == http.StatusNotModified {
		return response, nil
	}
	defer func() { _ = response.Body.Close() }()
	detail := detailOf(response)
	retry, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if response.StatusCode == http.StatusServiceUnavailable && err == nil && retry >= 0 {
		return nil, &busyError{time.Duration(min(retry, 3600)) * time.Second, detail}
	}
	return nil, &statusError{response.StatusCode, detail}
}

// unreached tells a connection that did not come about from one that broke. What is
// left out is net/http's own "Get <URL>".
func unreached(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		err = failed.Err
	}
	if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" {
		return fmt.Errorf("%w: %w", errUnreachable, err)
	}
	return fmt.Errorf("asking the control plane: %w", err)
}

// detailOf is what a problem document (RFC 9457) says, or the status in words.
func detailOf(r *http.Response) string {
	var p struct {
		Detail string `json:"detail"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, maxProblem)).Decode(&p); err != nil || p.Detail == "" {
		return http.StatusText(r.StatusCode)
	}
	return snapshot.Reason(p.Detail)
}

// unpack reads a body of at most snapshot.MaxBytes, as it comes and as it is meant.
func unpack(coding string, body io.Reader) ([]byte, error) {
	body = io.LimitReader(body, snapshot.MaxBytes)
	switch coding {
	case "":
	case "gzip":
		r, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = r
	case "zstd":
		r, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(snapshot.MaxBytes))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		body = r
	default:
		return nil, fmt.Errorf("content coding %q was not asked for", coding)
	}
	b, err := io.ReadAll(io.LimitReader(body, snapshot.MaxBytes+1))
	if err == nil && len(b) > snapshot.MaxBytes {
		err = snapshot.ErrTooLarge
	}
	if b == nil {
		b = []byte{} // something came, and it was empty
	}
	return b, err
}
