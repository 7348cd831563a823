package ingest

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/ingest/process"
	"github.com/headrace/headrace/ingest/process/cgroup"
)

// Usage is what the children of a stream have used since the stream is there, and how
// often their limits held them back. All is zero without control groups.
type Usage struct {
	// CPUSeconds is processor time, and ThrottledSeconds the time in which a child
	// waited for its share.
	CPUSeconds       float64 `json:"cpu_seconds"`
	ThrottledSeconds float64 `json:"throttled_seconds"`
	// Memory is what is in use now, in bytes.
	Memory int64 `json:"memory"`
	// OOMKills counts processes that were killed for want of memory, PIDsRefused
	// processes and threads that could not be made.
	OOMKills    int64 `json:"oom_kills"`
	PIDsRefused int64 `json:"pids_refused"`
}

// usages are those of all streams, by id.
type usages struct {
	mu      sync.Mutex
	ended   map[string]Usage                      // of children that are gone
	running map[string]map[*meter]cgroup.Counters // of those that run, when last looked at
}

// of is the usage of one stream.
func (u *usages) of(stream string) Usage {
	u.mu.Lock()
	defer u.mu.Unlock()
	sum := u.ended[stream]
	for _, c := range u.running[stream] {
		sum.add(c)
		sum.Memory += c.Memory
	}
	return sum
}

// forget drops what is kept of a stream that is gone.
func (u *usages) forget(stream string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.ended, stream)
}

func (u *Usage) add(c cgroup.Counters) {
	u.CPUSeconds += c.CPU.Seconds()
	u.ThrottledSeconds += c.Throttled.Seconds()
	u.OOMKills += c.OOMKills
	u.PIDsRefused += c.PIDsHits
}

func (u *usages) note(m *meter, c cgroup.Counters) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.running[m.stream] == nil {
		u.running[m.stream] = make(map[*meter]cgroup.Counters)
	}
	u.running[m.stream][m] = c
}

func (u *usages) end(m *meter, c cgroup.Counters) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.running[m.stream], m)
	if len(u.running[m.stream]) == 0 {
		delete(u.running, m.stream)
	}
	sum := u.ended[m.stream]
	sum.add(c)
	u.ended[m.stream] = sum
}

const (
	meterTime = time.Second
	// span is how many looks back a child's present is compared with.
	span = 5
)

// meter watches what one child's limits do to it.
type meter struct {
	stream string
	limits Limits
	group  *cgroup.Group

	mu    sync.Mutex
	looks []cgroup.Counters // the last ones, oldest first
}

func newMeter(stream string, l Limits, g *cgroup.Group) *meter {
	return &meter{stream: stream, limits: l, group: g, looks: make([]cgroup.Counters, 1)} // before its start it had used nothing
}

// look asks the kernel.
func (m *meter) look() cgroup.Counters {
	now := m.group.Counters()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.looks) > span {
		m.looks = m.looks[1:]
	}
	m.looks = append(m.looks, now)
	return now
}

// pressure is what the limits did lately.
func (m *meter) pressure() pressure {
	m.mu.Lock()
	defer m.mu.Unlock()
	return pressureBetween(m.looks[0], m.looks[len(m.looks)-1], m.limits)
}

// pressure says which limits a child ran into.
type pressure struct {
	oom, pids bool // ever
	// memory tells that it was slowed down because its memory was nearly used up,
	// throttled that it waited for its share of the processors more often than not.
	memory, throttled bool
}

func pressureBetween(then, now cgroup.Counters, l Limits) pressure {
	return pressure{
		oom:       now.OOMKills > 0,
		pids:      now.PIDsHits > 0,
		memory:    now.MemoryHigh > then.MemoryHigh && l.Memory > 0 && now.Memory >= l.Memory/10*9,
		throttled: now.ThrottledPeriods-then.ThrottledPeriods > (now.Periods-then.Periods)/2,
	}
}

// blame names the limit that ended a child, where the reason only says what that
// looked like from outside:
//
//	limit         | looks like
//	--------------|-----------------------------------------------------------------
//	oom           | killed, an exit, silence, and on version 2 also slowness before it
//	pids          | an exit, bad input, something unsupported, silence
//	cpu_throttled | silence, slowness
func (p pressure) blame(reason Reason) Reason {
	late := reason == ReasonNoOutput || reason == ReasonStalled || reason == ReasonFrozen || reason == ReasonNoSegment
	exited := reason == ReasonExit || reason == ReasonSourceEnded || reason == ReasonUnsupported || reason == ReasonSourceInvalid
	switch {
	case p.oom && (late || exited || reason == ReasonKilled), p.memory && late:
		return ReasonOOM
	case p.pids && (late || exited):
		return ReasonPIDs
	case p.throttled && late:
		return ReasonCPUThrottled
	}
	return reason
}

// watchLimits watches the run's child until it is dead, and removes what it was in.
// One whose memory was used up is ended: what the kernel killed may have been a part
// of it only.
func (r *run) watchLimits(child *process.Child) {
	defer r.host.leave(r.spec.ID, r.cell)
	m, usage := r.cell.meter, &r.host.confiner.usage
	if m == nil {
		<-child.Done()
		return
	}
	tick := time.NewTicker(meterTime)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			now := m.look()
			usage.note(m, now)
			if now.OOMKills > 0 {
				r.stop(ReasonOOM, true)
			}
		case <-child.Done():
			usage.end(m, m.look())
			return
		}
	}
}

// leave removes what the dead child of a stream was in, in the background: the next
// child need not wait for it.
func (h *childHost) leave(stream string, in *cell) {
	h.buried.Go(func() {
		if err := in.leave(); err != nil {
			h.log.Warn("removing the control group of a child that ended", zap.String("stream_id", stream), zap.Error(err))
		}
	})
}
