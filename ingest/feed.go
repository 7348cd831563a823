package ingest

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/source"
)

// openFeed begins to feed the run's source into the child that is about to be
// started, and gives the child's standard input; nil where FFmpeg reads for itself.
// The feed ends with the run, and the child's input with the feed.
func (r *run) openFeed() (stdin *os.File, err error) {
	feed := r.host.feed(r.spec.ID, r.spec.Sources[r.source])
	if feed == nil {
		return nil, nil
	}
	stdin, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("opening the pipe of a fed source: %w", err)
	}
	go func() {
		defer func() { _ = w.Close() }()
		r.feedEnded(feed.Feed(r.ctx, w))
	}()
	// A feed that waits for the pipe to take bytes must not outlive the run.
	go func() {
		<-r.ctx.Done()
		_ = w.Close()
	}()
	return stdin, nil
}

// feedEnded takes note of how the feed ended; the end of its pipe is the child's doing.
func (r *run) feedEnded(err error) {
	if r.ctx.Err() != nil || errors.Is(err, os.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.feedErr = err
}

// feedFailure is what ended the feed. r.mu is held.
func (r *run) feedFailure() ffmpeg.Failure {
	var failed *source.Error
	if errors.As(r.feedErr, &failed) {
		return failed.Failure
	}
	return ffmpeg.FailureNone
}
