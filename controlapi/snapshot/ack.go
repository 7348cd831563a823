package snapshot

import (
	"fmt"
	"strings"
	"unicode"
)

// Outcome is what an edge did with a version. The set is closed.
type Outcome string

// The outcomes.
const (
	// Applied: the document is in force.
	Applied Outcome = "applied"
	// Rejected: the edge goes on with the one that it had.
	Rejected Outcome = "rejected"
)

// MaxReason bounds the reason of a rejection, in octets.
const MaxReason = 1000

// Ack is the body of POST /edge/v1/ack: what became of a version on an edge.
type Ack struct {
	Version
	Outcome Outcome `json:"outcome"`
	// Reason says why a document was rejected, in words for an operator, without
	// anything secret; else empty.
	Reason string `json:"reason"`
	// Health is how the edge is.
	Health Health `json:"health"`
}

// Check tells what is wrong with an acknowledgement from outside.
func (a *Ack) Check() error {
	switch {
	case a.Epoch < 0 || a.Number < 0:
		return fmt.Errorf("epoch and version cannot be negative")
	case a.Outcome != Applied && a.Outcome != Rejected:
		return fmt.Errorf("outcome %q is not known; it is %s or %s", Reason(string(a.Outcome)), Applied, Rejected)
	case a.Reason != Reason(a.Reason):
		return fmt.Errorf("reason: it is one line of at most %d octets", MaxReason)
	}
	return a.Health.Check()
}

// Reason makes text fit to be a reason: one line, within bounds.
func Reason(text string) string {
	text = strings.ToValidUTF8(text, "?")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > MaxReason {
		text = strings.ToValidUTF8(text[:MaxReason], "")
	}
	return text
}

// Health is how an edge is, in short: what routing needs. It goes with every poll, in
// the header HealthHeader, and with every acknowledgement, so that a control plane
// that cannot reach an edge still hears from it.
type Health struct {
	// State is the edge's own word: starting, healthy, degraded or draining.
	State string `json:"state"`
	// Score is 0 to 100.
	Score int `json:"score"`
	// Sessions is the number of viewers.
	Sessions int `json:"sessions"`
	// Streams is how many streams more the node may carry.
	Streams int `json:"streams"`
	// Egress is what is left to send, in bits per second, CPU in cores; null: not known.
	Egress *int64   `json:"egress"`
	CPU    *float64 `json:"cpu"`
}

// HealthHeader carries a poll's Health as JSON.
const HealthHeader = "Headrace-Health"

// VersionHeader names the version of an answer to a poll: what cannot be decoded can
// still be rejected by name.
const VersionHeader = "Headrace-Snapshot"

// Check tells what is wrong with a report from outside.
func (h *Health) Check() error {
	switch {
	case len(h.State) > 32 || strings.ContainsFunc(h.State, func(r rune) bool { return r < 'a' || r > 'z' }):
		return fmt.Errorf("health: a state is a word of at most 32 small letters")
	case h.Score < 0 || h.Score > 100:
		return fmt.Errorf("health: a score of %d; it is 0 to 100", h.Score)
	case h.Sessions < 0 || h.Streams < 0 || h.Egress != nil && *h.Egress < 0 || h.CPU != nil && !(*h.CPU >= 0):
		return fmt.Errorf("health: sessions, streams, egress and cpu cannot be negative")
	}
	return nil
}
