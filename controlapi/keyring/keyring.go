// Package keyring keeps secrets unreadable in the database: it seals them with keys
// from a file that stands beside the program, not in the database.
package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ErrUnknownKey says that a secret was sealed with a key that the file does not have.
var ErrUnknownKey = errors.New("the secret was sealed with a key that is not in the key file")

// ErrTampered says that a sealed secret is not what was sealed, or not in its place.
var ErrTampered = errors.New("the sealed secret was changed, or belongs in another place")

// Keyring seals and unseals secrets. It is immutable and safe for concurrent use.
type Keyring struct {
	current string // id of the key that seals
	keys    map[string]cipher.AEAD
}

// Place is where a secret is kept. A sealed secret is good in its place only: whoever
// can write to the database cannot exchange one for another.
type Place struct {
	Table, Row, Column string
}

// version begins a sealed secret, so that another way of sealing can follow.
const version = "v1"

// separator stands between the parts of a sealed secret, and of what binds it to its
// place, in none of which it can occur.
const separator = ":"

// Seal encrypts a secret for a place by AES-256-GCM with a random nonce. The result is
// text: version, key id, then nonce and ciphertext in base64.
func (k *Keyring) Seal(at Place, secret []byte) (string, error) {
	aead := k.keys[k.current]
	bound, err := at.bind(k.current)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(secret)+aead.Overhead())
	_, _ = rand.Read(nonce) // never fails, by its contract
	sealed := aead.Seal(nonce, nonce, secret, bound)
	return strings.Join([]string{version, k.current, base64.RawStdEncoding.EncodeToString(sealed)}, separator), nil
}

// Unseal gives the secret that was sealed for a place. The error is ErrUnknownKey,
// ErrTampered, or says that the text is no sealed secret.
func (k *Keyring) Unseal(at Place, sealed string) ([]byte, error) {
	id, body, err := parse(sealed)
	if err != nil {
		return nil, err
	}
	aead := k.keys[id]
	if aead == nil {
		return nil, fmt.Errorf("%w: key %q", ErrUnknownKey, id)
	}
	bound, err := at.bind(id)
	if err != nil {
		return nil, err
	}
	if len(body) < aead.NonceSize() {
		return nil, ErrTampered
	}
	secret, err := aead.Open(nil, body[:aead.NonceSize()], body[aead.NonceSize():], bound)
	if err != nil {
		return nil, ErrTampered
	}
	return secret, nil
}

// IsCurrent tells whether a secret was sealed with the key that seals now. One that was
// not is to be sealed anew before its key leaves the file.
func (k *Keyring) IsCurrent(sealed string) bool {
	id, _, err := parse(sealed)
	return err == nil && id == k.current
}

func parse(sealed string) (id string, body []byte, err error) {
	parts := strings.Split(sealed, separator)
	if len(parts) != 3 || parts[0] != version {
		return "", nil, errors.New("not a sealed secret of a version that this program knows")
	}
	body, err = base64.RawStdEncoding.Strict().DecodeString(parts[2])
	if err != nil {
		return "", nil, errors.New("not a sealed secret: its last part is not base64")
	}
	return parts[1], body, nil
}

// bind is what ties a sealed secret to its place and its key.
func (p Place) bind(key string) ([]byte, error) {
	parts := []string{p.Table, p.Row, p.Column, key}
	for _, part := range parts {
		if part == "" || strings.Contains(part, separator) {
			return nil, fmt.Errorf("a secret cannot be kept at %q: table, row and column are needed, without %q", parts[:3], separator)
		}
	}
	return []byte(strings.Join(parts, separator)), nil
}

// newKeyring makes a keyring of keys, the first of which seals.
func newKeyring(keys []key) (*Keyring, error) {
	k := &Keyring{current: keys[0].id, keys: make(map[string]cipher.AEAD, len(keys))}
	for _, one := range keys {
		block, err := aes.NewCipher(one.bytes[:])
		if err != nil {
			return nil, err
		}
		if k.keys[one.id], err = cipher.NewGCM(block); err != nil {
			return nil, err
		}
	}
	return k, nil
}
