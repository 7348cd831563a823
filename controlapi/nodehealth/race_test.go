//go:build race

package nodehealth

const raceEnabled = true
