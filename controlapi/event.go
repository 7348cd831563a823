package controlapi

import (
	"encoding/json"
	"time"
)

// Event is something that happened: an edge went down, a stream moved, an edge refused a version.
type Event struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	// Kind is what happened, "edge_state".
	Kind string `json:"kind"`
	// Subject is whom it happened to: kind and id, "edge/edge-1".
	Subject string `json:"subject"`
	// ResellerID is the tenant whom it concerns; the operator sees all.
	ResellerID string          `json:"reseller_id"`
	Reason     string          `json:"reason"`
	Data       json.RawMessage `json:"data,omitempty"`
}

// EventFilter narrows a list of events, newest first.
type EventFilter struct {
	// Subject lists the events of one thing; empty: all.
	Subject string
}

// AuditRecord is a change that somebody made. Records are chained: each holds the hash
// of the one before it, so that none can be changed or taken out unseen.
type AuditRecord struct {
	Seq  int64     `json:"seq"`
	Time time.Time `json:"time"`
	// Actor is the API key, "local", or "system".
	Actor string `json:"actor"`
	// ResellerID and Path are the tenant in whose subtree the thing is.
	ResellerID string `json:"reseller_id"`
	Path       string `json:"path"`
	// Operation is what was done, "user.create".
	Operation string `json:"operation"`
	// Object is to whom: kind and id.
	Object string `json:"object"`
	// Diff holds what changed: member → [before, after]. Secrets are masked.
	Diff      json.RawMessage `json:"diff"`
	RequestID string          `json:"request_id"`
	// PrevHash and Hash are SHA-256 in hexadecimal.
	PrevHash string `json:"prev_hash"`
	Hash     string `json:"hash"`
}
