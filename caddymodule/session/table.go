package session

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/controlapi/token"
)

// DefaultLimit is how many sessions a table holds unless told otherwise.
const DefaultLimit = 200_000

const (
	shards = 64

	// A request looks at so many sessions whose end may have come: at least two for
	// each that it can open, so that the ended ones never pile up.
	stepsPerRequest = 2
	stepsPerOpening = 16
	stepsPerCount   = 256
)

// Table holds the open sessions. It is bounded, and safe for concurrent use.
//
// A full table fails towards the viewer: who carries no limit is let in without
// being counted. They may fill three quarters of it only: the rest is for tokens
// with a limit, which nobody can multiply, so that one leaked token without a
// limit cannot keep out everyone else's customers. If that is full as well, a
// further session with a limit is refused, because its limit could not be kept.
// Sessions that are open stay so in any case.
//
// Ended sessions are dropped by the requests that come after them; a table
// without requests keeps them until somebody counts.
type Table struct {
	limit    int64 // of all sessions
	freely   int64 // of those, for tokens without a limit
	open     atomic.Int64
	epoch    time.Time // sessions count from here, on the monotonic clock
	seed     maphash.Seed
	sweeping atomic.Uint32 // whose turn it is
	shards   [shards]shard
}

// NewTable returns a table for up to limit sessions; less than 1 is
// [DefaultLimit].
func NewTable(limit int) *Table {
	if limit < 1 {
		limit = DefaultLimit
	}
	t := &Table{limit: int64(limit), freely: int64(limit - limit/4), epoch: time.Now(), seed: maphash.MakeSeed()}
	for i := range t.shards {
		sh := &t.shards[i]
		sh.sessions = make(map[key]*session)
		sh.users = make(map[user]*session)
		sh.audiences = make(map[string]*audience)
	}
	return t
}

// Touch opens the session of verified claims for a request, or renews it for ttl.
// It reports whether the claims' limit of sessions allows that, which is the last
// test of a token (contracts, test 11): false means
// [token.TooManyConnections]. An open session is always renewed. Touch keeps
// nothing of what it is given, and allocates only to open a session.
func (t *Table) Touch(c *token.Claims, client netip.Addr, stream string, now time.Time, ttl time.Duration) bool {
	k := keyOf(c, client)
	at := now.Sub(t.epoch)
	sh := t.shardOf(&k)
	renewed, allowed := t.touch(sh, c, &k, stream, at, at+ttl)
	if !renewed {
		// Shards that nobody asks for any more get swept by what opens elsewhere.
		t.sweep(&t.shards[t.sweeping.Add(1)%shards], at, stepsPerOpening)
	}
	return allowed
}

func (t *Table) touch(sh *shard, c *token.Claims, k *key, stream string, at, ends time.Duration) (renewed, allowed bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, dropped := sh.sweep(at, stepsPerRequest)
	t.open.Add(int64(-dropped))
	s := sh.sessions[*k]
	if s != nil && s.isOpen(at) {
		sh.renew(s, stream, ends)
		return true, true
	}
	if c.Max > 0 && !c.WithinMax(sh.countOthers(k, at, c.Max)) {
		return false, false
	}
	if s != nil { // ended, not swept yet: it still has its place
		sh.renew(s, stream, ends)
		return false, true
	}
	if !t.reserve(c.Max > 0) {
		return false, c.Max == 0
	}
	sh.add(*k, stream, ends)
	return false, true
}

// reserve takes a place in the table, if there is one for such a token.
func (t *Table) reserve(limited bool) bool {
	limit := t.freely
	if limited {
		limit = t.limit
	}
	if t.open.Add(1) > limit {
		t.open.Add(-1)
		return false
	}
	return true
}

// shardOf spreads by user, so that the sessions of one are together. Short tokens
// name none: their sessions are spread by address.
func (t *Table) shardOf(k *key) *shard {
	if k.id == "" {
		address := k.client.As16()
		return &t.shards[maphash.Bytes(t.seed, address[:])%shards]
	}
	return &t.shards[maphash.String(t.seed, k.id)%shards]
}

// sweep is shard.sweep with the lock and the count. It reports whether there may
// be more to look at.
func (t *Table) sweep(sh *shard, at time.Duration, steps int) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	looked, dropped := sh.sweep(at, steps)
	t.open.Add(int64(-dropped))
	return looked == steps
}

// Len returns how many sessions are open. Viewers who were let in while the table
// was full are not among them.
func (t *Table) Len() int {
	at := time.Since(t.epoch)
	for i := range t.shards {
		for t.sweep(&t.shards[i], at, stepsPerCount) { // a lock held for all of them would be felt
		}
	}
	return int(t.open.Load())
}

// Viewers returns how many sessions last asked for that stream. Those that ended
// since the last request near them may still be counted.
func (t *Table) Viewers(stream string) (n int) {
	at := time.Since(t.epoch)
	for i := range t.shards {
		sh := &t.shards[i]
		t.sweep(sh, at, stepsPerCount)
		sh.mu.Lock()
		if a := sh.audiences[stream]; a != nil {
			n += a.size
		}
		sh.mu.Unlock()
	}
	return n
}
