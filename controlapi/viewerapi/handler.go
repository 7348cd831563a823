// Package viewerapi is what players touch of the control plane: the entry URL
// /play/<stream>, which sends a viewer to an edge.
package viewerapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi"
)

// Playback decides who may watch, and where. The URLs that it gives hold the token.
type Playback interface {
	// EnterByToken finds an edge for the bearer of a stream token.
	EnterByToken(ctx context.Context, streamID, token string, client netip.Addr) (string, error)
	// EnterByKey makes a token for the user of a play key, and finds an edge.
	EnterByKey(ctx context.Context, streamID string, key controlapi.Secret, client netip.Addr) (string, error)
}

// Options bound what the entry may cost. The zero value is usable.
type Options struct {
	// MaxInFlight bounds the requests that are being answered; more are shed with a 503.
	// Default: 512.
	MaxInFlight int
	// Timeout bounds one request. Default: 5 s.
	Timeout time.Duration
	// Log is told what failed on our side; nil: nobody is. It never sees a token or a key.
	Log *zap.Logger
}

// Entry answers GET, HEAD and OPTIONS of /play/<stream>.
type Entry struct {
	playback Playback
	timeout  time.Duration
	log      *zap.Logger
	places   chan struct{}
}

// New makes the entry.
func New(playback Playback, o Options) *Entry {
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 512
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Entry{playback: playback, timeout: o.Timeout, log: o.Log, places: make(chan struct{}, o.MaxInFlight)}
}

// maxCredential bounds a token or a play key: a token has 320 octets at the most.
const maxCredential = 320

// ServeHTTP answers with a redirect to the edge, or with a sentence for the viewer.
func (e *Entry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Access-Control-Allow-Origin", "*")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", allowed)
		h.Set("Access-Control-Allow-Headers", "*")
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		h.Set("Allow", allowed)
		e.say(w, r, refusal{status: http.StatusMethodNotAllowed, words: "This address is for watching only."})
		return
	}
	select {
	case e.places <- struct{}{}:
		defer func() { <-e.places }()
	default:
		e.say(w, r, busy)
		return
	}
	to, refused := e.enter(r)
	if refused.status != 0 {
		e.say(w, r, refused)
		return
	}
	// Not http.Redirect: it would write the URL, and with it the token, into a body.
	h.Set("Location", to)
	w.WriteHeader(http.StatusFound)
}

const allowed = "GET, HEAD, OPTIONS"

func (e *Entry) enter(r *http.Request) (to string, refused refusal) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", unclear
	}
	tokens, keys := query["token"], query["key"]
	if len(tokens)+len(keys) != 1 || len(first(tokens, keys)) > maxCredential {
		return "", unclear
	}
	stream := r.PathValue("stream")
	if controlapi.CheckID("stream", stream) != nil {
		return "", unknown
	}
	ctx, cancel := context.WithTimeout(r.Context(), e.timeout)
	defer cancel()
	if len(tokens) == 1 {
		to, err = e.playback.EnterByToken(ctx, stream, tokens[0], clientOf(r))
	} else {
		to, err = e.playback.EnterByKey(ctx, stream, controlapi.Secret(keys[0]), clientOf(r))
	}
	if err != nil {
		return "", e.refuse(stream, err)
	}
	return to, refusal{}
}

func first(lists ...[]string) string {
	for _, list := range lists {
		if len(list) > 0 {
			return list[0]
		}
	}
	return ""
}

// clientOf is the viewer's address; the zero one where it is not known.
func clientOf(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// refusal is what a viewer is told.
type refusal struct {
	status int
	words  string
	// again says that it is worth asking again soon.
	again bool
}

var (
	unclear  = refusal{status: http.StatusBadRequest, words: "This address is not complete: it needs exactly one ?token= or one ?key=. Copy it again as you were given it."}
	unknown  = refusal{status: http.StatusNotFound, words: "There is no such channel."}
	stranger = refusal{status: http.StatusForbidden, words: "This address is not valid, or not any more. Ask your provider for a new one."}
	busy     = refusal{status: http.StatusServiceUnavailable, words: "Too many viewers are arriving at once. Try again in a moment.", again: true}
	down     = refusal{status: http.StatusServiceUnavailable, words: "The channel cannot be reached at the moment. Try again in a moment.", again: true}
)

// refuse puts an error in words.
func (e *Entry) refuse(stream string, err error) refusal {
	switch controlapi.CodeOf(err) {
	case controlapi.CodeNotFound:
		return unknown
	case controlapi.CodeUnauthenticated, controlapi.CodeInvalid:
		return stranger
	case controlapi.CodeForbidden, controlapi.CodeConflict:
		// The message is made for this: "your subscription has ended".
		var known *controlapi.Error
		errors.As(err, &known)
		return refusal{status: http.StatusForbidden, words: known.Message + "."}
	default:
		e.log.Warn("viewer turned away", zap.String("stream_id", stream), zap.Error(err))
		return down
	}
}

func (e *Entry) say(w http.ResponseWriter, r *http.Request, said refusal) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if said.again {
		h.Set("Retry-After", "2")
	}
	w.WriteHeader(said.status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, said.words+"\n") // the viewer has gone, if that fails
	}
}
