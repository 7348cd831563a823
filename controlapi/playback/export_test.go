package playback

import "time"

// SetClock lets a test tell the time.
func (s *Service) SetClock(now func() time.Time) { s.now = now }
