package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/netip"
	"time"
)

// Kind says how long after its expiry a token still serves a request.
type Kind uint8

// The kinds of request.
const (
	Playlist Kind = iota // playlists, steering, the start of a lasting connection: until the expiry
	Segment              // segments, parts, init sections, keys, a lasting connection once open: until expiry and grace
)

// Request is what is asked of an edge. Nothing in it comes from the token.
type Request struct {
	Stream    string
	Operation Operation
	Kind      Kind
	Client    netip.Addr // the viewer's address; an IPv4-mapped one counts as IPv4
	Now       int64      // UNIX second, rounded down, read once when the request arrived
}

// Verifier decides which requests a token allows, from what one Config said.
// It is immutable: any number of goroutines may use it, and a change means a
// new Verifier.
type Verifier struct {
	keys          map[KeyRef]*verifierKey
	defaultKey    KeyRef
	stranger      *verifierKey // signs nothing; makes an unknown key cost as much as a known one
	grace, leeway int64        // seconds
}

type verifierKey struct {
	signer   signer
	notAfter int64 // the last second
	reseller *reseller
}

// NewVerifier returns a Verifier that follows c. Its errors name the key or
// the reseller at fault, never a secret.
func NewVerifier(c Config) (*Verifier, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("checking token configuration: %w", err)
	}
	v := &Verifier{
		keys:       make(map[KeyRef]*verifierKey, len(c.Keys)),
		defaultKey: c.DefaultKey,
		stranger:   &verifierKey{signer: newSigner("stranger")},
		grace:      seconds(c.SegmentGrace, defaultSegmentGrace),
		leeway:     seconds(c.NotBeforeLeeway, defaultNotBeforeLeeway),
	}
	resellers := make(map[string]*reseller, len(c.Keys))
	for _, k := range c.Keys {
		r := resellers[k.Reseller]
		if r == nil {
			r = newReseller(c.Grants[k.Reseller])
			resellers[k.Reseller] = r
		}
		v.keys[k.KeyRef] = &verifierKey{newSigner(k.Secret), k.lastSecond(), r}
	}
	for _, d := range c.Denied {
		if r := resellers[d.Reseller]; r != nil {
			r.deny(d.User, d.Until)
		}
	}
	return v, nil
}

func seconds(d, preset time.Duration) int64 {
	if d == 0 {
		d = preset
	}
	return int64(max(d, 0) / time.Second)
}

// Verify decides whether the token allows the request, by every test of the
// contract but the count of sessions: see [Claims.WithinMax]. The claims are
// zero unless the signature is right. Verify does not allocate, and takes as
// long for a wrong signature as for an unknown key.
func (v *Verifier) Verify(tok string, r Request) (c Claims, reason Reason) {
	var sig [sha256.Size]byte
	if !parse(tok, &c, &sig) {
		return Claims{}, Malformed
	}
	if c.Short {
		c.Reseller, c.Kid = v.defaultKey.Reseller, v.defaultKey.Kid
	}
	k := v.keys[KeyRef{c.Reseller, c.Kid}]
	known := k != nil && r.Now <= k.notAfter
	if !known {
		k = v.stranger
	}
	sum := k.signer.sum(tok[:len(tok)-signatureLen-1])
	genuine := subtle.ConstantTimeCompare(sum[:], sig[:]) == 1
	if !known {
		return Claims{}, UnknownKey
	}
	if !genuine {
		return Claims{}, BadSignature
	}
	return c, v.judge(&c, &r, k.reseller)
}

// judge tests genuine claims against the request, in the contract's order.
func (v *Verifier) judge(c *Claims, r *Request, owner *reseller) Reason {
	last := c.Expires
	if r.Kind == Segment {
		last += v.grace
	}
	switch {
	case r.Now > last:
		return Expired
	case r.Now < c.NotBefore-v.leeway:
		return NotYetValid
	case r.Operation != c.Operation:
		return WrongOperation
	case !owner.covers(c, r.Stream):
		return WrongStream
	case !owner.isGranted(r.Stream, r.Operation):
		return NotEntitled
	case c.Network.IsValid() && !c.Network.Contains(r.Client.Unmap().WithZone("")):
		return WrongAddress
	case owner.isDenied(c.User, r.Now):
		return Revoked
	}
	return Accepted
}
