package process

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Harden prepares this process for its children: nobody's memory is dumped to disk, which may hold keys, and files
// that whoever started us left open are closed in every program that we start. Call it once, at boot.
func Harden() error {
	err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	if err != nil {
		err = fmt.Errorf("forbidding core dumps: %w", err)
	}
	const behindStderr = 3
	sealed := unix.CloseRange(behindStderr, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	// Linux before 5.11 has no such call.
	if sealed != nil && !errors.Is(sealed, unix.ENOSYS) && !errors.Is(sealed, unix.EINVAL) {
		err = errors.Join(err, fmt.Errorf("keeping open files from children: %w", sealed))
	}
	return err
}
