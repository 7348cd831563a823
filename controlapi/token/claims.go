package token

import "net/netip"

// Scope says what a token's ID names.
type Scope uint8

// The scopes.
const (
	OneStream  Scope = iota // the one stream with that id
	OneBouquet              // every stream in that bouquet of the reseller
	AllStreams              // everything granted to the reseller; no ID
)

// scopeTags are the grammar's letters, by scope.
const scopeTags = "sba"

// Claims is what a token says. Its strings are slices of the token they were
// parsed from, so keeping one keeps the token in memory.
type Claims struct {
	// Short marks the short form: it plays one stream, signed with the edge's
	// default key. Verify fills in that key's Reseller and Kid; Parse cannot.
	Short bool

	Kid      string // id of the key that signs, unique within the reseller
	Reseller string // whose key signs and whose grants apply
	User     string // viewer account, encoder or edge; empty in the short form

	Scope Scope
	ID    string // of the stream or bouquet; empty for AllStreams

	Max       int          // sessions that (Reseller, User) may have open, 1 to 999; 0 is no limit
	Network   netip.Prefix // where the client must be, in whole octets; the zero Prefix is anywhere
	Operation Operation
	NotBefore int64  // UNIX second; 0 is no lower bound
	Expires   int64  // the token's last UNIX second
	Session   string // requests that carry it count as one connection; empty is none
}

// WithinMax reports whether the user may open one more session while
// otherOpen others are open. It is the last test of a token, made by whoever
// counts sessions; false means [TooManyConnections].
func (c Claims) WithinMax(otherOpen int) bool {
	return c.Max == 0 || otherOpen < c.Max
}
