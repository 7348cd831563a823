package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/pull"
	"github.com/headrace/headrace/ingest/source"
)

// errNoPublisher ends a run whose publisher left before its child was started.
var errNoPublisher = &source.Error{Failure: ffmpeg.FailureNoPublisher, Err: errors.New("nobody pushes the stream")}

// feedOf is what feeds the run's source; nil where FFmpeg reads for itself.
func (r *run) feedOf() (source.Feed, error) {
	src := r.spec.Sources[r.source]
	if src.Kind() != source.Push {
		return pull.New(r.host.guard, src), nil
	}
	if feed := r.host.pushes.Feed(r.spec.ID); feed != nil {
		return feed, nil
	}
	return nil, errNoPublisher
}

// openFeed begins to feed the run's source into the child that is about to be
// started, and gives the child's standard input; nil where FFmpeg reads for itself.
// The feed ends with the run, and the child's input with the feed. opus says that its
// sound is in Opus.
func (r *run) openFeed() (stdin *os.File, opus bool, err error) {
	feed, err := r.feedOf()
	if feed == nil {
		return nil, false, err
	}
	stdin, w, err := os.Pipe()
	if err != nil {
		return nil, false, fmt.Errorf("opening the pipe of a fed source: %w", err)
	}
	if f, ok := feed.(interface{ HasOpus() bool }); ok {
		opus = f.HasOpus()
	}
	go func() {
		defer func() { _ = w.Close() }()
		r.feedEnded(feed.Feed(r.ctx, w))
	}()
	// A feed that waits for the pipe to take bytes must not outlive the run.
	context.AfterFunc(r.ctx, func() { _ = w.Close() })
	return stdin, opus, nil
}

// feedEnded takes note of how the feed ended; the end of its pipe is the child's doing.
func (r *run) feedEnded(err error) {
	if r.ctx.Err() != nil || errors.Is(err, os.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.feedErr, r.feedEndedAt = err, time.Now()
}

// failureOf is what an error of a source tells.
func failureOf(err error) ffmpeg.Failure {
	var failed *source.Error
	if errors.As(err, &failed) {
		return failed.Failure
	}
	return ffmpeg.FailureNone
}
