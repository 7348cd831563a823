package token

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
)

const (
	maxLimit   = 999
	lastSecond = 9999999999 // ten digits
)

// Mint returns the token that says c, signed with the secret. It refuses what
// the grammar cannot spell, and escapes nothing. Of a short form it ignores
// Reseller and Kid: the edge knows them.
func Mint(c Claims, secret string) (string, error) {
	if err := checkSecret(secret); err != nil {
		return "", fmt.Errorf("minting token: %w", err)
	}
	if err := c.check(); err != nil {
		return "", fmt.Errorf("minting token: %w", err)
	}
	payload := string(c.appendPayload(make([]byte, 0, longestToken)))
	sig := newSigner(secret).sum(payload)
	return payload + ":" + hex.EncodeToString(sig[:]), nil
}

// check reports the first claim that the grammar cannot spell.
func (c Claims) check() error {
	if c.Expires < 1 || c.Expires > lastSecond {
		return fmt.Errorf("expiry %d: must be a UNIX time in seconds, 1 to %d", c.Expires, lastSecond)
	}
	if c.Short {
		return c.checkShort()
	}
	if !isKid(c.Kid) {
		return errors.New("key id: must be 1 to 8 of 0-9a-z")
	}
	if err := checkIDs("reseller", c.Reseller); err != nil {
		return err
	}
	if err := checkIDs("user", c.User); err != nil {
		return err
	}
	if err := c.checkScope(); err != nil {
		return err
	}
	return c.checkOptions()
}

func (c Claims) checkShort() error {
	bare := Claims{Short: true, Kid: c.Kid, Reseller: c.Reseller, ID: c.ID, Expires: c.Expires}
	if c != bare {
		return errors.New("the short form only plays one stream until a second: leave out all else, or use the long form")
	}
	return checkIDs("stream", c.ID)
}

func (c Claims) checkScope() error {
	switch c.Scope {
	case OneStream:
		return checkIDs("stream", c.ID)
	case OneBouquet:
		return checkIDs("bouquet", c.ID)
	case AllStreams:
		if c.ID != "" {
			return fmt.Errorf("scope of all streams with the id %q: leave one of them out", c.ID)
		}
		return nil
	}
	return fmt.Errorf("scope %d: must be OneStream, OneBouquet or AllStreams", c.Scope)
}

func (c Claims) checkOptions() error {
	if c.Max < 0 || c.Max > maxLimit {
		return fmt.Errorf("limit of %d sessions: must be 1 to %d, or 0 for none", c.Max, maxLimit)
	}
	if n := c.Network; n != (netip.Prefix{}) && (n.Bits() < 8 || n.Bits()%8 != 0 || n != n.Masked() || n.Addr().Zone() != "") {
		return fmt.Errorf("network %v: must be whole octets without host bits, as 203.0.113.0/24 is", n)
	}
	if int(c.Operation) >= len(operationTags) {
		return fmt.Errorf("operation %d: must be Play, Publish, Relay or CatchUp", c.Operation)
	}
	if c.NotBefore < 0 || c.NotBefore > lastSecond {
		return fmt.Errorf("lower bound %d: must be a UNIX time in seconds up to %d, or 0 for none", c.NotBefore, lastSecond)
	}
	if c.Session != "" {
		return checkIDs("session", c.Session)
	}
	return nil
}

// appendPayload appends what is signed, p0 ":" p1 of the grammar.
func (c Claims) appendPayload(b []byte) []byte {
	if c.Short {
		b = append(b, c.ID...)
	} else {
		b = c.appendClaims(append(b, '1'))
	}
	return strconv.AppendInt(append(b, ':'), c.Expires, 10)
}

func (c Claims) appendClaims(b []byte) []byte {
	b = append(append(b, ".k"...), c.Kid...)
	b = append(append(b, ".r"...), c.Reseller...)
	b = append(append(b, ".u"...), c.User...)
	b = append(append(b, '.', scopeTags[c.Scope]), c.ID...)
	if c.Max != 0 {
		b = strconv.AppendInt(append(b, ".m"...), int64(c.Max), 10)
	}
	if c.Network.IsValid() {
		b = appendNetwork(append(b, ".n"...), c.Network)
	}
	if c.Operation != Play {
		b = append(b, '.', 'o', operationTags[c.Operation])
	}
	if c.NotBefore != 0 {
		b = strconv.AppendInt(append(b, ".t"...), c.NotBefore, 10)
	}
	if c.Session != "" {
		b = append(append(b, ".j"...), c.Session...)
	}
	return b
}

func appendNetwork(b []byte, n netip.Prefix) []byte {
	family := byte('6')
	if n.Addr().Is4() {
		family = '4'
	}
	return hex.AppendEncode(append(b, family), n.Addr().AsSlice()[:n.Bits()/8])
}
