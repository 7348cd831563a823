package controlapi

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// OperatorID is the id of the root reseller: the operator, above all others.
const OperatorID = "operator"

// maxID bounds an id, as the grammar of stream tokens does.
const maxID = 32

// NewID makes an id: a UUIDv7 as 32 hexadecimal digits, so that ids sort by the time
// they were made.
func NewID() string {
	id := uuid.Must(uuid.NewV7()) // fails only where there is no randomness, as crypto/rand would
	return hex.EncodeToString(id[:])
}

// CheckID tells whether id can be the id of what, "stream" for one. The error's field is "id".
func CheckID(what, id string) error {
	bad := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_'
	}
	if id == "" || len(id) > maxID || strings.ContainsFunc(id, bad) {
		return Invalid("id", fmt.Sprintf("the id of a %s has 1 to %d characters of A-Z a-z 0-9 - _", what, maxID))
	}
	return nil
}
