package hls

import (
	"net/http"
	"time"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/caddymodule/streamtoken"
)

const methods = "GET, HEAD, OPTIONS"

// statusGone stands in logs and counters for a viewer who left before there was
// an answer; it never goes over the wire.
const statusGone = 499

// answer is one response while it is being made.
type answer struct {
	w       http.ResponseWriter
	r       *http.Request
	verdict streamtoken.Verdict
	grant   *streamtoken.Grant // of the verdict; nil if the token was not accepted
	began   time.Time

	header http.Header
	values []string
	status int
	sent   int // bytes of the body
}

// newAnswer begins an answer with the fields that every one has: whoever lacks
// Access-Control-Allow-Origin on an error makes players in browsers blind for the
// status, and the token must not travel on in a Referer.
func newAnswer(w http.ResponseWriter, r *http.Request) *answer {
	a := &answer{w: w, r: r, verdict: streamtoken.VerdictOf(r.Context()), header: w.Header()}
	if a.grant = a.verdict.Grant; a.grant != nil {
		a.began = a.grant.At
	} else {
		a.began = time.Now()
	}
	a.set("Access-Control-Allow-Origin", "*")
	a.set("Access-Control-Expose-Headers", "Age, Date, Content-Length, Content-Range")
	a.set("Timing-Allow-Origin", "*")
	a.set("Referrer-Policy", "no-referrer")
	a.set("X-Content-Type-Options", "nosniff")
	return a
}

// set sets a header field; the name has to be in canonical form. All values of an
// answer share one allocation, but none is shared between answers: Caddy's header
// directive replaces text inside them.
func (a *answer) set(name, value string) {
	if a.values == nil {
		a.values = make([]string, 0, 12)
	}
	n := len(a.values)
	a.values = append(a.values, value)
	a.header[name] = a.values[n : n+1 : n+1]
}

// begin sends the header.
func (a *answer) begin(status int) {
	a.status = status
	a.w.WriteHeader(status)
}

// body sends bytes after begin.
func (a *answer) body(b []byte) error {
	n, err := a.w.Write(b)
	a.sent += n
	return err
}

// fail answers with an error. The text is for people with curl; players look at
// the status.
func (a *answer) fail(status int, text string) {
	a.set("Cache-Control", "no-store")
	if text == "" {
		a.set("Content-Length", "0")
		a.begin(status)
		return
	}
	a.set("Content-Type", "text/plain; charset=utf-8")
	a.begin(status)
	if a.r.Method != http.MethodHead {
		_ = a.body([]byte(text + "\n")) // a viewer who has left misses nothing
	}
}

// retryLater asks a viewer to come back: soon, because a player that waits longer
// has nothing left to show.
func (a *answer) retryLater(text string) {
	a.set("Retry-After", "1")
	a.fail(http.StatusServiceUnavailable, text)
}

// gone notes that nobody is there any more.
func (a *answer) gone() { a.status = statusGone }

// preflight answers a browser that asks what it may ask.
func (a *answer) preflight() {
	a.set("Allow", methods)
	a.set("Access-Control-Allow-Methods", methods)
	a.set("Access-Control-Allow-Headers", "*")
	a.set("Access-Control-Max-Age", "86400")
	a.set("Cache-Control", "no-store")
	a.begin(http.StatusNoContent)
}

func (a *answer) kind() edge.RequestKind {
	if a.grant == nil {
		return edge.KindOther
	}
	return a.grant.Kind
}

// counted is how many bytes are still to be counted: those of an endless answer
// were, as they went.
func (a *answer) counted() int {
	if a.kind() == edge.KindLive && a.status == http.StatusOK {
		return 0
	}
	return a.sent
}
