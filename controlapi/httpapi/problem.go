package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi"
)

// Problem is what every error of the API looks like (RFC 9457), as application/problem+json.
type Problem struct { //nolint:errname // it is called so in the document, and in RFC 9457
	Type   string  `json:"type" doc:"The kind of problem, as a URI. It ends in the code." example:"urn:headrace:problem:not_found" format:"uri"`
	Title  string  `json:"title" doc:"The HTTP status in words." example:"Not Found"`
	Status int     `json:"status" doc:"The HTTP status." example:"404"`
	Code   string  `json:"code" doc:"The kind of problem for programs. Codes are stable, texts are not." example:"not_found"`
	Detail string  `json:"detail" doc:"What is wrong and what to do, for people." example:"there is no such user"`
	Errors []Fault `json:"errors,omitempty" doc:"What is wrong with which part of the request."`

	retryAfter time.Duration
}

// Fault is one part of a request that is wrong. It never holds the value that was sent.
type Fault struct {
	Location string `json:"location" doc:"The part: body, query, header or path, then its name." example:"body.name"`
	Message  string `json:"message" doc:"What is wrong with it." example:"expected length >= 1"`
}

// Codes of requests that HTTP itself refuses, besides those of the domain.
const (
	codeMalformed            controlapi.Code = "malformed"
	codeMethodNotAllowed     controlapi.Code = "method_not_allowed"
	codeRequestTimeout       controlapi.Code = "request_timeout"
	codeTooLarge             controlapi.Code = "too_large"
	codeUnsupportedMediaType controlapi.Code = "unsupported_media_type"
)

// meaning is what a code is to HTTP, and to whoever reads the document.
type meaning struct {
	status int
	text   string
}

// meanings is the one place that maps codes to HTTP.
var meanings = map[controlapi.Code]meaning{
	codeMalformed:                         {http.StatusBadRequest, "the request cannot be read"},
	controlapi.CodeIdempotencyKeyMissing:  {http.StatusBadRequest, "the header Idempotency-Key is missing or is none"},
	controlapi.CodeUnauthenticated:        {http.StatusUnauthorized, "the API key is missing, unknown, expired or revoked"},
	controlapi.CodeInsufficientCredits:    {http.StatusPaymentRequired, "the account has not enough credits"},
	controlapi.CodeForbidden:              {http.StatusForbidden, "the API key lacks the permission"},
	controlapi.CodeNotFound:               {http.StatusNotFound, "it does not exist, or not for this API key"},
	codeMethodNotAllowed:                  {http.StatusMethodNotAllowed, "the path exists, but not with this method"},
	codeRequestTimeout:                    {http.StatusRequestTimeout, "the request's body did not arrive in time"},
	controlapi.CodeConflict:               {http.StatusConflict, "the present state does not allow it"},
	controlapi.CodeExists:                 {http.StatusConflict, "something else has this id or name"},
	controlapi.CodeIdempotencyKeyInFlight: {http.StatusConflict, "the first request with this Idempotency-Key is still running"},
	controlapi.CodePreconditionFailed:     {http.StatusPreconditionFailed, "it was changed since it was read: read it again"},
	codeTooLarge:                          {http.StatusRequestEntityTooLarge, "the request's body is too large"},
	codeUnsupportedMediaType:              {http.StatusUnsupportedMediaType, "bodies are JSON"},
	controlapi.CodeInvalid:                {http.StatusUnprocessableEntity, "a part of the request is not what it must be"},
	controlapi.CodeIdempotencyKeyReused:   {http.StatusUnprocessableEntity, "this Idempotency-Key belongs to another request"},
	controlapi.CodePreconditionRequired:   {http.StatusPreconditionRequired, "the header If-Match is missing"},
	controlapi.CodeTooManyRequests:        {http.StatusTooManyRequests, "this key or tenant sends too many requests"},
	controlapi.CodeInternal:               {http.StatusInternalServerError, "a fault of ours, which is in our log"},
	controlapi.CodeUnavailable:            {http.StatusServiceUnavailable, "the database cannot be reached, or too much is going on"},
}

