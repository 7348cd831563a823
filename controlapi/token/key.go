package token

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math"
)

// EdgeReseller is the reserved reseller under whose key edges sign the tokens
// with which they pull streams from each other; it alone may relay.
const EdgeReseller = "edge"

// Bounds of a secret, in characters of A-Za-z0-9_-. The longest is one block
// of SHA-256, so that HMAC uses every secret as it is.
const (
	shortestSecret = 32
	longestSecret  = sha256.BlockSize
)

// KeyRef names a key within an edge group. Never use a Kid again for another
// secret.
type KeyRef struct {
	Reseller string // 1 to 32 of A-Za-z0-9_-
	Kid      string // 1 to 8 of 0-9a-z
}

// Key is a secret that signs tokens. A reseller has at most two live keys in
// an edge group: the current one, and while a rotation lasts the previous one.
type Key struct {
	KeyRef
	Secret   string `json:"-"` // 32 to 64 of A-Za-z0-9_-, used as that text and never decoded
	NotAfter int64  // the key's last UNIX second; 0 is no end
}

// Format prints the key's name in place of its secret, whatever the verb.
func (k Key) Format(w fmt.State, _ rune) {
	_, _ = io.WriteString(w, "key "+k.Reseller+"/"+k.Kid)
}

func (r KeyRef) wellFormed() bool { return isID(r.Reseller) && isKid(r.Kid) }

// lastSecond is the last UNIX second at which the key signs.
func (k Key) lastSecond() int64 {
	if k.NotAfter == 0 {
		return math.MaxInt64
	}
	return k.NotAfter
}
