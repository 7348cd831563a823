package controlapi

// Grants is what a reseller's parent lets it do. A grant is effective as far as the
// parent's own is: the operator has all, and an owner, with those above it, its streams.
type Grants struct {
	ResellerID string `json:"reseller_id"`
	// Show is what it may play and catch up.
	Show GrantList `json:"show"`
	// Publish is what its encoders may feed.
	Publish GrantList `json:"publish"`
	// Version is the reseller's.
	Version int64 `json:"version"`
}

// MaxGrants bounds each list.
const MaxGrants = 10_000

// GrantList names streams one by one, and bouquets: all their streams, at any time.
type GrantList struct {
	Streams  []string `json:"streams"`
	Bouquets []string `json:"bouquets"`
}
