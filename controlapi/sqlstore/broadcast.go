package sqlstore

import (
	"sync"
	"time"
)

// broadcast tells all who wait.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func newBroadcast() *broadcast { return &broadcast{ch: make(chan struct{})} }

func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}

// throttle lets through one event per key and minute.
type throttle struct {
	mu   sync.Mutex
	last map[string]time.Time
}

const throttled = time.Minute

func newThrottle() *throttle { return &throttle{last: make(map[string]time.Time)} }

func (t *throttle) allow(key string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.last[key]; ok && now.Sub(last) < throttled {
		return false
	}
	if len(t.last) >= 10_000 { // keys come from the database; old ones need not be remembered
		clear(t.last)
	}
	t.last[key] = now
	return true
}
