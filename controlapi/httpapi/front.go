package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi"
)

// record is what becomes known of a request while it is answered, for its log line.
type record struct {
	requestID string
	keyID     string // of the API key, once it is authenticated
	reseller  string
	operation string
	code      string // of the problem that was answered
}

type recordKey struct{}

// recordOf is the record of the request that a context belongs to; one of its own where
// there is none, so that callers need not ask.
func recordOf(ctx context.Context) *record {
	if r, ok := ctx.Value(recordKey{}).(*record); ok {
		return r
	}
	return &record{}
}

// answerTimeout is how long an answer may take to be sent.
const answerTimeout = 30 * time.Second

// front is what every request passes: it gets an id, a log line and a time limit, is shed
// where too many are in flight, and a panic below becomes a problem.
func (a *API) front(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		rec := &record{requestID: requestID(r)}
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), recordKey{}, rec), a.options.Timeout)
		defer cancel()
		r = r.WithContext(ctx)
		out := &answer{ResponseWriter: w}
		// A reader that is too slow holds a connection, but not for ever. Not every writer
		// has deadlines: those of tests do not.
		_ = http.NewResponseController(w).SetWriteDeadline(begun.Add(a.options.Timeout + answerTimeout))
		h := out.Header()
		h.Set("Request-Id", rec.requestID)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		defer func() {
			if thrown := recover(); thrown != nil {
				a.recovered(out, r, thrown)
			}
			a.account(r, rec, out, time.Since(begun))
		}()
		if isText := utf8.ValidString(r.URL.Path) && isTextQuery(r.URL.RawQuery); !isText {
			a.write(out, r, problem(codeMalformed, "the path and the query must be UTF-8 text, escaped by the rules of URLs"))
			return
		}
		if n := a.inFlight.Add(1); n > int64(a.options.MaxInFlight) {
			a.inFlight.Add(-1)
			a.metrics.shed.Inc()
			a.write(out, r, unavailable("too many requests are being answered at the moment; nothing was done"))
			return
		}
		defer a.inFlight.Add(-1)
		next.ServeHTTP(out, r)
	})
}

// requestID is the caller's own id where it is a decent one, so that logs of both sides
// meet; else a random one.
func requestID(r *http.Request) string {
	id := r.Header.Get("Request-Id")
	isDecent := len(id) >= 8 && len(id) <= 64 && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
	if isDecent {
		return id
	}
	return rand.Text()
}

func isTextQuery(raw string) bool {
	text, err := url.QueryUnescape(raw)
	return err == nil && utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

// recovered answers for a handler that panicked.
func (a *API) recovered(w *answer, r *http.Request, thrown any) {
	if err, ok := thrown.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(thrown) // the server's own way to cut a connection
	}
	a.log.Error("request panicked", zap.Any("panic", thrown), zap.String("route", r.Pattern),
		zap.String("request_id", recordOf(r.Context()).requestID), zap.ByteString("stack", debug.Stack()))
	if w.status == 0 {
		a.write(w, r, problem(controlapi.CodeInternal, internalDetail))
	}
}

// account counts a request and writes its log line. Neither holds anything that a caller
// sent but the path, and that only where it leads to a route: it consists of ids then.
func (a *API) account(r *http.Request, rec *record, w *answer, took time.Duration) {
	route := r.Pattern
	if route == "" {
		route = "none"
	}
	a.metrics.observe(route, w.status, took)
	line := a.log.Check(zap.InfoLevel, "request answered")
	if line == nil {
		return
	}
	fields := []zap.Field{
		zap.String("request_id", rec.requestID), zap.String("route", route), zap.Int("status", w.status),
		zap.Duration("duration", took), zap.Int64("octets", w.octets), zap.String("client_ip", clientIP(r)),
	}
	for _, field := range []zap.Field{
		zap.String("operation", rec.operation), zap.String("api_key_id", rec.keyID), zap.String("reseller_id", rec.reseller), zap.String("code", rec.code),
	} {
		if field.String != "" {
			fields = append(fields, field)
		}
	}
	line.Write(fields...)
}

// clientIP is where a request comes from, without the port.
func clientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// answer remembers what was answered.
type answer struct {
	http.ResponseWriter
	status int
	octets int64
}

func (w *answer) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.octets += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController through.
func (w *answer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
