package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

type fingerprintKey struct{}

// fingerprintOf is the SHA-256 of a request's method, path and body, by which a repeated
// request is known from another one.
func fingerprintOf(ctx context.Context) [sha256.Size]byte {
	sum, _ := ctx.Value(fingerprintKey{}).([sha256.Size]byte)
	return sum
}

// readBody reads the whole body before the operation sees it. The framework answers 500
// to one that breaks off, and counts one octet too few.
func (a *API) readBody(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	if op.RequestBody == nil {
		next(huma.WithValue(ctx, fingerprintKey{}, fingerprint(ctx, nil)))
		return
	}
	r, w := humago.Unwrap(ctx)
	// Not every writer has deadlines: those of tests do not.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limitOf(op)))
	if err != nil {
		a.refuse(ctx, bodyProblem(err))
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	r.Body = io.NopCloser(bytes.NewReader(body))
	next(huma.WithValue(ctx, fingerprintKey{}, fingerprint(ctx, body)))
}

// bodyTimeout is how long the body of a request may take to arrive.
const bodyTimeout = 5 * time.Second

func bodyProblem(err error) *Problem {
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &tooLarge):
		return problem(codeTooLarge, fmt.Sprintf("the body may have %d octets", tooLarge.Limit))
	case errors.As(err, &network) && network.Timeout():
		return problem(codeRequestTimeout, fmt.Sprintf("the body did not arrive within %s", bodyTimeout))
	default:
		return problem(codeMalformed, "the body broke off")
	}
}

func fingerprint(ctx huma.Context, body []byte) [sha256.Size]byte {
	url := ctx.URL()
	hash := sha256.New()
	fmt.Fprintf(hash, "%s %s\n", ctx.Method(), url.EscapedPath())
	_, _ = hash.Write(body) // a hash takes everything
	return [sha256.Size]byte(hash.Sum(nil))
}
