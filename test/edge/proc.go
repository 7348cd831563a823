package edge

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// What the kernel tells of processes (Linux, proc(5)).

// Child is a process, told apart from a later one of the same id by its start.
type Child struct {
	PID   int
	start string // clock ticks since boot
}

// fields of /proc/PID/stat behind the name, counted from the state on.
const (
	fieldState  = 0
	fieldParent = 1
	fieldStart  = 19
)

func stat(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) <= fieldStart {
		return nil, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	text := make([]string, len(fields))
	for i, f := range fields {
		text[i] = string(f)
	}
	return text, nil
}

// Find identifies a running process.
func Find(pid int) (Child, bool) {
	s, err := stat(pid)
	if err != nil || s[fieldState] == "Z" {
		return Child{}, false
	}
	return Child{PID: pid, start: s[fieldStart]}, true
}

// Alive tells whether it still runs. A zombie does not.
func (c Child) Alive() bool {
	now, ok := Find(c.PID)
	return ok && now == c
}

// Signal sends it a signal, if it still runs.
func (c Child) Signal(s syscall.Signal) error {
	if !c.Alive() {
		return fmt.Errorf("process %d is gone", c.PID)
	}
	return syscall.Kill(c.PID, s)
}

// Children are the processes that the edge has started and that still run.
func (n *Node) Children() []Child {
	n.t.Helper()
	return n.processes(func(pid int) bool {
		s, err := stat(pid)
		return err == nil && s[fieldParent] == strconv.Itoa(n.PID())
	})
}

// Mentioning are all processes of this machine but the edge that have a text in
// their arguments: the id of a stream, that no other test has. Those that lost
// their parent are among them.
func (n *Node) Mentioning(text string) []Child {
	n.t.Helper()
	return n.processes(func(pid int) bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return err == nil && pid != os.Getpid() && pid != n.PID() && bytes.Contains(b, []byte(text))
	})
}

func (n *Node) processes(wanted func(pid int) bool) (found []Child) {
	n.t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		n.t.Fatal(err)
	}
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil || !wanted(pid) {
			continue
		}
		if c, ok := Find(pid); ok {
			found = append(found, c)
		}
	}
	return found
}

// RSS is the resident memory of the edge's own process, in bytes.
func (n *Node) RSS() int64 {
	n.t.Helper()
	return n.status("VmRSS:")
}

// Anonymous is the part of it that is no file's: all but the program and its libraries.
func (n *Node) Anonymous() int64 {
	n.t.Helper()
	return n.status("RssAnon:")
}

// status is a size in proc_pid_status(5), in bytes.
func (n *Node) status(field string) int64 {
	n.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.PID()))
	if err != nil {
		n.t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte(field)); ok {
			kilobytes, err := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
			if err != nil {
				n.t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	n.t.Fatalf("the kernel does not tell %s of the edge's memory", field)
	return 0
}

// FDs is the number of files and sockets that the edge has open.
func (n *Node) FDs() int {
	n.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.PID()))
	// Some may be closed while they are being listed.
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		n.t.Fatal(err)
	}
	return len(entries)
}

// CPU is the processor time that the edge's own process has used, in clock ticks
// of a hundredth of a second.
func (n *Node) CPU() int64 {
	n.t.Helper()
	s, err := stat(n.PID())
	if err != nil {
		n.t.Fatal(err)
	}
	const user, system = 11, 12
	var sum int64
	for _, f := range []int{user, system} {
		v, err := strconv.ParseInt(s[f], 10, 64)
		if err != nil {
			n.t.Fatal(err)
		}
		sum += v
	}
	return sum
}

// PIDs are the ids of processes in order.
func PIDs(children []Child) []int {
	pids := make([]int, len(children))
	for i, c := range children {
		pids[i] = c.PID
	}
	slices.Sort(pids)
	return pids
}
