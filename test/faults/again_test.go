package faults

import (
	"net/http"
	"sync/atomic"
)

// again makes a request once more whose connection ended before any byte of an
// answer came. RFC 9110 §9.2.2 lets clients do so with GET, and players do. Go's
// client does so by itself on connections that had been used before; this adds
// new ones, and counts them.
type again struct {
	http.RoundTripper
	count atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (a *again) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.RoundTripper.RoundTrip(r)
	if err == nil || r.Context().Err() != nil {
		return resp, err
	}
	a.count.Add(1)
	return a.RoundTripper.RoundTrip(r)
}
