package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/headrace/headrace/controlapi"
)

// Authenticator knows the API keys.
type Authenticator interface {
	// Authenticate gives the scope of a bearer key, or an error of CodeUnauthenticated
	// that is the same for a key that is unknown, wrong, expired or revoked.
	Authenticate(ctx context.Context, key controlapi.Secret) (controlapi.Scope, error)
}

type scopeKey struct{}

// anyPermission is that of an operation which every key may use.
const anyPermission controlapi.Permission = "any"

// scopeOf is the scope of the request that a context belongs to. The zero scope, which
// reaches nothing, stands in where there is none.
func scopeOf(ctx context.Context) controlapi.Scope {
	scope, _ := ctx.Value(scopeKey{}).(controlapi.Scope)
	return scope
}

// authenticate lets a request through to its operation if its key is good, has the
// operation's permission, and has requests left.
func (a *API) authenticate(ctx huma.Context, next func(huma.Context)) {
	op, rec := ctx.Operation(), recordOf(ctx.Context())
	rec.operation = op.OperationID
	scope, err := a.scope(ctx.Context(), ctx.Header("Authorization"))
	if err != nil {
		a.refuse(ctx, err)
		return
	}
	rec.keyID, rec.reseller = scope.Actor(), scope.ResellerID()
	if wait := a.wait(scope); wait > 0 {
		p := problem(controlapi.CodeTooManyRequests, "too many requests: wait as long as Retry-After says")
		p.retryAfter = wait
		a.refuse(ctx, p)
		return
	}
	if permission := permissionOf(op); permission != anyPermission && !scope.Can(permission) {
		a.refuse(ctx, problem(controlapi.CodeForbidden, "the API key lacks the permission "+string(permission)))
		return
	}
	next(huma.WithValue(ctx, scopeKey{}, scope))
}

// scope is what a header Authorization opens.
func (a *API) scope(ctx context.Context, header string) (controlapi.Scope, error) {
	scheme, bearer, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") || bearer == "" || len(bearer) > 128 {
		return controlapi.Scope{}, problem(controlapi.CodeUnauthenticated, "an API key is needed: Authorization: Bearer hrk_…")
	}
	scope, err := a.services.Store.Authenticate(ctx, controlapi.Secret(bearer))
	return scope.WithRequestID(recordOf(ctx).requestID), err
}

// wait is how long a scope must wait until its key and its tenant have a request left.
func (a *API) wait(scope controlapi.Scope) time.Duration {
	now := time.Now()
	if wait := a.perKey.take(scope.Actor(), now); wait > 0 {
		return wait
	}
	return a.perTenant.take(scope.ResellerID(), now)
}

// refuse answers an operation with a problem.
func (a *API) refuse(ctx huma.Context, err error) {
	r, w := humago.Unwrap(ctx)
	a.write(w, r.WithContext(ctx.Context()), a.problemOf(ctx.Context(), err))
}

// operatorOnly lets those of this machine and operators' keys through.
func (a *API) operatorOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isOfThisMachine(r) {
			next.ServeHTTP(w, r)
			return
		}
		scope, err := a.scope(r.Context(), r.Header.Get("Authorization"))
		if err == nil && !scope.IsOperator() {
			err = problem(controlapi.CodeForbidden, "metrics are the operator's")
		}
		if err != nil {
			a.write(w, r, a.problemOf(r.Context(), err))
			return
		}
		next.ServeHTTP(w, r)
	})
}
