package session

import (
	"net/netip"
	"strings"
	"time"

	"github.com/headrace/headrace/controlapi/token"
)

// user is who sessions are counted together for.
type user struct {
	reseller string
	id       string // empty with short tokens, which name nobody and have no limit
}

// key tells the sessions of a user apart: by the token's session claim, else by
// the client's address.
type key struct {
	user
	claim  string
	client netip.Addr
}

// keyOf slices the claims, so that a look-up allocates nothing. The client counts
// as its IPv4 address if it is one in IPv6 clothes, and never by its zone.
func keyOf(c *token.Claims, client netip.Addr) key {
	k := key{user: user{c.Reseller, c.User}, claim: c.Session}
	if k.claim == "" {
		k.client = client.Unmap().WithZone("")
	}
	return k
}

// clone copies the strings, in one piece: those of a request would keep its whole
// path in memory.
func (k key) clone() key {
	var b strings.Builder
	b.Grow(len(k.reseller) + len(k.id) + len(k.claim))
	b.WriteString(k.reseller)
	b.WriteString(k.id)
	b.WriteString(k.claim)
	text := b.String()
	k.reseller, text = text[:len(k.reseller)], text[len(k.reseller):]
	k.id, k.claim = text[:len(k.id)], text[len(k.id):]
	return k
}

// session is one viewer. Times count from the table's epoch.
type session struct {
	key    key
	ends   time.Duration // the last moment at which it is open; moves with each request
	stream *audience     // what it asked for last

	// due is when the queue looks at it next: at or before ends.
	due time.Duration

	// previous and next are other sessions of the same user.
	previous, next *session
}

func (s *session) isOpen(at time.Duration) bool { return at <= s.ends }

// audience counts a stream's sessions in one shard.
type audience struct {
	stream string
	size   int
}

// queue is a heap of sessions by due. A request moves its session's end but not
// its place here; the session is put back when its old end has come. So a request
// costs no more than an assignment, and each session is looked at once per life.
type queue []*session

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(*session)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	(*q)[last] = nil // let it go
	*q = (*q)[:last]
	return s
}
