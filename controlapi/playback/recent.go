package playback

import (
	"sync"
	"time"

	"github.com/headrace/headrace/controlapi/nodehealth"
)

const (
	// usualBits is what a viewer takes where that is not known from others, in bits per second.
	usualBits = 4e6
	// shownAfter is how many seconds it takes until a viewer who was sent to an edge shows in
	// what the edge reports: to start playing, to be measured, to be probed.
	shownAfter = 3
)

// recent remembers who was sent where a moment ago: the edges' own reports do not show them
// yet, and all viewers of a minute would go to the edge that was the emptiest before it.
type recent struct {
	mu    sync.Mutex
	edges map[string]*[shownAfter]second
}

// second is what was sent to an edge within one second.
type second struct {
	at   int64 // UNIX
	bits float64
}

func newRecent() *recent { return &recent{edges: make(map[string]*[shownAfter]second)} }

// add takes note of a viewer.
func (r *recent) add(now time.Time, n *nodehealth.Node) {
	bits := usualBits
	if used := (1 - n.Headroom) * float64(n.Capacity.Egress); n.Sessions > 0 && used > 0 {
		bits = used / float64(n.Sessions)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	seconds := r.edges[n.ID]
	if seconds == nil {
		seconds = new([shownAfter]second)
		r.edges[n.ID] = seconds
	}
	s := &seconds[now.Unix()%shownAfter]
	if s.at != now.Unix() {
		*s = second{at: now.Unix()}
	}
	s.bits += bits
}

// bits is what was sent to an edge that does not show yet, in bits per second.
func (r *recent) bits(now time.Time, edge string) (sum float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seconds := r.edges[edge]
	if seconds == nil {
		return 0
	}
	for _, s := range seconds {
		if now.Unix()-s.at < shownAfter {
			sum += s.bits
		}
	}
	return sum
}
