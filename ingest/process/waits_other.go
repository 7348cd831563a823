//go:build !linux

package process

import "time"

// Waits is how long each thread of the child has waited for a processor; this system does not tell.
func (c *Child) Waits() map[int]time.Duration { return nil }
