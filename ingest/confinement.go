package ingest

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/ingest/process"
	"github.com/headrace/headrace/ingest/process/cgroup"
	"github.com/headrace/headrace/ingest/source"
)

// ErrUnconfined says that a stream may not run here, because the sandbox that is
// required cannot be had.
var ErrUnconfined = errors.New("the sandbox that is required cannot be had")

// SandboxMode says how much of a sandbox children must have.
type SandboxMode string

// The modes.
const (
	SandboxAuto    SandboxMode = "auto"    // what the machine has; the default
	SandboxRequire SandboxMode = "require" // all that a stream needs, or it does not run
	SandboxOff     SandboxMode = "off"     // none
)

// Limits is what one child may use. Zero fields are no limits.
type Limits = cgroup.Limits

// Confinement is what bounds every child of an engine, item by item.
type Confinement struct {
	// Mode is what was asked for; the rest is what it came to.
	Mode SandboxMode `json:"mode"`
	// Cgroup is the version of control groups that children are put into, "v2" or
	// "v1", or "none".
	Cgroup string `json:"cgroup"`
	// Limits are those that are enforced, of cpu, memory and pids.
	Limits []string `json:"limits"`
	// Landlock is the version of the kernel's interface, 0 for none, and LandlockCovers
	// what it bounds, of files, tcp, scopes (signals, abstract sockets) and udp.
	Landlock       int      `json:"landlock"`
	LandlockCovers []string `json:"landlock_covers"`
	// OwnUser tells whether each child runs under a user id of its own. One that reads
	// a local file never does.
	OwnUser bool `json:"own_user"`
	// Rlimits are the resource limits of children: core, nofile and fsize, or core
	// alone where the edge may not set those of another user.
	Rlimits []string `json:"rlimits"`
	// Missing says what there is not, and why.
	Missing []string `json:"missing"`
}

// confiner confines children, as far as it is asked to and the machine can.
type confiner struct {
	mode    SandboxMode
	program string
	memory  string // the file that remembers a trial
	tree    *cgroup.Tree
	usage   usages

	known   chan struct{} // closed once the next two are final
	able    process.Abilities
	missing []string

	log *zap.Logger

	mu    sync.Mutex
	users map[uint32]bool // the ids in use
}

// openConfiner finds out what the machine has, and ends what an earlier life left in
// its control groups. The caller holds the lock of the state folder.
func openConfiner(mode SandboxMode, state, program string, log *zap.Logger) (*confiner, error) {
	c := &confiner{
		mode: mode, program: program, memory: filepath.Join(state, "sandbox.json"), tree: new(cgroup.Tree), log: log, users: make(map[uint32]bool), known: make(chan struct{}),
		usage: usages{ended: make(map[string]Usage), running: make(map[string]map[*meter]cgroup.Counters)},
	}
	switch mode {
	case SandboxOff:
		close(c.known)
		c.tell()
		return c, nil
	case "":
		c.mode = SandboxAuto
	case SandboxAuto, SandboxRequire:
	default:
		return nil, fmt.Errorf("sandbox %q: use require, auto or off", mode)
	}
	var err error
	if c.tree, err = cgroup.Open(cgroup.Name(state)); err != nil {
		c.missing = append(c.missing, strings.Split(err.Error(), "\n")...) // one for each hierarchy
	}
	left, err := c.tree.Reap()
	if err != nil {
		log.Warn("some control groups of an earlier life could not be removed", zap.Error(err))
	}
	for _, id := range left {
		log.Warn("ended a child that an earlier life left in its control group", zap.String("stream_id", id))
	}
	if c.mode == SandboxRequire {
		if err := c.find(); err != nil {
			return nil, errors.Join(err, c.close())
		}
		return c, nil
	}
	// An edge that is started again serves first.
	go func() { _ = c.find() }()
	return c, nil
}

// find finds out what children can be given. It fails only where that is required.
func (c *confiner) find() error {
	defer close(c.known)
	probed := process.ProbeAbilities()
	c.able = probed
	why, err := c.try()
	if err != nil {
		return err
	}
	if why != "" {
		c.missing = append(c.missing, why)
		probed.UserLimits = true // which is not what is amiss
	}
	c.missing = append(c.missing, lacking(probed)...)
	c.tell()
	return nil
}

// tell writes down what children get, once.
func (c *confiner) tell() {
	in := c.found()
	c.log.Info("confinement of children", zap.String("sandbox", string(in.Mode)), zap.String("cgroup", in.Cgroup),
		zap.Strings("limits", in.Limits), zap.Int("landlock", in.Landlock), zap.Strings("landlock_covers", in.LandlockCovers),
		zap.Bool("own_user", in.OwnUser), zap.Strings("rlimits", in.Rlimits), zap.Strings("missing", in.Missing))
}

// passed is a trial that went well, and of what that is true.
type passed struct {
	Program programFile       `json:"program"`
	Able    process.Abilities `json:"able"`
}

