package distribution

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi"
)

// errTooLarge is for bodies beyond their bound.
var errTooLarge = errors.New("the body is too large")

// problem is an error in the form of RFC 9457. The edges' protocol has few of them.
type problem struct {
	Type   string          `json:"type"`
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Code   controlapi.Code `json:"code"`
	Detail string          `json:"detail"`
}

// retryWithin spreads those who are asked to come back, in seconds. The edge adds up to
// a second, because the header has whole ones only.
const retryWithin = 5

// fail answers with an error. What an edge can do nothing about goes to the log.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, err error) {
	if isGone(r, err) {
		return
	}
	status, code, detail := http.StatusInternalServerError, controlapi.CodeInternal, "a fault of the control plane; its log tells more"
	known := (*controlapi.Error)(nil)
	errors.As(err, &known)
	switch c := controlapi.CodeOf(err); {
	case errors.Is(err, errTooLarge):
		status, code, detail = http.StatusRequestEntityTooLarge, controlapi.CodeInvalid, errTooLarge.Error()
	case c == controlapi.CodeUnauthenticated:
		status, code, detail = http.StatusUnauthorized, c, known.Message
		w.Header().Set("WWW-Authenticate", `Bearer realm="headrace"`)
	case c == controlapi.CodeInvalid:
		status, code, detail = http.StatusUnprocessableEntity, c, known.Field+": "+known.Message
	case c == controlapi.CodeNotFound:
		status, code, detail = http.StatusNotFound, c, known.Message
	case c == controlapi.CodeConflict:
		status, code, detail = http.StatusConflict, c, known.Message
	case c == controlapi.CodeUnavailable:
		status, code, detail = http.StatusServiceUnavailable, c, known.Message
	default:
		s.log.Error("answering an edge failed", zap.String("path", r.URL.Path), zap.Error(err))
	}
	if status >= http.StatusInternalServerError {
		w.Header().Set("Retry-After", strconv.Itoa(rand.IntN(retryWithin))) //nolint:gosec // it spreads load, and hides nothing
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(problem{ // a failed write is the asker's loss
		Type: "urn:headrace:problem:" + string(code), Title: http.StatusText(status), Status: status, Code: code, Detail: detail,
	})
}
