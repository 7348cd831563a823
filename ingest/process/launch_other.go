//go:build !linux

package process

import (
	"os"
	"syscall"
)

// launched is a child that runs.
type launched struct {
	proc   *os.Process
	exited <-chan struct{} // closed when the child is dead and reaped
	ended  *ended
}

// ended is how the child ended; it is set before exited is closed.
type ended struct {
	state *os.ProcessState
	err   error
}

// reap returns how the child ended.
func (l launched) reap() (*os.ProcessState, error) { return l.ended.state, l.ended.err }

// launch starts a program in a process group of its own. Without Linux's waitid the death is noticed by reaping, so the
// group is signalled an instant after its number became free, and nothing kills the child when its parent crashes.
func launch(path string, argv []string, attr *os.ProcAttr, _ *confinement) (launched, error) {
	attr.Sys = &syscall.SysProcAttr{Setpgid: true}
	proc, err := os.StartProcess(path, argv, attr)
	if err != nil {
		return launched{}, err
	}
	exited, end := make(chan struct{}), new(ended)
	go func() {
		defer close(exited)
		end.state, end.err = proc.Wait()
	}()
	return launched{proc: proc, exited: exited, ended: end}, nil
}

// confinement bounds nothing.
type confinement struct{}

func prepare(*Spec) (*confinement, error) { return nil, nil }

func (*confinement) close() {}

// limit does nothing: only Linux can set another process's limits.
func limit(int, *Spec) error { return nil }

// resize does nothing: only Linux has pipes of variable size.
func resize(*os.File, int) error { return nil }
