package token

import (
	"crypto/sha256"
	"net/netip"
	"strings"
)

// Bounds of the grammar, in octets. The longest token that version 1 can
// spell has 278; the rest is room for a later version.
const (
	shortestToken = 68
	longestToken  = 320
	signatureLen  = 2 * sha256.Size

	longestID    = 32
	longestKid   = 8
	maxDigits    = 3
	secondDigits = 10 // ten digits cannot overflow an int64
)

// Parse reads a token's claims without judging them: it knows no key and no
// clock. It reports false for what is not a token by the grammar. Whoever
// acts on the claims must have verified the token.
func Parse(tok string) (Claims, bool) {
	var (
		c   Claims
		sig [sha256.Size]byte
	)
	if !parse(tok, &c, &sig) {
		return Claims{}, false
	}
	return c, true
}

// parse is Parse that also hands out the decoded signature.
func parse(tok string, c *Claims, sig *[sha256.Size]byte) bool {
	if len(tok) < shortestToken || len(tok) > longestToken {
		return false
	}
	payload := tok[:len(tok)-signatureLen-1]
	if tok[len(payload)] != ':' || !decodeHex(sig[:], tok[len(payload)+1:]) {
		return false
	}
	colon := strings.LastIndexByte(payload, ':')
	if colon < 0 {
		return false
	}
	var ok bool
	if c.Expires, ok = parseNumber(payload[colon+1:], secondDigits); !ok {
		return false
	}
	return c.parse(payload[:colon])
}

// parse reads the part before the first colon. A dot tells the forms apart:
// ids have none.
func (c *Claims) parse(p0 string) bool {
	if strings.HasPrefix(p0, "1.") {
		return c.parseLong(p0[1:])
	}
	c.Short, c.ID = true, p0
	return isID(p0)
}

// parseLong reads the fields after the version, each with the dot before it.
// One pass in the grammar's order refuses repeated, unordered and unknown
// claims alike: they are what is left over, or what is missing.
func (c *Claims) parseLong(fields string) bool {
	f := reader{rest: fields}
	c.Kid = f.must('k', isKid)
	c.Reseller = f.must('r', isID)
	c.User = f.must('u', isID)
	f.scope(c)
	if f.rest == "" || f.bad {
		return !f.bad // most tokens have no options
	}
	if text, ok := f.next('m'); ok {
		c.Max = int(f.number(text, maxDigits))
	}
	if text, ok := f.next('n'); ok {
		c.Network = f.network(text)
	}
	if text, ok := f.next('o'); ok {
		c.Operation = f.operation(text)
	}
	if text, ok := f.next('t'); ok {
		c.NotBefore = f.number(text, secondDigits)
	}
	if text, ok := f.next('j'); ok {
		c.Session = text
		f.bad = f.bad || !isID(text)
	}
	return !f.bad && f.rest == ""
}

// reader takes fields off the front of rest and remembers whether one of them
// was bad.
type reader struct {
	rest string
	bad  bool
}

// next takes the next field if it has that tag; a field ends at the next dot.
func (f *reader) next(tag byte) (text string, ok bool) {
	if len(f.rest) < 2 || f.rest[0] != '.' || f.rest[1] != tag {
		return "", false
	}
	end := 2
	for end < len(f.rest) && f.rest[end] != '.' {
		end++ // values are a few octets: faster than strings.IndexByte
	}
	text, f.rest = f.rest[2:end], f.rest[end:]
	return text, true
}

// must takes the next field, which has to have that tag and a good value.
func (f *reader) must(tag byte, good func(string) bool) string {
	text, ok := f.next(tag)
	f.bad = f.bad || !ok || !good(text)
	return text
}

// scope takes the field that says what the token covers.
func (f *reader) scope(c *Claims) {
	var ok bool
	if c.ID, ok = f.next('s'); ok {
		c.Scope = OneStream
	} else if c.ID, ok = f.next('b'); ok {
		c.Scope = OneBouquet
	} else if c.ID, ok = f.next('a'); ok {
		c.Scope = AllStreams
		f.bad = f.bad || c.ID != ""
		return
	}
	f.bad = f.bad || !ok || !isID(c.ID)
}

func (f *reader) number(text string, digits int) int64 {
	n, ok := parseNumber(text, digits)
	f.bad = f.bad || !ok
	return n
}

// network reads the leading octets of an address, behind a digit for its
// family. IPv6 octets that spell the IPv4-mapped range stay IPv6, and so match
// nobody: clients there count as IPv4.
func (f *reader) network(text string) netip.Prefix {
	var octets [16]byte
	n := (len(text) - 1) / 2
	if n < 1 || n > len(octets) || len(text) != 1+2*n || !decodeHex(octets[:n], text[1:]) {
		f.bad = true
		return netip.Prefix{}
	}
	switch {
	case text[0] == '4' && n <= 4:
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(octets[:4])), 8*n)
	case text[0] == '6':
		return netip.PrefixFrom(netip.AddrFrom16(octets), 8*n)
	}
	f.bad = true
	return netip.Prefix{}
}

func (f *reader) operation(text string) Operation {
	switch text {
	case "w":
		return Publish
	case "r":
		return Relay
	case "c":
		return CatchUp
	}
	f.bad = true
	return Play
}
