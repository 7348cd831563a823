package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/headrace/headrace/controlapi"
)

// operation is what is particular to one operation of the API. The rest follows from the
// function that registers it.
type operation struct {
	id      string // "create-user", for generated clients
	method  string
	path    string
	tag     string // the resource
	summary string
	about   string // more than the summary, for people
	// permission is what a key needs.
	permission controlapi.Permission
	// codes are the errors of this operation besides those that all of its kind have.
	codes []controlapi.Code
	// status is that of success; 0: 200.
	status int
}

// Keys of an operation's metadata.
const (
	metaPermission = "permission"
	metaCodes      = "codes"
	metaOnce       = "once"     // wants an Idempotency-Key
	metaIfMatch    = "if_match" // wants an If-Match
)

// bodyLimit bounds a body: a bouquet of ten thousand streams fits.
const bodyLimit = 512 << 10

func permissionOf(op *huma.Operation) controlapi.Permission {
	permission, _ := op.Metadata[metaPermission].(controlapi.Permission)
	return permission
}

func limitOf(op *huma.Operation) int64 { return op.MaxBodyBytes - 1 }

// tagged is a resource that can be changed: its entity tag is its version.
type tagged interface{ etag() string }

// etag writes a version as an entity tag.
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// What operations answer.
type (
	answered[T any] struct {
		Body T
	}
	answeredTagged[T any] struct {
		ETag string `header:"ETag" doc:"The version, for If-Match." example:"\"3\""`
		Body T
	}
	answeredOnce[T any] struct {
		ETag     string `header:"ETag" doc:"The version, for If-Match; absent where nothing can be changed." example:"\"1\""`
		Replayed string `header:"Idempotency-Replayed" doc:"\"true\" where the request was carried out before, and this is its answer." example:"true"`
		Body     T
	}
	nothing struct{}
)

// handler is an operation without HTTP.
type handler[I, T any] func(ctx context.Context, scope controlapi.Scope, in *I) (T, error)

// get registers an operation that reads a resource, or a list.
func get[I, T any](a *API, op operation, handle handler[I, T]) {
	op.method = http.MethodGet
	if op.permission == "" {
		op.permission = controlapi.PermissionRead
	}
	register(a, op, nil, func(ctx context.Context, in *I) (*answered[T], error) {
		body, err := handle(ctx, scopeOf(ctx), in)
		return &answered[T]{Body: body}, err
	})
}

// getTagged registers an operation that reads a resource that can be changed.
func getTagged[I any, T tagged](a *API, op operation, handle handler[I, T]) {
	op.method = http.MethodGet
	if op.permission == "" {
		op.permission = controlapi.PermissionRead
	}
	register(a, op, nil, func(ctx context.Context, in *I) (*answeredTagged[T], error) {
		body, err := handle(ctx, scopeOf(ctx), in)
		return &answeredTagged[T]{ETag: body.etag(), Body: body}, err
	})
}

// do registers an operation that may be repeated as it is.
func do[I, T any](a *API, op operation, handle handler[I, T]) {
	op.method = http.MethodPost
	register(a, op, nil, func(ctx context.Context, in *I) (*answered[T], error) {
		body, err := handle(ctx, scopeOf(ctx), in)
		return &answered[T]{Body: body}, err
	})
}

// change registers an operation that changes a resource whose version the caller knows.
func change[I any, T tagged](a *API, op operation, handle handler[I, T]) {
	op.codes = append(op.codes, controlapi.CodePreconditionRequired, controlapi.CodePreconditionFailed)
	register(a, op, map[string]any{metaIfMatch: true}, func(ctx context.Context, in *I) (*answeredTagged[T], error) {
		body, err := handle(ctx, scopeOf(ctx), in)
		return &answeredTagged[T]{ETag: body.etag(), Body: body}, err
	})
}

