package ingest

import "time"

// pacer spreads the publication of segments that arrive in bursts, as they do
// from an origin that is read by whole files: a playlist must not stand still for
// 1.5 target durations and then jump (RFC 8216bis §6.2.1).
//
// A segment waits until 95 % of the one before has passed since that was listed.
// The 5 % let a backlog melt, so that the delay is never more than the source's
// own rhythm makes necessary.
type pacer struct{ earliest time.Time }

// due is when a segment that is ready may be listed.
func (p *pacer) due() time.Time { return p.earliest }

// listed takes note of a segment that was listed now.
func (p *pacer) listed(now time.Time, duration time.Duration) {
	p.earliest = now.Add(duration * 95 / 100)
}

// restart lets the next segment through at once: after a hole nothing is early.
func (p *pacer) restart() { p.earliest = time.Time{} }
