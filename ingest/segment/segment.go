package segment

import "time"

// Number is a segment's place in the media playlist.
type Number struct {
	// MSN is the media sequence number (RFC 8216 §6.2.2); it is also the name.
	MSN int64
	// DiscontinuitySequence is the number of discontinuities before the segment
	// since the stream began (RFC 8216 §6.2.2).
	DiscontinuitySequence int64
	// Discontinuity says that EXT-X-DISCONTINUITY stands before the segment.
	Discontinuity bool
	// ProgramDateTime is the wall clock of the first frame.
	ProgramDateTime time.Time
}

// Entry is what a playlist says about a segment.
type Entry struct {
	Number
	// Start is the PTS of the first frame in 90 kHz ticks.
	Start int64
	// Duration is exact to the next segment.
	Duration time.Duration
	// Size is in bytes.
	Size int
	// Format describes the contents.
	Format Format
	// Gap says that there are no bytes (EXT-X-GAP, RFC 8216bis §4.4.4.7).
	Gap bool
}

// Segment is a finished media segment; it never changes. Its entry may be read
// at any time, its bytes only between Get and Release.
type Segment struct {
	Entry
	longestList time.Duration // of the playlists that list it; the ring's writer alone looks at it
	body        *body
}

func newSegment(p Piece, n Number) *Segment {
	return &Segment{
		Entry: Entry{Number: n, Start: p.Start, Duration: p.Duration, Size: p.Size(), Format: p.Format, Gap: p.body == nil},
		body:  p.body,
	}
}

// Bytes returns the transport stream packets, nil for a gap.
func (s *Segment) Bytes() []byte {
	if s.body == nil {
		return nil
	}
	return s.body.slab.mem[:s.body.size:s.body.size]
}

// Release ends the use of the bytes after they were written.
func (s *Segment) Release() {
	if s.body != nil {
		s.body.release()
	}
}

// ReleaseAborted ends the use of the bytes after a write failed. A server may
// read them for a moment longer, so their memory is not used again for a minute.
func (s *Segment) ReleaseAborted() {
	if s.body != nil {
		s.body.slab.rest()
	}
	s.Release()
}

func (s *Segment) hold() bool { return s.body == nil || s.body.hold() }

func (s *Segment) resident() int64 {
	if s.body == nil {
		return 0
	}
	return int64(pages(s.body.size))
}
