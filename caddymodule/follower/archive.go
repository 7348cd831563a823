package follower

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/headrace/headrace/controlapi/snapshot"
)

// kept is how many documents an archive holds.
const kept = 3

// currentName is the file that names the document in force.
const currentName = "current"

// Archive keeps the last good documents of an edge in a folder of its own, so that it
// can start without its control plane:
//
//	snapshot-<epoch>-<version>.json.zst   the newest three
//	current                               the version in force, and a checksum of that
//
// Every file is written beside its place, synced and renamed, so that there is never a
// half one. Several goroutines may use an Archive.
type Archive struct {
	folder string
	mu     sync.Mutex // held while files are written
}

// OpenArchive makes the folder if it is not there.
func OpenArchive(folder string) (*Archive, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("opening the folder of snapshots: %w", err)
	}
	return &Archive{folder: folder}, nil
}

// Save keeps a document, and names it the one in force. When it returns nil, both have
// reached the disk.
func (a *Archive) Save(version snapshot.Version, document []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	packed, err := pack(document)
	if err == nil {
		err = a.write(fileName(version), packed)
	}
	if err == nil {
		err = a.write(currentName, current(version))
	}
	if err != nil {
		return fmt.Errorf("keeping snapshot %v: %w", version, err)
	}
	a.prune()
	return nil
}

// pack compresses a document with little memory, which an edge has better uses for.
func pack(document []byte) ([]byte, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, err
	}
	return encoder.EncodeAll(document, nil), nil
}

// write replaces a file at once and for good.
func (a *Archive) write(name string, content []byte) error {
	f, err := os.CreateTemp(a.folder, temporary+"*") // for its owner alone
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(a.folder, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	folder, err := os.Open(a.folder)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

const (
	prefix    = "snapshot-"
	suffix    = ".json.zst"
	temporary = ".new-"
)

func fileName(v snapshot.Version) string {
	return fmt.Sprintf("%s%d-%d%s", prefix, v.Epoch, v.Number, suffix)
}

// prune removes what is older than the newest documents, and what a life before left
// half written. What cannot be removed is tried the next time.
func (a *Archive) prune() {
	for i, v := range a.Versions() {
		if i >= kept {
			_ = os.Remove(filepath.Join(a.folder, fileName(v)))
		}
	}
	left, _ := filepath.Glob(filepath.Join(a.folder, temporary+"*"))
	for _, path := range left {
		_ = os.Remove(path)
	}
}

// Versions are those of the documents that are there, newest first.
func (a *Archive) Versions() []snapshot.Version {
	entries, err := os.ReadDir(a.folder)
	if err != nil {
		return nil
	}
	var versions []snapshot.Version
	for _, e := range entries {
		text, isFile := strings.CutPrefix(e.Name(), prefix)
		text, isOurs := strings.CutSuffix(text, suffix)
		v, err := snapshot.ParseVersion(strings.Replace(text, "-", ".", 1))
		if isFile && isOurs && err == nil {
			versions = append(versions, v)
		}
	}
	slices.SortFunc(versions, func(x, y snapshot.Version) int { return y.Compare(x) })
	return versions
}

// Read decodes a document, with all its checks.
func (a *Archive) Read(version snapshot.Version) (*snapshot.Document, error) {
	f, err := os.Open(filepath.Join(a.folder, fileName(version)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := unpack("zstd", f)
	if err != nil {
		return nil, fmt.Errorf("reading snapshot %v: %w", version, err)
	}
	d, err := snapshot.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("reading snapshot %v: %w", version, err)
	}
	if d.Name() != version {
		return nil, fmt.Errorf("reading snapshot %v: the file holds %v", version, d.Name())
	}
	return d, nil
}

// current is what the file of that name holds: the version and the SHA-256 of it.
func current(v snapshot.Version) []byte {
	sum := sha256.Sum256([]byte(v.String()))
	return []byte(v.String() + " " + hex.EncodeToString(sum[:]) + "\n")
}

// Current is the version that was last in force, and when the control plane last
// confirmed it; zero if that is not known. It is a lower bound for what the edge may be
// given even where the document itself is lost.
func (a *Archive) Current() (snapshot.Version, time.Time) {
	f, err := os.Open(filepath.Join(a.folder, currentName))
	if err != nil {
		return snapshot.Version{}, time.Time{}
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, 256))
	info, statErr := f.Stat()
	if cmp.Or(err, statErr) != nil {
		return snapshot.Version{}, time.Time{}
	}
	text, _, _ := strings.Cut(string(b), " ")
	v, err := snapshot.ParseVersion(text)
	if err != nil || !bytes.Equal(b, current(v)) {
		return snapshot.Version{}, time.Time{}
	}
	return v, info.ModTime()
}

// Confirm remembers that the document in force is the newest one now.
func (a *Archive) Confirm() {
	now := time.Now()
	_ = os.Chtimes(filepath.Join(a.folder, currentName), now, now) // without it, it only seems older
}
