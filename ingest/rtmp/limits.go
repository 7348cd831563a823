package rtmp

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what strangers may have of the edge.
const (
	// greetingTime is how long a connection may take until it is authorized: TLS,
	// handshake and commands.
	greetingTime = 10 * time.Second
	// greetingBytes is what it may send until then.
	greetingBytes = 64 << 10
	// analysisTime is how long the tracks may take, of which two seconds are media.
	analysisTime = 15 * time.Second
	// idleTime is how long an authorized connection may send nothing.
	idleTime = 15 * time.Second
	// silence is how long a publisher may send nothing until it counts as away: a
	// little less than the patience of a child's watchdog.
	silence = 2500 * time.Millisecond
	// maxGreeting is how many connections may be on their way to be authorized, and
	// maxGreetingPerAddress how many of one address.
	maxGreeting           = 64
	maxGreetingPerAddress = 8
)

var errGreetingTooLong = errors.New("more was sent than a publisher has to say before it is authorized")

// door counts the connections that are not authorized yet.
type door struct {
	mu      sync.Mutex
	total   int
	waiting map[netip.Addr]int
}

// enter lets a connection in, if there is room; leave undoes it, once.
func (d *door) enter(address netip.Addr) (leave func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.total >= maxGreeting || d.waiting[address] >= maxGreetingPerAddress {
		return nil, false
	}
	if d.waiting == nil {
		d.waiting = make(map[netip.Addr]int)
	}
	d.total++
	d.waiting[address]++
	return sync.OnceFunc(func() { d.leave(address) }), true
}

func (d *door) leave(address netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total--
	if d.waiting[address]--; d.waiting[address] == 0 {
		delete(d.waiting, address)
	}
}

// metered is a connection that counts what it receives, and bounds it in size and
// time.
type metered struct {
	net.Conn
	received atomic.Int64
	last     atomic.Int64 // UnixNano of the last byte
	idle     atomic.Bool  // each read may take idleTime; else a deadline was set for all
	limit    atomic.Int64 // of received; 0: none
}

func newMetered(c net.Conn) *metered {
	m := &metered{Conn: c}
	m.limit.Store(greetingBytes)
	m.last.Store(time.Now().UnixNano())
	return m
}

// Read implements io.Reader.
func (m *metered) Read(b []byte) (int, error) {
	if limit := m.limit.Load(); limit > 0 {
		left := limit - m.received.Load()
		if left <= 0 {
			return 0, errGreetingTooLong
		}
		b = b[:min(int64(len(b)), left)]
	}
	if m.idle.Load() {
		if err := m.SetReadDeadline(time.Now().Add(idleTime)); err != nil {
			return 0, err
		}
	}
	n, err := m.Conn.Read(b)
	if n > 0 {
		m.received.Add(int64(n))
		m.last.Store(time.Now().UnixNano())
	}
	return n, err
}

// heard is when the last byte came.
func (m *metered) heard() time.Time { return time.Unix(0, m.last.Load()) }

func (m *metered) isSilent(now time.Time) bool { return now.Sub(m.heard()) > silence }

// Write implements io.Writer. Answers are small; a peer that does not take them is gone.
func (m *metered) Write(b []byte) (int, error) {
	if err := m.SetWriteDeadline(time.Now().Add(greetingTime)); err != nil {
		return 0, err
	}
	return m.Conn.Write(b)
}

// Interface guard
var _ io.ReadWriter = (*metered)(nil)
