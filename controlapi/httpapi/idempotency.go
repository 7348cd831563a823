package httpapi

import (
	"context"
	"encoding/hex"
	"encoding/json"

	"github.com/headrace/headrace/controlapi"
)

// Idempotency remembers the answers of requests that must not take effect twice.
type Idempotency interface {
	// Idempotent runs do in a transaction and keeps its answer in it, under the scope's
	// reseller and the key. If there is an answer already, do is not run, and that answer
	// is given; the error is of CodeIdempotencyKeyReused if it is that of another
	// fingerprint, of CodeIdempotencyKeyInFlight if it is not there yet.
	Idempotent(ctx context.Context, scope controlapi.Scope, key, fingerprint string, do func(ctx context.Context) (status int, body []byte, err error)) (status int, body []byte, replayed bool, err error)
}

// once carries out do, unless it was before, and puts its answer into body.
func (a *API) once(ctx context.Context, key string, status int, body any, do func(ctx context.Context) (any, error)) (replayed bool, err error) {
	sum := fingerprintOf(ctx)
	_, kept, replayed, err := a.services.Store.Idempotent(ctx, scopeOf(ctx), key, hex.EncodeToString(sum[:]), func(ctx context.Context) (int, []byte, error) {
		made, err := do(ctx)
		if err != nil {
			return 0, nil, err
		}
		text, err := json.Marshal(made)
		return status, text, err
	})
	if err != nil {
		return false, err
	}
	return replayed, json.Unmarshal(kept, body)
}
