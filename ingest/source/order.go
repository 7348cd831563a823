package source

import "time"

// Policy says when a source that ended may be tried again. It is told whether the
// source delivered; failed means that it is only tried now and then.
type Policy interface {
	Next(now time.Time, delivered bool) (delay time.Duration, failed bool)
}

// preferredRetry is how often, while a backup runs, a more preferred source is
// tried beside it.
const preferredRetry = 20 * time.Second

// slateRetry is how often that is done while viewers see a slate.
const slateRetry = 5 * time.Second

// Order decides which of a stream's sources is read. It is a pure state machine,
// driven by one goroutine:
//
//	event                                  | then
//	---------------------------------------|---------------------------------------------
//	a source that delivered ended          | the same one again, at its policy's delay
//	a source ended without having delivered| the most preferred one that may start now;
//	                                       | if none may, the one that may start first
//	a backup runs                          | more preferred ones are tried beside it, each
//	                                       | at its policy's time but not more often than
//	                                       | every 20 s
//	all sources failed                     | Failed; they are still tried at their times
//	a pushed source's publisher is away    | it is passed over; if viewers saw it last, not
//	                                       | before the time that is held open for it
//	its publisher arrives                  | it may start now, whatever was before
type Order struct {
	entries []entry
	last    int  // whose media viewers saw last
	again   bool // it delivered until it ended, and is to be taken up again
}

type entry struct {
	policy    Policy
	notBefore time.Time
	failed    bool
	absent    bool
	heldUntil time.Time // an absent one is waited for
}

// Nobody is the index that Next gives while no source can be started at all, and
// away how far its time lies ahead: an arrival ends the wait.
const (
	Nobody = -1
	away   = time.Hour
)

// NewOrder makes the order of n sources, the most preferred first. policy makes
// one policy a source.
func NewOrder(n int, policy func() Policy) *Order {
	o := &Order{entries: make([]entry, n)}
	for i := range o.entries {
		o.entries[i].policy = policy()
	}
	return o
}

// Next is the source to start and when; Nobody while all are away.
func (o *Order) Next(now time.Time) (index int, at time.Time) {
	if e := o.entries[o.last]; o.again && !e.absent {
		if e.notBefore.After(now) {
			return o.last, e.notBefore
		}
		return o.last, now
	}
	index, at = Nobody, now.Add(away)
	for i, e := range o.entries {
		switch {
		case e.absent && i == o.last && e.heldUntil.After(now):
			return i, e.heldUntil
		case e.absent:
		case !e.notBefore.After(now):
			return i, now
		case index == Nobody || e.notBefore.Before(at):
			index, at = i, e.notBefore
		}
	}
	return index, at
}

// Attend takes note whether a pushed source's publisher is there, and if not, until
// when the source is to be waited for. It tells whether that is news.
func (o *Order) Attend(index int, present bool, heldUntil time.Time) (changed bool) {
	e := &o.entries[index]
	changed = e.absent == present
	e.absent, e.heldUntil = !present, heldUntil
	if changed && present {
		e.notBefore, e.failed = time.Time{}, false
	}
	return changed
}

// Ended takes note that a source's child ended, and whether it had delivered.
func (o *Order) Ended(index int, now time.Time, delivered bool) {
	e := &o.entries[index]
	delay, failed := e.policy.Next(now, delivered)
	e.notBefore, e.failed = now.Add(delay), failed
	o.again = delivered
	if !delivered {
		return
	}
	o.last = index
	// A source that was delivering is taken up again even if a more preferred one,
	// which failed to start before, may be tried: it is what viewers see.
	for i := range index {
		if !o.entries[i].notBefore.After(e.notBefore) {
			o.entries[i].notBefore = e.notBefore.Add(time.Second)
		}
	}
}

// Hold keeps a source from being tried until a time, without holding it against it.
// One that was to be taken up again is not waited for.
func (o *Order) Hold(index int, until time.Time) {
	o.entries[index].notBefore = until
	o.again = o.again && index != o.last
}

// TriedBeside takes note that a more preferred source was tried beside a running
// backup, or a slate, and did not deliver. What is better than a slate is tried more
// often.
func (o *Order) TriedBeside(index int, now time.Time, slate bool) {
	o.Ended(index, now, false)
	if slate {
		o.entries[index].notBefore = now.Add(slateRetry)
		return
	}
	if earliest := now.Add(preferredRetry); o.entries[index].notBefore.Before(earliest) {
		o.entries[index].notBefore = earliest
	}
}

// Running takes note that the source delivers.
func (o *Order) Running(index int) {
	o.again = o.again && index == o.last
	o.last, o.entries[index].failed = index, false
}

// Preferred is the source to try beside the running one, and from when on.
// ok is false if there is none that is more preferred.
func (o *Order) Preferred(running int) (index int, at time.Time, ok bool) {
	for i, e := range o.entries[:max(running, 0)] {
		if !e.absent && (!ok || e.notBefore.Before(at)) {
			index, at, ok = i, e.notBefore, true
		}
	}
	return index, at, ok
}

// Standby is a less preferred source that may be started now, for when the running
// one should end.
func (o *Order) Standby(running int, now time.Time) (index int, ok bool) {
	for i := running + 1; i < len(o.entries); i++ {
		if e := o.entries[i]; !e.absent && !e.notBefore.After(now) {
			return i, true
		}
	}
	return 0, false
}

// Failed tells whether every source has failed so often that it is only tried now
// and then.
func (o *Order) Failed() bool {
	failed := false
	for _, e := range o.entries {
		if !e.failed && !e.absent {
			return false
		}
		failed = failed || e.failed
	}
	return failed
}