// byStatus names the codes of the errors that the framework finds by itself.
var byStatus = map[int]controlapi.Code{
	http.StatusBadRequest:            codeMalformed,
	http.StatusNotFound:              controlapi.CodeNotFound,
	http.StatusMethodNotAllowed:      codeMethodNotAllowed,
	http.StatusRequestTimeout:        codeRequestTimeout,
	http.StatusRequestEntityTooLarge: codeTooLarge,
	http.StatusUnsupportedMediaType:  codeUnsupportedMediaType,
	http.StatusUnprocessableEntity:   controlapi.CodeInvalid,
}

const internalDetail = "something went wrong on our side; the header Request-Id names the line in our log"

// The framework keeps these for the whole program.
func init() {
	huma.NewError = newError
	huma.ValidateStrictCasing = true // "Name" is not "name": it would pass around the checks of a field
}

// newError is how the framework makes errors. It drops the values that were sent, which
// its own model would echo, and whatever an internal error says.
func newError(status int, message string, errs ...error) huma.StatusError {
	code, isKnown := byStatus[status]
	if !isKnown {
		return problem(controlapi.CodeInternal, internalDetail)
	}
	if len(errs) > 0 {
		message = meanings[code].text
	}
	p := problem(code, message)
	for _, err := range errs {
		var detailed huma.ErrorDetailer
		switch {
		case err == nil:
		case errors.As(err, &detailed):
			d := detailed.ErrorDetail()
			p.Errors = append(p.Errors, Fault{Location: cut(d.Location), Message: cut(d.Message)})
		default:
			p.Errors = append(p.Errors, Fault{Message: cut(err.Error())})
		}
	}
	return p
}

// cut bounds a text that may hold a name that the caller chose.
func cut(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// problem makes the problem of a code.
func problem(code controlapi.Code, detail string) *Problem {
	status := meanings[code].status
	return &Problem{
		Type: "urn:headrace:problem:" + string(code), Title: http.StatusText(status), Status: status, Code: string(code), Detail: detail,
	}
}

// problemOf makes the problem of an error that a service returned. What is not meant for
// callers goes to the log.
func (a *API) problemOf(ctx context.Context, err error) *Problem {
	var known *controlapi.Error
	var made *Problem
	switch {
	case errors.As(err, &made):
		return made
	case errors.As(err, &known) && meanings[known.Code].status < http.StatusInternalServerError && meanings[known.Code].status > 0:
		p := problem(known.Code, known.Message)
		if known.Field != "" {
			p.Errors = []Fault{{Location: known.Field, Message: known.Message}}
		}
		if known.Code == controlapi.CodeIdempotencyKeyInFlight {
			p.retryAfter = time.Second
		}
		return p
	case errors.As(err, &known) && known.Code == controlapi.CodeUnavailable,
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		a.log.Warn("service unavailable", zap.Error(err), zap.String("request_id", recordOf(ctx).requestID))
		if known != nil && known.Code == controlapi.CodeUnavailable {
			return unavailable(known.Message)
		}
		return unavailable("the service cannot answer at the moment; nothing was changed")
	default:
		a.log.Error("request failed", zap.Error(err), zap.String("request_id", recordOf(ctx).requestID))
		return problem(controlapi.CodeInternal, internalDetail)
	}
}

func unavailable(detail string) *Problem {
	p := problem(controlapi.CodeUnavailable, detail)
	p.retryAfter = time.Second
	return p
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is application/problem+json.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders are the headers that go with the problem.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="headrace"`)
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retryAfter+time.Second-1)/time.Second)))
	}
	return h
}

// write answers with a problem where the framework is not, or not yet.
func (a *API) write(w http.ResponseWriter, r *http.Request, p *Problem) {
	recordOf(r.Context()).code = p.Code
	h := w.Header()
	for name, values := range p.GetHeaders() {
		h[name] = values
	}
	h.Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	if r.Method == http.MethodHead {
		return
	}
	if err := json.NewEncoder(w).Encode(p); err != nil {
		a.log.Debug("problem not delivered", zap.Error(err))
	}
}
