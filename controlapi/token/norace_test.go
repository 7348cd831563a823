//go:build !race

package token_test

// allowedAllocations is what a check may allocate.
const allowedAllocations = 0
