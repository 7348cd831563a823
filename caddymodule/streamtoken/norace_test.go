//go:build !race

package streamtoken

const underRace = false
