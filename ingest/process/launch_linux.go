package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// launched is a child that runs.
type launched struct {
	proc   *os.Process
	exited <-chan struct{} // closed when the child is dead; it is a zombie until reap
}

// reap takes the zombie away and returns how the child ended.
func (l launched) reap() (*os.ProcessState, error) { return l.proc.Wait() }

// launch starts a program on an OS thread of its own, confined, and keeps that thread until the child is dead. The
// kernel binds Pdeathsig to the thread, not to the process: from any other thread the child could be killed at random,
// whenever the runtime lets that thread go.
func launch(path string, argv []string, attr *os.ProcAttr, c *confinement) (launched, error) {
	attr.Sys = c.attributes()
	var (
		proc    *os.Process
		err     error
		started = make(chan struct{})
		exited  = make(chan struct{})
	)
	go claimThread(func() {
		defer close(exited)
		if err = c.enter(); err == nil {
			proc, err = os.StartProcess(path, argv, attr)
		}
		c.leave()
		close(started)
		if err == nil {
			awaitDeath(proc.Pid)
		}
	})
	<-started
	return launched{proc: proc, exited: exited}, err
}

// claimThread runs f on an OS thread that ends with the goroutine, since it is never unlocked. The main thread would
// be parked instead of ended (runtime.mexit) and the child would live on, so f is moved away from there: as long as
// this goroutine holds the main thread, the next one gets another.
func claimThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	claimed := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(claimed)
		f()
	}()
	<-claimed
	runtime.UnlockOSThread()
}

// awaitDeath returns when the child is dead, and leaves it a zombie: its pid stays taken while its group is killed.
// Any error but EINTR means that there is no such child any more.
func awaitDeath(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// limit sets the child's resource limits: no core dumps (they would hold stream keys), few files, and, in a sandbox, no
// byte in any file. Limits belong to a process, not to a thread, so they cannot be set before the fork; those of
// another user's process can be set only by who may exceed limits himself (Abilities.UserLimits).
func limit(pid int, spec *Spec) error {
	if spec.User != 0 && !heldCapabilities().has(unix.CAP_SYS_RESOURCE) {
		return nil
	}
	for _, l := range spec.rlimits() {
		err := unix.Prlimit(pid, l.resource, &unix.Rlimit{Cur: l.most, Max: l.most}, nil)
		if err != nil {
			return fmt.Errorf("setting the %s limit of process %d: %w", l.name, pid, err)
		}
	}
	return nil
}

// rlimit is one resource limit, soft and hard.
type rlimit struct {
	name     string
	resource int
	most     uint64
}

func (s *Spec) rlimits() []rlimit {
	limits := []rlimit{{"core", unix.RLIMIT_CORE, 0}, {"nofile", unix.RLIMIT_NOFILE, 256}}
	if s.Sandbox != nil {
		limits = append(limits, rlimit{"fsize", unix.RLIMIT_FSIZE, 0})
	}
	return limits
}

// resize sets the capacity of a pipe; 0 keeps it. File.Fd would take the pipe from the poller and its deadlines with
// it, hence the raw connection.
func resize(pipe *os.File, size int) error {
	if size == 0 {
		return nil
	}
	conn, err := pipe.SyscallConn()
	if err != nil {
		return fmt.Errorf("resizing a pipe: %w", err)
	}
	var set error
	err = conn.Control(func(fd uintptr) {
		_, set = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, size)
	})
	if err := errors.Join(err, set); err != nil {
		return fmt.Errorf("resizing a pipe to %d bytes (see /proc/sys/fs/pipe-max-size): %w", size, err)
	}
	return nil
}
