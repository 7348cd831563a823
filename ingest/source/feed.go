package source

import (
	"context"
	"io"

	"github.com/headrace/headrace/ingest/ffmpeg"
)

// Feed reads a source in the edge itself, where FFmpeg is not to be let at its
// address or has no protocol for it, and hands its media on as MPEG-TS.
type Feed interface {
	// Feed writes the media to w until the source ends or ctx is done. A w that does
	// not take bytes holds it up, and an error of w is returned as it is. What went
	// wrong with the source is told as an *Error.
	Feed(ctx context.Context, w io.Writer) error
}

// Error says why a feed ended. It holds no secret of the source.
type Error struct {
	Failure ffmpeg.Failure
	Err     error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }
