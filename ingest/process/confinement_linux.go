package process

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/ingest/process/cgroup"
)

// confinement is what bounds a child, opened and made ready before its thread is confined: that one may open nothing.
type confinement struct {
	sandboxed bool
	ruleset   int              // of Landlock; -1: none
	entrance  *cgroup.Entrance // nil: the child lives in our group
	user      uint32           // 0: ours
	groups    []uint32         // that the user is in as well
}

// prepare opens what a child's confinement needs. It must be closed.
func prepare(spec *Spec) (_ *confinement, err error) {
	c := &confinement{ruleset: -1, user: spec.User, sandboxed: spec.Sandbox != nil}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if spec.Sandbox != nil {
		c.groups = spec.Sandbox.groups()
	}
	if spec.Sandbox != nil && spec.Landlock.Files() {
		if c.ruleset, err = spec.Sandbox.ruleset(spec.Landlock, spec.Path); err != nil {
			return nil, err
		}
	}
	if spec.Group != nil {
		if c.entrance, err = spec.Group.Entrance(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *confinement) close() {
	if c.ruleset >= 0 {
		_ = unix.Close(c.ruleset)
	}
	if c.entrance != nil {
		c.entrance.Close()
	}
}

// attributes are what the kernel is told at the fork.
func (c *confinement) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if c.user != 0 {
		attr.Credential = &syscall.Credential{Uid: c.user, Gid: c.user, Groups: c.groups}
	}
	if c.entrance != nil {
		attr.CgroupFD, attr.UseCgroupFD = c.entrance.CgroupFD()
	}
	return attr
}

// enter restricts the calling thread, and so the child that it forks; the other threads stay free. Whatever follows on
// this thread must need no rights: files are opened, and records written, elsewhere.
func (c *confinement) enter() error {
	if c.entrance != nil {
		if err := c.entrance.Enter(); err != nil {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("setting no_new_privs: %w", err)
	}
	// What a service manager gave us as ambient would outlive a change of user and the exec.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clearing the ambient capabilities: %w", err)
	}
	if !c.sandboxed {
		return nil
	}
	if err := dropCapabilities(); err != nil {
		return err
	}
	if c.ruleset >= 0 {
		if err := restrict(c.ruleset); err != nil {
			return err
		}
	}
	return nil
}

// leave takes the thread out of the child's group, which could not be removed otherwise as long as the child lives. If
// it fails, the thread's end does it.
func (c *confinement) leave() {
	if c.entrance != nil {
		_ = c.entrance.Leave()
	}
}
