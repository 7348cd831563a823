package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits bounds what all processes of a group use together. Zero fields bound nothing.
type Limits struct {
	// CPU is processor time in cores: 1.5 is one and a half of them.
	CPU float64
	// Memory is in bytes. Nothing is swapped out beyond it.
	Memory int64
	// PIDs is the number of processes and threads.
	PIDs int
}

// Counters are what the kernel has counted of a group since it was made. What it does not tell is zero.
type Counters struct {
	// OOMKills is the number of processes that were killed because the group's memory was used up.
	OOMKills int64
	// MemoryHigh is how often the group was slowed down because its memory was nearly used up (version 2 only).
	MemoryHigh int64
	// PIDsHits is how often the group was refused a new process or thread.
	PIDsHits int64
	// Memory is what is in use now, in bytes, the file cache included.
	Memory int64
	// CPU is the processor time used. Throttled is the time during which processes were held back because the group
	// had used up its share, ThrottledPeriods how many of the Periods of 0.1 s saw that.
	CPU, Throttled            time.Duration
	Periods, ThrottledPeriods int64
}

const (
	period    = 100_000 // µs of one period of cpu limits
	leastCPU  = 1_000   // µs that the kernel wants a period's share to have
	killLimit = 2 * time.Second
	waitLimit = time.Second
	waitStep  = time.Millisecond
)

// Group is one control group: a folder in every hierarchy of its tree.
type Group struct {
	files   files
	v2      string
	v2Has   []string
	v1      map[string]string
	outside []string
}

// setting is a control file and what is written to it.
type setting struct {
	file, value string
	optional    bool // not every kernel has it
}

func (g *Group) make(l Limits) error {
	all := folders(g.v2, g.v1)
	for i, folder := range all {
		if err := g.files.mkdir(folder); err != nil {
			for _, ours := range all[:i] {
				_ = g.files.rmdir(ours)
			}
			return err
		}
	}
	for _, s := range g.settings(l) {
		err := g.files.write(s.file, s.value)
		if s.optional && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			_ = g.Remove()
			return fmt.Errorf("writing %q to %s: %w", s.value, s.file, err)
		}
	}
	return nil
}

// settings are the limits as the kernel wants them, in the order in which it wants them.
func (g *Group) settings(l Limits) []setting {
	var all []setting
	quota := strconv.FormatInt(max(leastCPU, int64(l.CPU*period)), 10)
	most := strconv.FormatInt(l.Memory, 10)
	if at := g.at(cpu); l.CPU > 0 && at.folder != "" {
		if at.v2 {
			all = append(all, setting{at.file("cpu.max"), quota + " " + strconv.Itoa(period), false})
		} else {
			all = append(all, setting{at.file("cpu.cfs_period_us"), strconv.Itoa(period), false}, setting{at.file("cpu.cfs_quota_us"), quota, false})
		}
	}
	at := g.at(memory)
	if at.v2 {
		// Half a group is of no use to anybody.
		all = append(all, setting{at.file("memory.oom.group"), "1", true})
	}
	if l.Memory > 0 && at.folder != "" {
		if at.v2 {
			all = append(all, setting{at.file("memory.max"), most, false},
				setting{at.file("memory.high"), strconv.FormatInt(l.Memory/10*9, 10), true}, setting{at.file("memory.swap.max"), "0", true})
		} else {
			// Memory and swap together can be limited no lower than memory is.
			all = append(all, setting{at.file("memory.limit_in_bytes"), most, false}, setting{at.file("memory.memsw.limit_in_bytes"), most, true})
		}
	}
	if at := g.at(pids); l.PIDs > 0 && at.folder != "" {
		all = append(all, setting{at.file("pids.max"), strconv.Itoa(l.PIDs), false})
	}
	return all
}

// seat is where a controller's files are.
type seat struct {
	folder string // "": there is no such controller
	v2     bool
}

func (s seat) file(name string) string { return path.Join(s.folder, name) }

func (g *Group) at(controller string) seat {
	if slices.Contains(g.v2Has, controller) {
		return seat{g.v2, true}
	}
	return seat{folder: g.v1[controller]}
}

