// Package process runs one supervised child: it starts it, watches its output, stops it, and says when to start it
// again. It knows no FFmpeg and imports nothing of the project but what lies below it.
//
// A child never outlives its parent: on Linux it is started from an OS thread of its own that lives as long as the
// child does, and the kernel kills the child when that thread ends, however it ends. Records are the second line of
// defence (ReapOrphans), control groups the third. What a child may reach and use is bounded by its Spec. The package logs nothing, because lines of a child may hold secrets.
package process

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/headrace/headrace/ingest/process/cgroup"
)

// childEnv is the variable that carries a child's nonce.
const childEnv = "HEADRACE_CHILD"

// hearLimit bounds how long Done waits for OnLine. It is short, because a restart waits for Done, and not zero, because
// the last lines say why the child ended.
const hearLimit = 250 * time.Millisecond

// Child is a running or ended child. Its methods may be called at any time from any goroutine.
type Child struct {
	started launched
	grace   time.Duration
	pipes   []*os.File
	output  *output
	record  string
	group   *cgroup.Group
	warning error

	done chan struct{}
	stop sync.Once

	mu   sync.Mutex // orders signals against the reaping: a reaped child's pid may belong to anybody
	dead bool
	exit Exit
}

// Start starts a child in a process group of its own, and supervises it until it is dead. The
// caller owns the read ends of its pipes. What is missing but not vital is told by Warning.
func Start(spec Spec) (*Child, error) {
	if err := spec.check(); err != nil {
		if spec.Stdin != nil {
			_ = spec.Stdin.Close()
		}
		return nil, fmt.Errorf("starting child %q: %w", spec.Name, err)
	}
	w, err := wire(spec.Stdin, spec.Pipes)
	if err != nil {
		return nil, fmt.Errorf("opening the pipes of child %q: %w", spec.Name, err)
	}
	bounds, err := prepare(&spec)
	if err != nil {
		w.closeChild()
		w.closeParent()
		return nil, fmt.Errorf("confining child %q: %w", spec.Name, err)
	}
	defer bounds.close()
	nonce := rand.Text()
	began := time.Now()
	started, err := launch(spec.Path, append([]string{spec.Path}, spec.Args...), &os.ProcAttr{
		Dir:   spec.Dir,
		Env:   append(slices.Clip(spec.Env), childEnv+"="+nonce),
		Files: w.child,
	}, bounds)
	w.closeChild()
	if err != nil {
		w.closeParent()
		return nil, fmt.Errorf("starting child %q (is the program there, and executable?): %w", spec.Name, err)
	}
	c := &Child{
		started: started,
		grace:   spec.Grace,
		pipes:   w.pipes,
		group:   spec.Group,
		output:  newOutput(w.output, spec.OnLine),
		done:    make(chan struct{}),
		exit:    Exit{Started: began},
	}
	c.furnish(spec, nonce)
	c.output.start()
	go c.bury()
	return c, nil
}

// furnish does what a child can live without. A full disk must not keep a channel off the air, so failures become
// the child's warning. It comes before the reaping starts: the pid is still the child's.
func (c *Child) furnish(spec Spec, nonce string) {
	errs := []error{limit(c.PID(), &spec)}
	for _, p := range c.pipes {
		errs = append(errs, resize(p, spec.PipeSize))
	}
	if spec.Records != "" {
		path, err := writeRecord(spec.Records, c.PID(), nonce, spec.Name)
		c.record = path
		errs = append(errs, err)
	}
	c.warning = errors.Join(errs...)
}

// bury waits for the child's death and leaves nothing of it behind: no group member, no zombie, no record.
func (c *Child) bury() {
	<-c.started.exited
	ended := time.Now()

	c.mu.Lock()
	// The zombie still holds its pid, hence the group's number: this cannot hit a stranger.
	_ = syscall.Kill(-c.PID(), syscall.SIGKILL)
	c.killGroup()
	state, _ := c.started.reap()
	c.dead = true
	c.exit.Ended = ended
	c.exit.Code, c.exit.Signal = codeAndSignal(state)
	c.mu.Unlock()

	c.output.finish(hearLimit)
	if c.record != "" {
		// A record that stays does no harm: ReapOrphans finds nobody who matches it.
		_ = os.Remove(c.record)
	}
	close(c.done)
}

// PID is the child's process id, which is also the id of its process group.
func (c *Child) PID() int { return c.started.proc.Pid }

// Pipe is the read end of the child's fd 3+i. Its deadlines work; it belongs to the caller, who closes it, also after
// the child's death. It panics if i is not below Spec.Pipes.
func (c *Child) Pipe(i int) *os.File { return c.pipes[i] }

// Done is closed when the child is dead and reaped, its process group killed, and its output read. OnLine is not called
// after that, unless it took longer than 0.25 s for the last lines.
func (c *Child) Done() <-chan struct{} { return c.done }

// Exit says how the child ended. Before Done is closed it is incomplete.
func (c *Child) Exit() Exit {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exit
}

// Lines returns the last 200 lines of stdout and stderr together, cut at 2 KiB, oldest first. Empty lines are left out;
// after Done the list is complete. A line may hold secrets of a URL.
func (c *Child) Lines() []Line { return c.output.tail.lines() }

// Warning tells what Start could not do for this child although it runs: its record (the state folder is full or not
// writable), its resource limits, or the size of its pipes (/proc/sys/fs/pipe-max-size). nil is the rule.
func (c *Child) Warning() error { return c.warning }

// Stop asks the child's process group to end by SIGTERM, kills it after Spec.Grace, and returns when Done is closed.
// It may be called often and by many; SIGTERM is sent once, because FFmpeg takes further ones as an order to drop
// everything.
func (c *Child) Stop() {
	c.stop.Do(func() {
		// A stopped process would not notice SIGTERM before it is woken.
		c.signal(syscall.SIGTERM, syscall.SIGCONT)
		late := time.AfterFunc(c.grace, c.Kill)
		defer late.Stop()
		<-c.done
	})
}

// Kill kills the child's process group, and its control group, at once by SIGKILL and does not wait. A child that hangs or is stopped
// (SIGSTOP) dies as well.
func (c *Child) Kill() {
	c.signal(syscall.SIGKILL)
	c.killGroup()
}

// killGroup kills what else is in the child's control group: processes that left the process group. Who does not die
// there is found by the next life.
func (c *Child) killGroup() {
	if c.group != nil {
		_ = c.group.Kill()
	}
}

// signal sends signals to the child's group, in order, unless the child is dead.
func (c *Child) signal(sigs ...syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	c.exit.Asked = true
	for _, sig := range sigs {
		if syscall.Kill(-c.PID(), sig) != nil {
			// No such group: the child has moved to another one.
			_ = c.started.proc.Signal(sig)
		}
	}
}