// remove registers an operation that takes a resource away whose version the caller knows.
func remove[I any](a *API, op operation, handle func(ctx context.Context, scope controlapi.Scope, in *I) error) {
	op.method, op.status = http.MethodDelete, http.StatusNoContent
	op.codes = append(op.codes, controlapi.CodePreconditionRequired, controlapi.CodePreconditionFailed)
	register(a, op, map[string]any{metaIfMatch: true}, func(ctx context.Context, in *I) (*nothing, error) {
		return &nothing{}, handle(ctx, scopeOf(ctx), in)
	})
}

// onceOnly registers an operation that takes effect once for each Idempotency-Key: the
// answer is kept in the transaction of the effect, and given again.
func onceOnly[I, T any, P interface {
	*I
	keyed
}](a *API, op operation, handle handler[I, T]) {
	if op.method == "" {
		op.method = http.MethodPost
	}
	if op.status == 0 {
		op.status = http.StatusCreated
	}
	op.codes = append(op.codes, controlapi.CodeIdempotencyKeyMissing, controlapi.CodeIdempotencyKeyReused, controlapi.CodeIdempotencyKeyInFlight)
	metadata := map[string]any{metaOnce: true}
	if _, changes := any(new(I)).(interface{ version() int64 }); changes {
		metadata[metaIfMatch] = true
		op.codes = append(op.codes, controlapi.CodePreconditionRequired, controlapi.CodePreconditionFailed)
	}
	register(a, op, metadata, func(ctx context.Context, in *I) (*answeredOnce[T], error) {
		out := &answeredOnce[T]{}
		replayed, err := a.once(ctx, P(in).key(), op.status, &out.Body, func(ctx context.Context) (any, error) { return handle(ctx, scopeOf(ctx), in) })
		if err != nil {
			return nil, err
		}
		if replayed {
			out.Replayed = "true"
		}
		if t, ok := any(out.Body).(tagged); ok {
			out.ETag = t.etag()
		}
		return out, nil
	})
}

// everyCodes are the errors that every operation may answer with.
var everyCodes = []controlapi.Code{
	codeMalformed, controlapi.CodeUnauthenticated, controlapi.CodeForbidden,
	controlapi.CodeInvalid, controlapi.CodeTooManyRequests, controlapi.CodeInternal, controlapi.CodeUnavailable,
}

// bodyCodes are those of operations that read a body.
var bodyCodes = []controlapi.Code{codeRequestTimeout, codeTooLarge, codeUnsupportedMediaType}

func register[I, O any](a *API, op operation, metadata map[string]any, handle func(context.Context, *I) (*O, error)) {
	if op.status == 0 {
		op.status = http.StatusOK
	}
	described := huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Tags: []string{op.tag}, Summary: op.summary, Description: op.about,
		DefaultStatus: op.status, MaxBodyBytes: bodyLimit + 1,
		Security:    []map[string][]string{{securityScheme: {}}},
		Metadata:    map[string]any{metaPermission: op.permission, metaCodes: op.codes},
		Middlewares: huma.Middlewares{a.authenticate, a.preconditions, a.readBody},
	}
	for name, value := range metadata {
		described.Metadata[name] = value
	}
	a.describeErrors(&described)
	huma.Register(a.huma, described, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			p := a.problemOf(ctx, err)
			recordOf(ctx).code = p.Code
			return nil, p
		}
		return out, nil
	})
}

// preconditions refuses what lacks the header that its operation needs.
func (a *API) preconditions(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	r, _ := humago.Unwrap(ctx)
	switch {
	case op.Metadata[metaOnce] != nil && !isIdempotencyKey(ctx.Header("Idempotency-Key")):
		a.refuse(ctx, problem(controlapi.CodeIdempotencyKeyMissing, "the header Idempotency-Key is needed: 1 to 128 visible ASCII characters, new for each intent"))
	case op.Metadata[metaIfMatch] != nil && len(r.Header.Values("If-Match")) != 1:
		a.refuse(ctx, problem(controlapi.CodePreconditionRequired, "the header If-Match is needed, once: the ETag of what was read"))
	default:
		next(ctx)
	}
}
