package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// reapLimit bounds how long the boot waits for killed orphans; one in the kernel's hands (state D) may take longer.
const reapLimit = time.Second

// errGone tells that a recorded process does not exist any more.
var errGone = errors.New("the recorded process is gone")

// suspect is a recorded process that lives. The pidfd stands for this very process, even if its pid is reused.
type suspect struct {
	record
	path  string
	pidfd int
}

func reapOrphans(dir string) ([]Orphan, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the records of children: %w", err)
	}
	boot, err := bootID()
	if err != nil {
		return nil, fmt.Errorf("reading the boot id: %w", err)
	}
	var (
		struck []suspect
		killed []Orphan
		errs   []error
	)
	for _, e := range entries {
		// A whole record can still have its temporary name, if the crash came in between. Other files are not ours.
		if ext := filepath.Ext(e.Name()); !e.Type().IsRegular() || ext != recordExt && ext != tornExt {
			continue
		}
		s, err := strike(filepath.Join(dir, e.Name()), boot)
		if err != nil {
			errs = append(errs, fmt.Errorf("reaping by the record %s: %w", e.Name(), err))
		}
		if s != nil {
			struck = append(struck, *s)
		}
	}
	deadline := time.Now().Add(reapLimit)
	for _, s := range struck {
		if err := s.await(deadline); err != nil {
			errs = append(errs, err)
			continue
		}
		killed = append(killed, Orphan{PID: s.PID, Name: s.Name})
	}
	return killed, errors.Join(errs...)
}

// strike kills the process of one record, if it is surely the recorded one, and returns it to be waited for. If there
// is nothing to kill, it removes the record.
func strike(path, boot string) (*suspect, error) {
	r, err := readRecord(path)
	var pidfd int
	if err == nil {
		pidfd, err = r.find(boot)
	}
	if errors.Is(err, errGone) {
		return nil, os.Remove(path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return nil, errors.Join(fmt.Errorf("killing process %d: %w", r.PID, err), unix.Close(pidfd))
	}
	// Its own children, if it had any. None left is the rule, and no error.
	_ = unix.Kill(-r.PID, unix.SIGKILL)
	return &suspect{record: r, path: path, pidfd: pidfd}, nil
}

// find returns a pidfd of the recorded process. The pidfd is opened before the identity is checked: if the pid changes
// hands in between, the check fails, or the pidfd stands for a dead process; it never stands for a stranger.
func (r record) find(boot string) (pidfd int, err error) {
	if r.BootID != boot {
		return -1, errGone
	}
	pidfd, err = unix.PidfdOpen(r.PID, 0)
	if err == nil {
		if err = r.verify(); err == nil {
			return pidfd, nil
		}
		_ = unix.Close(pidfd)
	}
	// EINVAL: the pid is a thread of another process now.
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) || errors.Is(err, fs.ErrNotExist) {
		return -1, errGone
	}
	return -1, err
}

// verify checks that the process with the recorded pid is the recorded one.
func (r record) verify() error {
	stat, err := readStat(r.PID)
	if err != nil {
		return err
	}
	// A zombie has no environment any more that could prove who it was.
	if stat.dead() || stat.startTime != r.StartTime {
		return errGone
	}
	environ, err := os.ReadFile(procFile(r.PID, "environ"))
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(bytes.Split(environ, []byte{0}), func(v []byte) bool {
		return string(v) == childEnv+"="+r.Nonce
	}) {
		return fmt.Errorf("process %d has the recorded start time but another nonce: spared", r.PID)
	}
	return nil
}

// await returns when the killed process is dead and its record removed, or the deadline has passed.
func (s suspect) await(deadline time.Time) error {
	defer func() { _ = unix.Close(s.pidfd) }()
	fds := []unix.PollFd{{Fd: int32(s.pidfd), Events: unix.POLLIN}} //nolint:gosec // descriptors are small
	for {
		n, err := unix.Poll(fds, int(max(0, time.Until(deadline)).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("waiting for the death of process %d: %w", s.PID, err)
		case n == 0:
			return fmt.Errorf("killed process %d does not die: its record stays for the next start", s.PID)
		default:
			return os.Remove(s.path)
		}
	}
}
