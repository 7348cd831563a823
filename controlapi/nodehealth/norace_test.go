//go:build !race

package nodehealth

const raceEnabled = false
