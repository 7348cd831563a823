package probe

import (
	"errors"
	"sync"
	"time"
)

// ErrStale says that a question is well signed, but for another time than the edge's, or
// for one before it started. Answer it with the edge's time: the asker asks again by that.
var ErrStale = errors.New("the probe is for another time than that of this edge")

// ErrReplayed says that a question was heard before.
var ErrReplayed = errors.New("the probe was heard before")

// Window is how far the time of a question may be from the edge's.
const Window = 30 * time.Second

// mostRemembered bounds the questions that are remembered. Only well-signed ones are, so
// that a stranger cannot fill it; twenty control instances that ask twice a second do not.
const mostRemembered = 4096

// Gate lets the questions in that were put to this edge, just now, for the first time.
// Its methods may be called by several goroutines at once.
type Gate struct {
	// started is when this gate began: what came before cannot be remembered, so it is stale.
	started time.Time

	mu    sync.Mutex
	heard map[string]time.Time // nonce → the question's time
	swept time.Time            // when what is too old to come again was last forgotten
}

// NewGate makes a gate that has heard nothing yet.
func NewGate() *Gate {
	return &Gate{started: time.Now(), heard: make(map[string]time.Time)}
}

// Now is the time by which questions must come and which answers carry. It never goes
// back, as the machine's clock may: a question that was forgotten would be new again.
func (g *Gate) Now() time.Time { return g.started.Round(0).Add(time.Since(g.started)) }

// Admit reads the header of a question to an edge and decides on it. The errors are
// ErrMalformed, ErrForged, ErrStale and ErrReplayed; with ErrStale the question is given
// as well, for it to be answered.
func (g *Gate) Admit(key Key, edge, header string) (Question, error) {
	q, err := parseQuestion(key, header)
	if err != nil {
		return Question{}, err
	}
	if q.edge != edge {
		return Question{}, ErrForged
	}
	at, now := time.UnixMilli(q.at), g.Now()
	if q.at < g.started.UnixMilli() || isOld(at, now) {
		return q, ErrStale
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(now)
	if _, again := g.heard[q.nonce]; again || len(g.heard) >= mostRemembered {
		return Question{}, ErrReplayed
	}
	g.heard[q.nonce] = at
	return q, nil
}

// sweep forgets, once a second, the questions that would be stale if they came again.
func (g *Gate) sweep(now time.Time) {
	if now.Sub(g.swept) < time.Second {
		return
	}
	g.swept = now
	for nonce, at := range g.heard {
		if isOld(at, now) {
			delete(g.heard, nonce)
		}
	}
}

func isOld(at, now time.Time) bool { return at.Sub(now).Abs() > Window }
