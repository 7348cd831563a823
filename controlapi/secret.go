package controlapi

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/headrace/headrace/controlapi/probe"
)

// Secret is a text that is shown to its owner once. Printing it, whatever the verb,
// prints a placeholder; marshalling it does, too.
type Secret string

// Reveal gives the text.
func (s Secret) Reveal() string { return string(s) }

// Format hides the secret.
func (s Secret) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, "[secret]") }

// MarshalText hides the secret in JSON, too.
func (s Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// CredentialKind begins a credential, so that a leaked one is recognised.
type CredentialKind string

// The kinds.
const (
	APIKeyCredential  CredentialKind = "hrk"
	EdgeCredential    CredentialKind = "hre"
	PlayKeyCredential CredentialKind = "hpk"
	JoinCode          CredentialKind = "hrj"
)

// A credential is kind_id_secret: 3, 8 and 43 characters. The id finds it, the secret
// proves it; with 256 random bits, a plain hash of it is enough where it is kept.
const (
	credentialID     = 8
	credentialSecret = 43
	credentialLength = 3 + 1 + credentialID + 1 + credentialSecret
)

// Credential is one that was just made.
type Credential struct {
	// ID is the part that may be shown.
	ID string
	// Text is the whole, for its owner.
	Text Secret
	// Hash is what is kept.
	Hash [sha256.Size]byte
}

// NewCredential makes one.
func NewCredential(kind CredentialKind) Credential {
	id, secret := NewKeyID(), newSecret()
	return Credential{ID: id, Text: Secret(string(kind) + "_" + id + "_" + secret), Hash: sha256.Sum256([]byte(secret))}
}

// ParseCredential takes a credential apart, into what finds it and what must be
// compared, in constant time, with what was kept.
func ParseCredential(kind CredentialKind, text string) (id string, hash [sha256.Size]byte, ok bool) {
	rest, ok := strings.CutPrefix(text, string(kind)+"_")
	if !ok || len(text) != credentialLength || rest[credentialID] != '_' {
		return "", hash, false
	}
	id = rest[:credentialID]
	if strings.IndexFunc(id, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'z') }) >= 0 {
		return "", hash, false
	}
	return id, sha256.Sum256([]byte(rest[credentialID+1:])), true
}

// NewKeyID makes the id of a key: 8 random characters of 0-9a-z, as stream tokens want
// it. So none is used again, even after a backup was restored.
func NewKeyID() string {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	id := make([]byte, 0, credentialID)
	for len(id) < credentialID {
		var b [credentialID]byte
		_, _ = rand.Read(b[:]) // never fails, by its contract
		for _, x := range b {
			// 252 is the highest multiple of 36 in an octet: every character is as likely.
			if x < 252 && len(id) < credentialID {
				id = append(id, alphabet[x%36])
			}
		}
	}
	return string(id)
}

// newSecret is 32 random octets in 43 characters of A-Za-z0-9_-.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// NewSigningSecret makes the secret of a signing key: 43 characters from 32 random octets.
func NewSigningSecret() Secret { return Secret(newSecret()) }

// ProbeKey is what edge and control plane sign probes with: each makes it from the
// edge's credential, which is never sent to prove anything but a poll.
func ProbeKey(credential Secret) []byte {
	key := probe.DeriveKey(credential.Reveal())
	return key[:]
}
