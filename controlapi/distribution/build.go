package distribution

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi/snapshot"
)

// blob is a snapshot as it is sent. It never changes.
type blob struct {
	version snapshot.Version
	// octets by content coding; "" is none.
	octets map[string][]byte
	etag   string // without the coding
}

// newBlob writes a document down, once for all who will get it.
func newBlob(d *snapshot.Document) (*blob, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	plain, err := snapshot.Encode(d)
	if err != nil {
		return nil, err
	}
	b := &blob{version: d.Name(), octets: map[string][]byte{"": plain}}
	// The end of an encoded document is its checksum: enough of it to tell two apart.
	b.etag = fmt.Sprintf("%v-%s", b.version, plain[len(plain)-18:len(plain)-2])
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("compressing %v: %w", d, err)
	}
	b.octets["zstd"] = encoder.EncodeAll(plain, nil)
	var buffer bytes.Buffer
	w := gzip.NewWriter(&buffer)
	_, _ = w.Write(plain) // a buffer takes everything
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing %v: %w", d, err)
	}
	b.octets["gzip"] = buffer.Bytes()
	return b, nil
}

// builder keeps the newest blob of each group, and makes it once however many ask.
type builder struct {
	read   func(ctx context.Context, group string) (*snapshot.Document, error)
	log    *zap.Logger
	counts *counts

	mu     sync.Mutex
	builds map[string]*build // by group; one is replaced by the next
}

// build is one that is under way or done.
type build struct {
	asked snapshot.Version
	done  chan struct{} // what follows is written before it is closed
	blob  *blob
	err   error
	ended time.Time
}

// get returns the blob of a group that is not older than version, which is the newest
// one known. ctx ends the waiting, not the build, which others may wait for.
func (b *builder) get(ctx context.Context, group string, version snapshot.Version) (*blob, error) {
	one := b.start(group, version) //nolint:contextcheck // others may wait for it when this asker has gone
	select {
	case <-one.done:
		return one.blob, one.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start finds the build of a version, or begins it.
func (b *builder) start(group string, version snapshot.Version) *build {
	b.mu.Lock()
	defer b.mu.Unlock()
	if one := b.builds[group]; one != nil && one.serves(version) {
		return one
	}
	one := &build{asked: version, done: make(chan struct{})}
	b.builds[group] = one
	go b.run(one, group)
	return one
}

// serves tells whether whoever asks for version is served by the build. Between the
// asking and the reading the version can have grown.
func (one *build) serves(version snapshot.Version) bool {
	select {
	case <-one.done:
	default:
		return one.asked == version
	}
	if one.err != nil {
		return one.asked == version && time.Since(one.ended) < rebuildGap
	}
	return one.asked == version || one.blob.version == version
}

func (b *builder) run(one *build, group string) {
	defer close(one.done)
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	began := time.Now()
	document, err := b.read(ctx, group)
	if err == nil {
		one.blob, err = newBlob(document)
	}
	one.ended = time.Now()
	if err != nil {
		b.counts.failed.Add(1)
		one.err = fmt.Errorf("building the snapshot of group %q: %w", group, err)
		b.log.Error("building a snapshot failed", zap.String("group", group), zap.Stringer("snapshot_version", one.asked), zap.Error(err))
		return
	}
	b.counts.built.Add(1)
	b.log.Info("snapshot built", zap.String("group", group), zap.Stringer("snapshot_version", one.blob.version),
		zap.Int("bytes", len(one.blob.octets[""])), zap.Int("bytes_sent", len(one.blob.octets["zstd"])), zap.Duration("duration", one.ended.Sub(began)))
}
