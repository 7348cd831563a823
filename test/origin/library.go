package origin

import (
	"context"
	"sync"
)

// Library keeps the loops that were made, so that a test binary makes each once.
// The zero value is ready.
type Library struct {
	mu    sync.Mutex
	loops map[Recipe]*shelf
}

// shelf is the place of one loop. Its lock is held while the loop is made.
type shelf struct {
	mu   sync.Mutex
	loop *Loop
}

// Loop makes the recipe's loop, or gives the one that was made before.
func (l *Library) Loop(ctx context.Context, r Recipe) (*Loop, error) {
	r = r.withDefaults()
	l.mu.Lock()
	if l.loops == nil {
		l.loops = make(map[Recipe]*shelf)
	}
	s := l.loops[r]
	if s == nil {
		s = new(shelf)
		l.loops[r] = s
	}
	l.mu.Unlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loop != nil {
		return s.loop, nil
	}
	loop, err := Make(ctx, r)
	if err != nil {
		return nil, err
	}
	s.loop = loop
	return loop, nil
}
