package snapshot

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"strings"
)

// Join is the body of POST /edge/v1/join: an edge asks for its credential.
type Join struct {
	// Code is the secret part of a join code. It is good once.
	Code string `json:"code"`
}

// Joined is the answer: who the edge is.
type Joined struct {
	EdgeID string `json:"edge_id"`
	Group  string `json:"group"`
	// Credential is the bearer token of everything that the edge asks for from here on.
	Credential string `json:"credential"`
}

// String is the edge's name.
func (j Joined) String() string { return "edge " + j.EdgeID + " of group " + j.Group }

// GoString is String.
func (j Joined) GoString() string { return j.String() }

// Fingerprint is the SHA-256 of a certificate's DER form. The zero one stands for
// whatever the system trusts.
type Fingerprint [sha256.Size]byte

// FingerprintOf is the one of a certificate.
func FingerprintOf(c *x509.Certificate) Fingerprint { return sha256.Sum256(c.Raw) }

// String is 64 lowercase hex digits; empty for the zero Fingerprint.
func (f Fingerprint) String() string {
	if f == (Fingerprint{}) {
		return ""
	}
	return hex.EncodeToString(f[:])
}

var errFingerprint = errors.New("a fingerprint is the SHA-256 of a certificate in 64 hex digits")

// ParseFingerprint reads hex digits, in small or capital letters, with or without
// colons between the octets, as openssl prints them.
func ParseFingerprint(text string) (f Fingerprint, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(b) != len(f) {
		return f, errFingerprint
	}
	copy(f[:], b)
	return f, nil
}

// JoinCode is what an operator carries from the control plane to a new edge: a secret
// that is good once, and the certificate by which the edge knows whom it tells it to.
type JoinCode struct {
	Secret string
	// Fingerprint is zero where the certificate is one that every system trusts, or
	// where there is none.
	Fingerprint Fingerprint
}

// maxJoinSecret bounds the secret of a join code.
const maxJoinSecret = 128

// Text is the code as it is shown, once: "<secret>" or "<secret>.<fingerprint>".
func (c JoinCode) Text() string {
	if c.Fingerprint == (Fingerprint{}) {
		return c.Secret
	}
	return c.Secret + "." + c.Fingerprint.String()
}

// String hides the secret.
func (c JoinCode) String() string { return "join code" }

// GoString is String.
func (c JoinCode) GoString() string { return c.String() }

var errJoinCode = errors.New("this is not a join code; copy it whole, as the control plane showed it")

// ParseJoinCode reads what Text writes.
func ParseJoinCode(text string) (JoinCode, error) {
	secret, pin, pinned := strings.Cut(text, ".")
	bad := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_'
	}
	if secret == "" || len(secret) > maxJoinSecret || strings.ContainsFunc(secret, bad) {
		return JoinCode{}, errJoinCode
	}
	c := JoinCode{Secret: secret}
	if !pinned {
		return c, nil
	}
	f, err := ParseFingerprint(pin)
	if err != nil || f == (Fingerprint{}) {
		return JoinCode{}, errJoinCode
	}
	c.Fingerprint = f
	return c, nil
}