// Counters asks the kernel.
func (g *Group) Counters() Counters {
	var c Counters
	if at := g.at(cpu); at.v2 {
		stat := g.table(at.file("cpu.stat"))
		c.CPU, c.Throttled = time.Duration(stat["usage_usec"])*time.Microsecond, time.Duration(stat["throttled_usec"])*time.Microsecond
		c.Periods, c.ThrottledPeriods = stat["nr_periods"], stat["nr_throttled"]
	} else if at.folder != "" {
		stat := g.table(at.file("cpu.stat"))
		c.Throttled = time.Duration(stat["throttled_time"])
		c.Periods, c.ThrottledPeriods = stat["nr_periods"], stat["nr_throttled"]
		c.CPU = time.Duration(g.number(g.at(cpuacct), "cpuacct.usage"))
	}
	if at := g.at(memory); at.v2 {
		events := g.table(at.file("memory.events"))
		c.OOMKills, c.MemoryHigh = events["oom_kill"], events["high"]
		c.Memory = g.number(at, "memory.current")
	} else if at.folder != "" {
		c.OOMKills = g.table(at.file("memory.oom_control"))["oom_kill"]
		c.Memory = g.number(at, "memory.usage_in_bytes")
	}
	if at := g.at(pids); at.folder != "" {
		c.PIDsHits = g.table(at.file("pids.events"))["max"]
	}
	return c
}

// table reads a file of lines with a key and a number each.
func (g *Group) table(file string) map[string]int64 {
	text, err := g.files.read(file)
	if err != nil {
		return nil
	}
	return parseTable(text)
}

func parseTable(text []byte) map[string]int64 {
	values := make(map[string]int64)
	for line := range bytes.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			values[key] = n
		}
	}
	return values
}

func (g *Group) number(at seat, name string) int64 {
	if at.folder == "" {
		return 0
	}
	text, err := g.files.read(at.file(name))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}

// processes are those in the group, but for this one: in version 1, the thread that starts a child is in the group for
// a moment, and with it, by name, its whole process. 0 is somebody whom we cannot see.
func (g *Group) processes() []int {
	var found []int
	for _, folder := range folders(g.v2, g.v1) {
		text, err := g.files.read(path.Join(folder, "cgroup.procs"))
		if err != nil {
			continue // there is no such group any more
		}
		for line := range bytes.Lines(text) {
			pid, err := strconv.Atoi(strings.TrimSpace(string(line)))
			if err == nil && pid > 0 && pid != os.Getpid() && !slices.Contains(found, pid) {
				found = append(found, pid)
			}
		}
	}
	return found
}

// Kill kills every process of the group. Version 2 does it at once; where that is missing, it is done one by one until
// none is left, which takes long only if some cannot die.
func (g *Group) Kill() error {
	g.unthrottle()
	if g.v2 != "" && g.files.write(path.Join(g.v2, "cgroup.kill"), "1") == nil {
		return nil
	}
	// Whoever forks faster than we kill is kept from it; what is there may stay above the limit.
	if at := g.at(pids); at.folder != "" {
		_ = g.files.write(at.file("pids.max"), "0")
	}
	for deadline := time.Now().Add(killLimit); ; time.Sleep(waitStep) {
		left := g.processes()
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("killing a control group: %d processes do not die, the first is %d", len(left), left[0])
		}
		for _, pid := range left {
			g.files.kill(pid)
		}
	}
}

// unthrottle lifts the limit of processor time: dying takes some, too.
func (g *Group) unthrottle() {
	// Where it fails, dying takes longer.
	if at := g.at(cpu); at.v2 {
		_ = g.files.write(at.file("cpu.max"), "max")
	} else if at.folder != "" {
		_ = g.files.write(at.file("cpu.cfs_quota_us"), "-1")
	}
}

// Remove removes the group. It waits a second for processes that were killed and are still dying.
func (g *Group) Remove() error {
	var errs []error
	for _, folder := range folders(g.v2, g.v1) {
		if err := g.remove(folder); err != nil {
			errs = append(errs, fmt.Errorf("removing a control group: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (g *Group) remove(folder string) error {
	for deadline := time.Now().Add(waitLimit); ; time.Sleep(waitStep) {
		err := g.files.rmdir(folder)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
}
