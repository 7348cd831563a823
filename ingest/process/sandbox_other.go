//go:build !linux

package process

// ProbeAbilities finds none: only Linux has them.
func ProbeAbilities() Abilities { return Abilities{} }

// Harden does nothing: see its Linux twin.
func Harden() error { return nil }
