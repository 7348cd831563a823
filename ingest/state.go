package ingest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrStateInUse says that another edge holds the lock of the state folder.
var ErrStateInUse = errors.New("the state folder is in use by another edge")

// stateFolder is the folder that an edge owns while it runs: the numbers of its
// streams, the records of its children, and lists that these read. A lock keeps a second edge out; Caddy
// itself would let both share the port (SO_REUSEPORT).
type stateFolder struct {
	path string
	lock *os.File
}

func openState(path string) (*stateFolder, error) {
	if path == "" {
		return nil, errors.New("no state folder is configured; name one with the state option")
	}
	path, err := filepath.Abs(path) // children do not stand where the edge does
	if err != nil {
		return nil, fmt.Errorf("finding the state folder: %w", err)
	}
	s := &stateFolder{path: path}
	for _, dir := range []string{path, s.numbers(), s.children(), s.lists()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the state folder: %w; choose a folder that user %d may write", err, os.Getuid())
		}
	}
	if err := checkWritable(path); err != nil {
		return nil, fmt.Errorf("writing to the state folder %s: %w; it must be writable by user %d and have space left", path, err, os.Getuid())
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the state folder: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s; stop the other edge or give this one a folder of its own", ErrStateInUse, path)
		}
		return nil, fmt.Errorf("locking the state folder %s: %w", path, err)
	}
	s.lock = lock
	return s, nil
}

func (s *stateFolder) numbers() string  { return filepath.Join(s.path, "numbers") }
func (s *stateFolder) lists() string    { return filepath.Join(s.path, "lists") }
func (s *stateFolder) detected() string { return filepath.Join(s.path, "ffmpeg.json") }
func (s *stateFolder) children() string { return filepath.Join(s.path, "children") }

// close gives the lock up with the file.
func (s *stateFolder) close() error { return s.lock.Close() }

// checkWritable tells whether files can be made and written in the folder.
func checkWritable(dir string) error {
	probe := filepath.Join(dir, ".writable")
	f, err := os.OpenFile(probe, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("headrace\n")
	err = errors.Join(err, f.Close())
	if rmErr := os.Remove(probe); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
		err = errors.Join(err, rmErr)
	}
	return err
}
