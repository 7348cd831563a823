package control

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// client keeps no connections: a control plane that was killed and started again must
// not be asked by those of its last life.
var client = &http.Client{
	Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// RefusedError is an answer that is no success (RFC 9457).
type RefusedError struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	// RetryAfter is the header of that name.
	RetryAfter string `json:"-"`
}

func (p *RefusedError) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

// Call asks as the operator and reads the answer into into, unless that is nil. The
// ETag of what is to be changed is asked for first. An answer that is no success is a
// *RefusedError.
func (n *Node) Call(method, path string, body, into any) error {
	var header http.Header
	if method == http.MethodPut || method == http.MethodPatch || method == http.MethodDelete {
		_, read := n.ask(http.MethodGet, path, nil, nil)
		header = http.Header{"If-Match": read.Values("ETag")}
	}
	return n.CallWith(method, path, header, body, into)
}

// CallWith is Call with headers of the caller's choice and no question before it.
func (n *Node) CallWith(method, path string, header http.Header, body, into any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	res, err := n.send(method, path, header, text)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("reading the answer to %s %s: %w", method, path, err)
	}
	if res.StatusCode/100 != 2 {
		problem := &RefusedError{Status: res.StatusCode, RetryAfter: res.Header.Get("Retry-After")}
		if err := json.Unmarshal(answer, problem); err != nil {
			problem.Detail = string(answer)
		}
		return problem
	}
	if into == nil || len(answer) == 0 {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// Must is Call that fails the test.
func (n *Node) Must(method, path string, body, into any) {
	n.t.Helper()
	if err := n.Call(method, path, body, into); err != nil {
		n.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// Problem is the answer within an error; nil: err is something else.
func Problem(err error) *RefusedError {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused
	}
	return nil
}

// Refused is the status of an answer that is no success; 0: err is something else.
func Refused(err error) int {
	if p := Problem(err); p != nil {
		return p.Status
	}
	return 0
}

// ask gives an answer's status and header; 0: there was none.
func (n *Node) ask(method, path string, header http.Header, body []byte) (int, http.Header) {
	res, err := n.send(method, path, header, body)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header
}

func (n *Node) send(method, path string, header http.Header, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(n.t.Context(), method, n.URL()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", "Bearer "+n.key)
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPost && req.Header.Get("Idempotency-Key") == "" {
		req.Header.Set("Idempotency-Key", rand.Text())
	}
	return client.Do(req)
}
