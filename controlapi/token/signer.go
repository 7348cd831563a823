package token

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
)

// A marshaled SHA-256 state is four octets of magic, the hash value, and what
// is left of a block. The standard library's own tests pin that layout, as
// programs store such states.
const (
	stateValue = 4
	stateSize  = stateValue + sha256.Size + sha256.BlockSize + 8
)

// signer holds what HMAC-SHA256 has hashed after the secret's inner and outer
// pad, so that each use saves two of four blocks. FIPS 198-1 §6 allows it and
// asks that these states be kept like the secret. A signer is immutable, and
// needs no pool: the working state stays on the stack.
type signer struct {
	inner, outer []byte
}

func newSigner(secret string) signer {
	return signer{inner: padState(secret, 0x36), outer: padState(secret, 0x5c)}
}

// padState returns the state of a hash that has read one pad. The secret is
// not longer than a block.
func padState(secret string, pad byte) []byte {
	var block [sha256.BlockSize]byte
	copy(block[:], secret)
	for i := range block {
		block[i] ^= pad
	}
	h := sha256.New()
	h.Write(block[:])
	state, _ := h.(encoding.BinaryMarshaler).MarshalBinary() // a hash in memory cannot fail
	return state
}

// sum returns the signature of payload, which is part of a token. It pads the
// text itself and takes the hash values from the state, because hash.Hash.Sum
// first copies the hash: that takes as long as a block. The compiler sees the
// hash's concrete type and so keeps it on the stack; a test counts allocations.
func (s signer) sum(payload string) [sha256.Size]byte {
	var (
		text  [longestToken]byte // whole blocks, with room for the padding
		state [stateSize]byte
	)
	h := sha256.New()
	_ = h.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.inner) // one that it marshaled
	h.Write(pad(text[:], copy(text[:], payload)))
	_, _ = h.(encoding.BinaryAppender).AppendBinary(state[:0])

	var digest [sha256.BlockSize]byte
	_ = h.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.outer)
	h.Write(pad(digest[:], copy(digest[:], state[stateValue:stateValue+sha256.Size])))
	_, _ = h.(encoding.BinaryAppender).AppendBinary(state[:0])
	return [sha256.Size]byte(state[stateValue:])
}

// pad ends the n octets at the start of text, which follow on one block, with
// the padding of FIPS 180-4 §5.1.1, and returns whole blocks. The rest of text
// must be zero.
func pad(text []byte, n int) []byte {
	end := (n + 1 + 8 + sha256.BlockSize - 1) / sha256.BlockSize * sha256.BlockSize
	text[n] = 0x80
	binary.BigEndian.PutUint64(text[end-8:end], uint64(sha256.BlockSize+n)*8) //nolint:gosec // n is a length
	return text[:end]
}
