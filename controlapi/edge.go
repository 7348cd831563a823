package controlapi

import "time"

// DefaultGroupID is the edge group that is there from the start.
const DefaultGroupID = "default"

// Group is a set of edges that carry the same streams and hold the same keys.
type Group struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// SteerURL is the base URL of content steering; empty: none.
	SteerURL  string    `json:"steer_url"`
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
}

// GroupCreate is a group to be made.
type GroupCreate struct {
	ID       string
	Name     string
	SteerURL string
}

// GroupUpdate changes what is not nil.
type GroupUpdate struct {
	Name     *string
	SteerURL *string
}

// EdgeState is what the operator wants of an edge.
type EdgeState string

// The states.
const (
	// EdgeActive takes viewers once it has joined.
	EdgeActive EdgeState = "active"
	// EdgeDraining takes no new viewers; its streams move away.
	EdgeDraining EdgeState = "draining"
	// EdgeRevoked is told nothing any more: its credential has ended.
	EdgeRevoked EdgeState = "revoked"
)

// Location is a place on earth, in degrees.
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// Capacity is what an edge can carry; 0: not said.
type Capacity struct {
	// Egress is in bits per second.
	Egress int64 `json:"egress"`
	// Streams is the number of streams that it packages.
	Streams int `json:"streams"`
}

// Edge is a server that carries the streams of its group.
type Edge struct {
	ID      string `json:"id"`
	GroupID string `json:"group_id"`
	// URL is where viewers find it, "https://edge-1.example.com".
	URL string `json:"url"`
	// HealthURL is the base URL at which it is probed; empty: URL.
	HealthURL string   `json:"health_url"`
	Capacity  Capacity `json:"capacity"`
	// Location is nil where it is not known.
	Location *Location  `json:"location"`
	State    EdgeState  `json:"state"`
	Joined   bool       `json:"joined"`
	Report   EdgeReport `json:"-"`
	// JoinExpiresAt is until when its join code is good; zero: none is out.
	JoinExpiresAt time.Time `json:"-"`
	Version       int64     `json:"version"`
	CreatedAt     time.Time `json:"created_at"`
}

// ProbeURL is where its health is asked for.
func (e *Edge) ProbeURL() string {
	if e.HealthURL != "" {
		return e.HealthURL
	}
	return e.URL
}

// EdgeReport is what an edge last said about the snapshot.
type EdgeReport struct {
	// Epoch and Version are what it applied last; 0: nothing yet.
	Epoch     int64
	Version   int64
	AppliedAt time.Time
	// RejectedEpoch and RejectedVersion are what it refused last, with its reason; 0: nothing.
	RejectedEpoch   int64
	RejectedVersion int64
	RejectedAt      time.Time
	RejectedReason  string
}

// MaxReason bounds the reason of a rejection in bytes; more is cut off.
const MaxReason = 1024

// EdgeCreate is an edge to be made. Its join code is good for 24 h.
type EdgeCreate struct {
	// ID may be chosen; empty: the server makes one.
	ID string
	// GroupID is empty for "default".
	GroupID   string
	URL       string
	HealthURL string
	Capacity  Capacity
	Location  *Location
}

// EdgeUpdate changes what is not nil.
type EdgeUpdate struct {
	URL       *string
	HealthURL *string
	Capacity  *Capacity
	// Location is set to what it points to; see ClearLocation.
	Location      *Location
	ClearLocation bool
	// State is active or draining; revoking is a step of its own, because it cannot be undone.
	State *EdgeState
}

// Ack is what an edge says of a version that it was given.
type Ack struct {
	Epoch   int64
	Version int64
	// Rejected is its reason; empty: it was applied.
	Rejected string
}

// EdgeIdentity is an edge that has proved who it is.
type EdgeIdentity struct {
	ID      string
	GroupID string
	State   EdgeState
}

// ProbeTarget is an edge as the prober needs it.
type ProbeTarget struct {
	ID       string
	GroupID  string
	URL      string // see Edge.ProbeURL
	ViewURL  string // see Edge.URL
	State    EdgeState
	Capacity Capacity
	Location *Location
	// ProbeKey signs probes and their answers; nil: the edge has not joined.
	ProbeKey []byte
	// Report is what it last said about the snapshot.
	Report EdgeReport
}

// Assignment is which edges carry a stream.
type Assignment struct {
	StreamID string `json:"stream_id"`
	GroupID  string `json:"group_id"`
	// Rev grows each time that the stream is given to other edges.
	Rev int64 `json:"rev"`
	// Primary packages the stream; empty: nobody does yet.
	Primary string `json:"primary"`
	// Relays hold it warm.
	Relays []string `json:"relays"`
	// MinMSN and MinDiscontinuity are one above the highest that any edge reported.
	MinMSN           int64 `json:"min_msn"`
	MinDiscontinuity int64 `json:"min_discontinuity"`
	// Pin and Replicas are the stream's.
	Pin      Pin       `json:"pin"`
	Replicas int       `json:"replicas"`
	OnDemand bool      `json:"on_demand"`
	MovedAt  time.Time `json:"moved_at"`
}

// Carriers are the edges that carry the stream, its primary first.
func (a *Assignment) Carriers() []string {
	if a.Primary == "" {
		return a.Relays
	}
	return append([]string{a.Primary}, a.Relays...)
}

// Numbers are the highest that an edge reported of a stream.
type Numbers struct {
	StreamID      string
	MSN           int64
	Discontinuity int64
}
