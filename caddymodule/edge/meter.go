package edge

import (
	"sync"
	"time"
)

// meter turns a counter that is looked at now and then into a rate. It needs no
// goroutine: whoever asks, measures.
type meter struct {
	mu    sync.Mutex
	at    time.Time
	count int64
	last  float64
}

// rate is the counter's growth per second since the last measurement that is at
// least a second old; 0 at the first look. Several who ask within a second get
// the same answer.
func (m *meter) rate(now time.Time, count int64) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	elapsed := now.Sub(m.at)
	if elapsed < time.Second {
		return m.last
	}
	if !m.at.IsZero() {
		m.last = float64(count-m.count) / elapsed.Seconds()
	}
	m.at, m.count = now, count
	return m.last
}
