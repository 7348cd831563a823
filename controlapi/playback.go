package controlapi

import "time"

// PlaybackQuery is a viewer who wants to watch: one of UserID and PlayKey, one of
// StreamID and BouquetID.
type PlaybackQuery struct {
	UserID    string
	PlayKey   Secret
	StreamID  string
	BouquetID string
	// GroupID is the group to play a bouquet in; empty: "default". A stream has its own.
	GroupID string
}

// PlaybackGrant is all that the playback check and the signing of the token need, from
// one question to the database.
type PlaybackGrant struct {
	UserID     string
	ResellerID string
	// Suspended tells of the user, Halted of its reseller or one above.
	Suspended bool
	Halted    bool
	ExpiresAt time.Time
	// MaxConnections is what counts, of user and plan; 0: no limit.
	MaxConnections int
	// Session is the longest life of the token.
	Session time.Duration
	// Entitled tells that the stream is in a bouquet of the plan, or the bouquet one of its
	// bouquets, and the reseller's effective grant covers it.
	Entitled bool
	StreamID string
	GroupID  string
	OnDemand bool
	// BouquetID is empty where a stream was asked for.
	BouquetID string
	// Assignment is the stream's; it has no edges where a bouquet was asked for.
	Assignment Assignment
	// Key signs the token; its KeyID is empty where the pair has none.
	Key SigningKey
}

// PublishGrant is all that an encoder's address needs, from one question to the database.
type PublishGrant struct {
	// ResellerID is whose encoder it is.
	ResellerID string
	StreamID   string
	GroupID    string
	// Pushed tells that the stream has push: among its sources.
	Pushed bool
	// Granted tells that the reseller may feed the stream.
	Granted bool
	// Key signs the token; its KeyID is empty where the pair has none.
	Key SigningKey
}
