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
type Order struct{ entries []entry }

type entry struct {
	policy    Policy
	notBefore time.Time
	failed    bool
}

// NewOrder makes the order of n sources, the most preferred first. policy makes
// one policy a source.
func NewOrder(n int, policy func() Policy) *Order {
	o := &Order{entries: make([]entry, n)}
	for i := range o.entries {
		o.entries[i].policy = policy()
	}
	return o
}

// Next is the source to start and when.
func (o *Order) Next(now time.Time) (index int, at time.Time) {
	for i, e := range o.entries {
		if !e.notBefore.After(now) {
			return i, now
		}
		if e.notBefore.Before(o.entries[index].notBefore) {
			index = i
		}
	}
	return index, o.entries[index].notBefore
}

// Ended takes note that a source's child ended, and whether it had delivered.
func (o *Order) Ended(index int, now time.Time, delivered bool) {
	e := &o.entries[index]
	delay, failed := e.policy.Next(now, delivered)
	e.notBefore, e.failed = now.Add(delay), failed
	if !delivered {
		return
	}
	// A source that was delivering is taken up again even if a more preferred one,
	// which failed to start before, may be tried: it is what viewers see.
	for i := range index {
		if !o.entries[i].notBefore.After(e.notBefore) {
			o.entries[i].notBefore = e.notBefore.Add(time.Second)
		}
	}
}

// Hold keeps a source from being tried until a time, without holding it against it.
func (o *Order) Hold(index int, until time.Time) { o.entries[index].notBefore = until }

// TriedBeside takes note that a more preferred source was tried beside a running
// backup and did not deliver.
func (o *Order) TriedBeside(index int, now time.Time) {
	o.Ended(index, now, false)
	if earliest := now.Add(preferredRetry); o.entries[index].notBefore.Before(earliest) {
		o.entries[index].notBefore = earliest
	}
}

// Running takes note that the source delivers.
func (o *Order) Running(index int) { o.entries[index].failed = false }

// Preferred is the source to try beside the running one, and from when on.
// ok is false if the running one is the most preferred.
func (o *Order) Preferred(running int) (index int, at time.Time, ok bool) {
	if running <= 0 {
		return 0, time.Time{}, false
	}
	for i := range running {
		if o.entries[i].notBefore.Before(o.entries[index].notBefore) {
			index = i
		}
	}
	return index, o.entries[index].notBefore, true
}

// Failed tells whether every source has failed so often that it is only tried now
// and then.
func (o *Order) Failed() bool {
	for _, e := range o.entries {
		if !e.failed {
			return false
		}
	}
	return true
}
