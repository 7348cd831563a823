package session

import (
	"container/heap"
	"strings"
	"sync"
	"time"
)

// shard is a part of a table. All sessions of a user are in one.
type shard struct {
	mu        sync.Mutex
	sessions  map[key]*session
	users     map[user]*session // the newest session of each; the others hang on it
	audiences map[string]*audience
	queue     queue

	_ [64]byte // keeps the locks of two shards on different cache lines
}

// renew keeps a session open until that end, now on that stream.
func (sh *shard) renew(s *session, stream string, ends time.Duration) {
	s.ends = max(s.ends, ends) // requests may overtake each other
	if s.stream.stream != stream {
		sh.leave(s.stream)
		s.stream = sh.join(stream)
	}
}

// add opens a session for a new key.
func (sh *shard) add(k key, stream string, ends time.Duration) {
	s := &session{key: k.clone(), ends: ends, due: ends, stream: sh.join(stream)}
	if s.next = sh.users[s.key.user]; s.next != nil {
		s.next.previous = s
	}
	sh.users[s.key.user] = s
	sh.sessions[s.key] = s
	heap.Push(&sh.queue, s)
}

// countOthers counts the open sessions of the user of k but k itself, and stops at
// limit: more of them change no answer.
func (sh *shard) countOthers(k *key, at time.Duration, limit int) (n int) {
	for s := sh.users[k.user]; s != nil && n < limit; s = s.next {
		if s.isOpen(at) && s.key != *k {
			n++
		}
	}
	return n
}

// sweep looks at up to steps sessions whose turn has come, and drops those that
// have ended. It reports how many it looked at and how many it dropped.
func (sh *shard) sweep(at time.Duration, steps int) (looked, dropped int) {
	for looked < steps && len(sh.queue) > 0 && sh.queue[0].due < at {
		looked++
		s := sh.queue[0]
		if s.isOpen(at) {
			s.due = s.ends
			heap.Fix(&sh.queue, 0)
			continue
		}
		heap.Pop(&sh.queue)
		sh.drop(s)
		dropped++
	}
	return looked, dropped
}

// drop forgets a session that the queue has let go of.
func (sh *shard) drop(s *session) {
	delete(sh.sessions, s.key)
	sh.leave(s.stream)
	if s.next != nil {
		s.next.previous = s.previous
	}
	switch {
	case s.previous != nil:
		s.previous.next = s.next
	case s.next != nil:
		sh.users[s.key.user] = s.next
	default:
		delete(sh.users, s.key.user)
	}
}

func (sh *shard) join(stream string) *audience {
	a := sh.audiences[stream]
	if a == nil {
		a = &audience{stream: strings.Clone(stream)}
		sh.audiences[a.stream] = a
	}
	a.size++
	return a
}

func (sh *shard) leave(a *audience) {
	if a.size--; a.size == 0 {
		delete(sh.audiences, a.stream)
	}
}
