// Package soak runs an edge with many streams and many viewers for a long time and
// watches its memory (design.md, Budgets: ring bytes × 1.25 + 100 MB).
//
// A short form is always run. The long one takes the time that HEADRACE_SOAK
// names:
//
//	HEADRACE_SOAK=15m go test -timeout 30m -run TestSoak -v ./test/soak
package soak