// try runs FFmpeg as it is going to be run, and gives up what it cannot live with. It
// says what that is, and why. That all went well once is remembered: the trial takes a
// good part of the time that a restarted edge has.
func (c *confiner) try() (why string, err error) {
	file, err := lookAt(c.program)
	if err != nil {
		return "", err
	}
	now := passed{file, c.able}
	if before, ok := remembered[passed](c.memory); ok && before == now {
		return "", nil
	}
	first := c.trial()
	if first == nil {
		remember(c.memory, now)
		return "", nil
	}
	if c.able.Users {
		c.able.Users = false
		if c.trial() == nil {
			return fmt.Sprintf("children run under the edge's own user, because others cannot run FFmpeg: %v", first), nil
		}
	}
	if c.mode == SandboxRequire {
		return "", fmt.Errorf("%w: %w; install FFmpeg with all its libraries below /usr", ErrUnconfined, first)
	}
	c.able.Landlock = 0
	return fmt.Sprintf("no Landlock, because FFmpeg does not run in it (install it below /usr): %v", first), nil
}

// trial asks FFmpeg for its version, confined.
func (c *confiner) trial() error {
	spec := process.Spec{Path: c.program, Args: []string{"-hide_banner", "-version"}, Env: childEnvironment(), Name: "ffmpeg"}
	in, err := c.bound(&spec, Limits{}, new(process.Sandbox), false)
	if err != nil {
		return err
	}
	defer func() { _ = in.leave() }()
	child, err := process.Start(spec)
	if err != nil {
		return err
	}
	late := time.AfterFunc(detectTimeout, child.Kill)
	defer late.Stop()
	<-child.Done()
	if exit := child.Exit(); exit.Code != 0 {
		lines := append([]process.Line{{Text: "nothing"}}, child.Lines()...)
		return fmt.Errorf("running %s confined: exit code %d, signal %d; it said: %s", c.program, exit.Code, exit.Signal, lines[len(lines)-1].Text)
	}
	return nil
}

// lacking says what of the sandbox is not there, and what would bring it.
func lacking(a process.Abilities) (missing []string) {
	add := func(has bool, text string) {
		if !has {
			missing = append(missing, text)
		}
	}
	add(a.Landlock.Files(), "Landlock is not there or off: Linux 5.13 or later with lsm=landlock")
	if a.Landlock.Files() {
		add(a.Landlock.TCP(), "Landlock does not bound TCP: Linux 6.7 or later")
		add(a.Landlock.Scopes(), "Landlock does not bound signals: Linux 6.12 or later")
	}
	add(a.Users, "children run under the edge's own user: it needs CAP_SETUID, CAP_SETGID, CAP_KILL and a user namespace with ids from 1900000000 on")
	if a.Users {
		add(a.UserLimits, "children of other users have no limits of files: it needs CAP_SYS_RESOURCE")
	}
	return missing
}

// inForce is what children get.
func (c *confiner) inForce() Confinement {
	<-c.known
	return c.found()
}

func (c *confiner) found() Confinement {
	in := Confinement{
		Mode: c.mode, Cgroup: c.tree.Version(), Limits: append([]string{}, c.tree.Controllers()...),
		Landlock: int(c.able.Landlock), LandlockCovers: []string{},
		OwnUser: c.able.Users, Rlimits: []string{"core"}, Missing: append([]string{}, c.missing...),
	}
	if in.Cgroup == "" {
		in.Cgroup = "none"
	}
	for _, part := range []struct {
		name string
		in   bool
	}{
		{"files", c.able.Landlock.Files()},
		{"tcp", c.able.Landlock.TCP()},
		{"scopes", c.able.Landlock.Scopes()},
		{"udp", c.able.Landlock.UDP()},
	} {
		if part.in {
			in.LandlockCovers = append(in.LandlockCovers, part.name)
		}
	}
	if !c.able.Users || c.able.UserLimits {
		in.Rlimits = append(in.Rlimits, "nofile")
		if c.mode != SandboxOff {
			in.Rlimits = append(in.Rlimits, "fsize")
		}
	}
	return in
}

// check refuses a stream that would run with less than is required.
func (c *confiner) check(s *StreamSpec) error {
	if c.mode != SandboxRequire {
		return nil
	}
	var missing []string
	enforced := c.tree.Controllers()
	for _, limit := range []struct {
		controller string
		set        bool
	}{{"cpu", s.Limits.CPU > 0}, {"memory", s.Limits.Memory > 0}, {"pids", s.Limits.PIDs > 0}} {
		if limit.set && !slices.Contains(enforced, limit.controller) {
			missing = append(missing, "a control group for the limit of "+limit.controller)
		}
	}
	if c.tree.Version() == "" {
		missing = append(missing, "control groups")
	}
	if !c.able.Landlock.Files() {
		missing = append(missing, "Landlock")
	} else if !c.able.Landlock.TCP() && slices.ContainsFunc(s.Sources, func(src source.Source) bool { return src.Kind() == source.HTTP }) {
		missing = append(missing, "Landlock's rules for TCP (Linux 6.7), for a source of http or https")
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("stream %q: %w: there is no %s; see README, Run it confined, or say sandbox auto", s.ID, ErrUnconfined, strings.Join(missing, ", no "))
}

// close removes the folder of the control groups.
func (c *confiner) close() error {
	<-c.known
	return c.tree.Close()
}
