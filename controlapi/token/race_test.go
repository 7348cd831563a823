//go:build race

package token_test

// The race detector switches off the compiler's optimization of
// append(b, make([]byte, n)...), which crypto/sha256 uses twice in a check.
const allowedAllocations = 2
