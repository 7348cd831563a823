package process

import (
	"strings"
	"sync"
	"time"
)

// tailLines is how many lines are kept of each child.
const tailLines = 200

// Line is one line that a child wrote to stdout or stderr.
type Line struct {
	// Time is when the line was read.
	Time time.Time
	// Text is valid UTF-8 of at most 2 KiB, without the line end.
	Text string
}

// tail is a ring of the last lines. It reuses its buffers: a flood costs no memory and no garbage.
type tail struct {
	mu   sync.Mutex
	ring [tailLines]struct {
		at   time.Time
		text []byte
	}
	count int // lines ever added
}

func (t *tail) add(now time.Time, text []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := &t.ring[t.count%tailLines]
	slot.at, slot.text = now, append(slot.text[:0], text...)
	t.count++
}

func (t *tail) lines() []Line {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := make([]Line, 0, min(t.count, tailLines))
	for i := t.count - cap(lines); i < t.count; i++ {
		slot := &t.ring[i%tailLines]
		lines = append(lines, Line{Time: slot.at, Text: validText(slot.text)})
	}
	return lines
}

// validText makes a string of a line. Sources put any bytes into their titles, and cutting may split a rune; the
// replacement is one byte long, so that the text never grows.
func validText(line []byte) string { return strings.ToValidUTF8(string(line), "?") }
