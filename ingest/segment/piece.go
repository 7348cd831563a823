package segment

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// VoidReason says why a piece has no bytes.
type VoidReason string

// The reasons why an index is lost in a rendition.
const (
	// VoidNoKeyframe means that no keyframe came where the cut list needs one:
	// within the limit, or at the start of the piece.
	VoidNoKeyframe VoidReason = "no_keyframe"
	// VoidTimestampJump means that the timestamps broke off inside the piece.
	VoidTimestampJump VoidReason = "timestamp_jump"
	// VoidTooLarge means that the piece outgrew CutterOptions.MaxBytes.
	VoidTooLarge VoidReason = "too_large"
	// VoidFormatChange means that codec, resolution or tracks changed before the
	// piece was T long.
	VoidFormatChange VoidReason = "format_change"
	// VoidCorrupt means that more of the piece was damaged than not.
	VoidCorrupt VoidReason = "corrupt"
)

// Piece is one stretch of the run's cut list in one rendition. Unless it is put
// into a Ring it must be released.
type Piece struct {
	// Index is the place in the run's cut list, equal in all renditions. Indexes
	// of a rendition go up; none is left out unless the rendition was hundreds of
	// pieces behind the others.
	Index int
	// Void is not "" if this index is lost in this rendition. Start and Duration
	// then say what the cut list knows of it, 0 if nothing.
	Void VoidReason
	// Break means that a discontinuity belongs before the piece: codec,
	// resolution, tracks or timeline changed, or the piece before it was void.
	// It says nothing of the seam between two runs.
	Break bool
	// Start is the PTS of the first video frame (audio only: of the first PES
	// packet) in 90 kHz ticks without wrap.
	Start int64
	// Duration lasts exactly to the rendition's next keyframe that is cut at. It
	// is not above the limit and not below T, but for the tolerance that
	// renditions of one timeline have (see Timeline): 0.1 s at either end.
	Duration time.Duration
	// Arrived is when its first byte was read.
	Arrived time.Time
	// Format describes the contents.
	Format Format

	body *body
}

// body is the bytes of a piece or segment and who holds them.
type body struct {
	slab  *slab
	size  int
	refs  atomic.Int32
	taken atomic.Bool // the piece's own reference was released or handed to a ring
}

func newBody(s *slab, size int) *body {
	b := &body{slab: s, size: size}
	b.refs.Store(1)
	return b
}

// hold adds a reference unless the last one is gone.
func (b *body) hold() bool {
	for {
		n := b.refs.Load()
		if n <= 0 {
			return false
		}
		if b.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (b *body) release() {
	if b.refs.Add(-1) == 0 {
		slabs.put(b.slab)
	}
}

// Bytes returns the transport stream packets: PAT, PMT, then the keyframe. They
// are valid until the piece is released or put into a Ring; nil if it is void.
func (p Piece) Bytes() []byte {
	if p.body == nil {
		return nil
	}
	return p.body.slab.mem[:p.body.size:p.body.size]
}

// Size returns the number of bytes.
func (p Piece) Size() int {
	if p.body == nil {
		return 0
	}
	return p.body.size
}

// Release gives the bytes back. It does nothing for a piece that was released
// or put into a Ring before, and for a void one.
func (p Piece) Release() {
	if p.body != nil && p.body.taken.CompareAndSwap(false, true) {
		p.body.release()
	}
}

// ErrTooLarge is returned for content that is longer than it may be.
var ErrTooLarge = errors.New("segment is larger than its limit")

// ReadPiece reads content that is a segment already, such as one fetched from a
// peer, straight into memory of its own. The caller fills in what it knows of it.
func ReadPiece(r io.Reader, maxBytes int) (Piece, error) {
	s, err := slabs.get(maxBytes + 1) // the byte above the limit tells too long from just fitting
	if err != nil {
		return Piece{}, err
	}
	n := 0
	for err == nil && n <= maxBytes {
		var m int
		m, err = r.Read(s.mem[n : maxBytes+1])
		n += m
		s.touch(n)
	}
	switch {
	case n > maxBytes:
		err = fmt.Errorf("reading a segment of more than %d bytes: %w", maxBytes, ErrTooLarge)
	case errors.Is(err, io.EOF):
		s.trim(n)
		return Piece{body: newBody(s, n)}, nil
	default:
		err = fmt.Errorf("reading a segment: %w", err)
	}
	slabs.put(s)
	return Piece{}, err
}
