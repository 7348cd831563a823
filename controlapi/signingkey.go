package controlapi

import "time"

// Life of a signing key that is being replaced.
const (
	// KeyRollout is how long the new key may take to reach the edges: until then the old
	// one signs while an edge lacks the new one.
	KeyRollout = time.Hour
	// keyGrace is the segment grace of the edges, and clocks that differ.
	keyGrace = 2 * time.Minute
)

// KeyOverlap is how long the previous key stays good after a rotation: no token that it
// signed is refused before its own end.
const KeyOverlap = KeyRollout + MaxSession + keyGrace

// KeyState says what a signing key is for.
type KeyState string

// The states. At most two keys of a pair are live: current and previous.
const (
	KeyCurrent  KeyState = "current"
	KeyPrevious KeyState = "previous" // verifies until its NotAfter
	KeyRevoked  KeyState = "revoked"  // ended; its secret is gone
)

// SigningKey signs the stream tokens of one reseller in one edge group. Its reseller is
// "edge" for the key with which the edges of the group pull from each other.
type SigningKey struct {
	ResellerID string   `json:"reseller_id"`
	GroupID    string   `json:"group_id"`
	KeyID      string   `json:"kid"`
	Secret     Secret   `json:"-"`
	State      KeyState `json:"state"`
	// NotAfter is the previous key's last moment; zero: no end.
	NotAfter time.Time `json:"not_after"`
	// Since is the first snapshot version that holds it.
	Since     int64     `json:"-"`
	CreatedAt time.Time `json:"created_at"`
}

// PickSigningKey gives the key that signs now, of the live keys of one pair. acked is
// the lowest snapshot version that the edges of the group which take viewers have
// acknowledged. The previous key goes on signing while one of them lacks the current
// one, but for no longer than KeyRollout.
func PickSigningKey(keys []SigningKey, acked int64, now time.Time) (SigningKey, bool) {
	var current, previous *SigningKey
	for i := range keys {
		switch k := &keys[i]; k.State {
		case KeyCurrent:
			current = k
		case KeyPrevious:
			if now.Before(k.NotAfter.Add(KeyRollout - KeyOverlap)) {
				previous = k
			}
		case KeyRevoked:
		}
	}
	switch {
	case current == nil && previous == nil:
		return SigningKey{}, false
	case current == nil, previous != nil && acked < current.Since:
		return *previous, true
	}
	return *current, true
}
