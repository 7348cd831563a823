//go:build race

package hls_test

// underRace says that the race detector runs, under which the compiler keeps other
// things on the heap.
const underRace = true
