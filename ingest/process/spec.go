package process

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/headrace/headrace/ingest/process/cgroup"
)

// defaultGrace is how long FFmpeg gets to write its trailers; idle it needs about 20 ms.
const defaultGrace = 5 * time.Second

// maxPipes keeps the child's descriptors far below its limit of 256 open files.
const maxPipes = 64

// Spec says what to run and how to end it. It is read by Start only; changing it afterwards has no effect.
type Spec struct {
	// Path is the program's file. It is not searched for in PATH.
	Path string
	// Args are the arguments after the program's name, handed over as they are: no shell reads them.
	Args []string
	// Env is the child's whole environment. Start adds HEADRACE_CHILD, by which ReapOrphans knows the child again.
	Env []string
	// Dir is the child's working directory; "" is the caller's.
	Dir string

	// Stdin is what the child reads as its standard input; nil is /dev/null. Start closes it, also when it fails.
	Stdin *os.File

	// Pipes is the number of pipes that the child writes, as fd 3, 4, …; the caller reads them through Child.Pipe.
	Pipes int
	// PipeSize is the capacity of each of these pipes in bytes, as far as the kernel grants it (F_SETPIPE_SZ, Linux
	// only); 0 keeps the kernel's default.
	PipeSize int

	// Grace is the time between SIGTERM and SIGKILL in Stop; 0 means 5 s.
	Grace time.Duration

	// OnLine gets the lines of stdout and stderr, cut at 2 KiB, at most 50 in a second; a line that counts the others
	// precedes the first one after a gap. It is called from one goroutine, which the child never waits for. A line
	// may hold secrets of a URL. nil means that Child.Lines is enough.
	OnLine func(line string)

	// Sandbox is what the child may reach; nil: all that its user may. It is enforced as far as Landlock says, which
	// is to be taken from ProbeAbilities.
	Sandbox  *Sandbox
	Landlock Landlock
	// Group is the control group that the child is started in, and that is killed with it; nil: the caller's own
	// group. It is not removed.
	Group *cgroup.Group
	// User is the user id, and group id, that the child runs under; 0: the caller's. See Abilities.Users.
	User uint32

	// Records is the folder for the child's record, made if it is missing (see ReapOrphans); "" means none.
	Records string
	// Name names the child in its record and in errors: a stream id.
	Name string
}

// check refuses what cannot be started, and fills in the default of Grace.
func (s *Spec) check() error {
	if s.Path == "" {
		return errors.New("no program named: set the path of the program to run")
	}
	if s.Pipes < 0 || s.Pipes > maxPipes {
		return fmt.Errorf("%d pipes asked for: a child has 0 to %d", s.Pipes, maxPipes)
	}
	if s.Grace <= 0 {
		s.Grace = defaultGrace
	}
	return nil
}
