package edge

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetStartUp gives back the pages of the program that only its start needed: parts of
// Caddy that this configuration does not use, tables that were read once. They are the
// file's own, unchanged, and come back from the page cache one by one where they are
// needed. Without it nearly all of the program stays resident, 60 MB, for as long as it runs.
func forgetStartUp() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("finding the program: %w", err)
	}
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("finding the program's memory: %w", err)
	}
	defer func() { _ = file.Close() }()
	unchanged, err := unchangedMappings(bufio.NewScanner(file), program)
	if err != nil {
		return err
	}
	for _, m := range unchanged {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("giving back %d bytes of the program: %w", m.to-m.from, errno)
		}
	}
	return nil
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// unchangedMappings reads proc_pid_smaps(5): those of the program that cannot be written
// to, and that nothing wrote to before they could not (the linker relocates some).
func unchangedMappings(lines *bufio.Scanner, program string) (all []mapping, err error) {
	var m mapping
	ours := false
	for lines.Scan() {
		var permissions string
		var changed int
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "Anonymous:"):
			if _, err := fmt.Sscanf(line, "Anonymous: %d kB", &changed); err != nil {
				return nil, fmt.Errorf("reading %q: %w", line, err)
			}
			if ours && changed == 0 {
				all = append(all, m)
			}
		case strings.Contains(strings.SplitN(line, " ", 2)[0], "-"):
			n, _ := fmt.Sscanf(line, "%x-%x %4s", &m.from, &m.to, &permissions)
			ours = n == 3 && (permissions == "r--p" || permissions == "r-xp") && strings.HasSuffix(line, " "+program)
		}
	}
	return all, lines.Err()
}
