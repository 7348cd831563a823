//go:build !race

package hls_test

const underRace = false
