package edge

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/caddymodule/follower"
	"github.com/headrace/headrace/controlapi/snapshot"
)

// Control is the control plane of an edge.
type Control struct {
	// Its base URL, `https://control.example:8443`. Plain http is for a control plane on
	// this machine: `http://127.0.0.1:8090`. Required.
	URL string `json:"url"`

	// The path of the file with this edge's credential, which `edge join` writes. Nobody
	// but its owner may read it (mode 0600). It is read again before each exchange: a
	// new credential needs no reload. Required.
	TokenFile string `json:"token_file"`

	// The SHA-256 of the control plane's certificate in hex digits, as `edge join` prints
	// it. No other certificate is trusted then. Default: what the system trusts.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// settings is what the follower takes.
func (c *Control) settings() (*follower.Control, error) {
	if _, err := follower.CheckURL(c.URL); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if c.TokenFile == "" {
		return nil, errors.New("control: it has no token_file; name the file that `edge join` has written")
	}
	s := &follower.Control{URL: c.URL, TokenFile: c.TokenFile}
	if c.Fingerprint != "" {
		var err error
		if s.Fingerprint, err = snapshot.ParseFingerprint(c.Fingerprint); err != nil {
			return nil, fmt.Errorf("control: %w", err)
		}
	}
	return s, nil
}

// checkControl refuses what would come from two places.
func (a *App) checkControl() error {
	if len(a.Streams) > 0 {
		return fmt.Errorf("stream %q: %w", a.Streams[0].ID, errControlled)
	}
	if len(a.Keys) > 0 {
		return fmt.Errorf("%v: %w", a.Keys[0].KeyName, errControlled)
	}
	return nil
}

var errControlled = errors.New("an edge with a control plane gets its streams and keys from there; leave it out, or the option control")

// staleAfter is how long a document may go unconfirmed until the edge calls itself
// degraded. It serves on.
const staleAfter = 15 * time.Minute

// controlHost is the part of the Host that follows a control plane. But for current, the
// Host's lock guards it.
type controlHost struct {
	current  atomic.Pointer[following]
	running  sync.WaitGroup
	archive  *follower.Archive
	document *snapshot.Document // the last one that was put in force; nil: none yet
}

// following is a follower under the settings that it was made with.
type following struct {
	*follower.Follower
	settings follower.Control
	group    string
	log      *zap.Logger
	end      context.CancelFunc // nil until it runs
}

// prepare returns who follows the control plane of a configuration: whoever does so now,
// or another one that goes on where that one is.
func (h *controlHost) prepare(host *Host, c *configuration) (*following, error) {
	before := h.current.Load()
	if before != nil && before.settings == *c.control && before.group == c.group {
		before.Retry() // what this node could not carry out, it now may
		return before, nil
	}
	if h.archive == nil {
		var err error
		if h.archive, err = follower.OpenArchive(filepath.Join(c.node.State, "snapshots")); err != nil {
			return nil, err
		}
	}
	f := &following{settings: *c.control, group: c.group, log: zap.New(host.logs).Named(string(App{}.CaddyModule().ID))}
	var err error
	f.Follower, err = follower.New(follower.Options{
		Control: *c.control, EdgeID: c.node.ID, Group: c.group, Archive: h.archive,
		Apply:         func(doc *snapshot.Document) error { return host.applyFrom(f, doc) },
		Count:         host.counters.snapshot,
		Health:        host.health,
		UseCredential: host.UseCredential,
		Logger:        f.log,
	})
	if err == nil && h.document != nil {
		var status follower.Status
		if before != nil {
			status = before.Status()
		}
		f.Continue(h.document.Name(), status)
	}
	return f, err
}

// boot puts the last good document in force, if there is one. An edge that has none
// waits for its control plane.
func (f *following) boot(apply func(*snapshot.Document) error) {
	if err := f.Boot(apply); err != nil {
		f.log.Warn("the edge waits for its first snapshot; until then it serves what it did before", zap.Error(err))
	}
}

// follow makes f the one who follows the control plane, nobody if it is nil.
func (h *Host) follow(f *following) {
	before := h.control.current.Load()
	if before == f {
		return
	}
	if before != nil {
		before.end() // it finds out by itself; nobody waits, for it may be waiting for the lock
	}
	h.control.current.Store(f)
	if f == nil {
		h.UseCredential("")
		return
	}
	ctx, end := context.WithCancel(context.Background())
	f.end = end
	h.control.running.Go(func() { f.Run(ctx) })
}

// applyFrom puts a document in force that f has received.
func (h *Host) applyFrom(f *following, doc *snapshot.Document) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.control.current.Load() != f || len(h.started) == 0 {
		return follower.ErrEnded
	}
	return h.take(h.started[len(h.started)-1], doc)
}

// Control is how the edge and its control plane get on; false: it has none.
func (h *Host) Control() (follower.Status, bool) {
	f := h.control.current.Load()
	if f == nil {
		return follower.Status{}, false
	}
	return f.Status(), true
}

// isStale tells whether the control plane has been silent for too long.
func (h *Host) isStale(now time.Time) bool {
	s, following := h.Control()
	return following && !s.Confirmed.IsZero() && now.Sub(s.Confirmed) > staleAfter
}
