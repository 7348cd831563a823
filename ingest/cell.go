package ingest

import (
	"hash/fnv"

	"go.uber.org/zap"

	"github.com/headrace/headrace/ingest/process"
	"github.com/headrace/headrace/ingest/process/cgroup"
	"github.com/headrace/headrace/ingest/source"
)

// cell is one child's confinement, from before its start until it is dead.
type cell struct {
	host  *confiner
	group *cgroup.Group // nil: none
	meter *meter        // of the group
	user  uint32        // 0: the edge's
}

// confine adds to a child's spec what bounds it. reach is what its source needs, and
// trusted one that reads with the edge's own eyes. The cell must be left.
func (c *confiner) confine(spec *process.Spec, limits Limits, reach *process.Sandbox, trusted bool) (*cell, error) {
	<-c.known
	return c.bound(spec, limits, reach, trusted)
}

func (c *confiner) bound(spec *process.Spec, limits Limits, reach *process.Sandbox, trusted bool) (*cell, error) {
	in := &cell{host: c}
	if c.mode == SandboxOff {
		return in, nil
	}
	if !trusted {
		spec.Dir = "/" // where the edge stands is none of the child's business
	}
	spec.Sandbox, spec.Landlock = reach, c.able.Landlock
	if c.tree.Version() != "" {
		group, err := c.tree.Make(spec.Name, limits)
		switch {
		case err == nil:
			in.group, in.meter, spec.Group = group, newMeter(spec.Name, limits, group), group
		case c.mode == SandboxRequire:
			return nil, err
		default: // a viewer who watches goes on watching
			c.log.Error("child runs without limits", zap.String("stream_id", spec.Name), zap.Error(err))
		}
	}
	if c.able.Users && !trusted {
		in.user = c.takeUser(spec.Name)
		spec.User = in.user
	}
	return in, nil
}

// blame names the limit that made the child end for a reason, if one did.
func (in *cell) blame(reason Reason) Reason {
	if in == nil || in.meter == nil {
		return reason
	}
	return in.meter.pressure().blame(reason)
}

// throttled tells whether the child's own limit holds it back.
func (in *cell) throttled() bool {
	return in.meter != nil && in.meter.pressure().throttled
}

// leave removes what a dead child was in.
func (in *cell) leave() error {
	in.host.mu.Lock()
	delete(in.host.users, in.user)
	in.host.mu.Unlock()
	if in.group == nil {
		return nil
	}
	return in.group.Remove()
}

// takeUser finds an id that no other child of this engine has. It follows from the
// stream's id, so that files of the same id are not strangers to an operator, and
// from the program's groups, so that two edges seldom meet.
func (c *confiner) takeUser(stream string) uint32 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(stream)) // a hash takes all bytes
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := sum.Sum32() % process.UserCount; ; i = (i + 1) % process.UserCount {
		if user := process.UserBase + i; !c.users[user] {
			c.users[user] = true
			return user
		}
	}
}

// launch starts the run's child, confined. list is the path of what a looped source
// is read from. What reads a file of the operator's does so with the edge's own eyes.
func (r *run) launch(list string, spec process.Spec) (*process.Child, error) {
	src := r.spec.Sources[r.source]
	allowed := reach(src, list, r.wayPort())
	allowed.Devices = r.host.hardware.Devices()
	in, err := r.host.confiner.confine(&spec, r.spec.Limits, allowed, src.Path() != "")
	if err != nil {
		if spec.Stdin != nil {
			_ = spec.Stdin.Close()
		}
		return nil, err
	}
	child, err := process.Start(spec)
	if err != nil {
		r.host.leave(r.spec.ID, in)
		return nil, err
	}
	r.cell = in
	return child, nil
}

// reach is what a child needs for its source: its files, or the guard's port, through
// which it reaches one of http; nothing where the source is made or fed to it.
func reach(src source.Source, list string, port uint16) *process.Sandbox {
	switch src.Kind() {
	case source.File, source.Slate:
		return &process.Sandbox{Read: []string{list, src.Path()}}
	case source.HTTP:
		return &process.Sandbox{ConnectTCP: port}
	}
	return new(process.Sandbox)
}
