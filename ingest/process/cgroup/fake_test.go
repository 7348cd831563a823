package cgroup

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// fake is a kernel in memory with version 2 of control groups, and its rules: control files appear with a group, those
// of a controller only where the group above enables it; a group that enables controllers holds no process, unless it
// is the root; only what is delegated may be written to.
type fake struct {
	files     map[string]string // of proc
	groups    map[string]*fakeGroup
	self      int // the process that writes
	delegated string
	noKill    bool // a kernel without cgroup.kill
	immortal  map[int]bool
}

type fakeGroup struct {
	values  map[string]string
	procs   []int
	enabled []string
}

const (
	fakeRoot = "/sys/fs/cgroup"
	self     = 4711 // not this test's process: that one is never killed
)

// newFake mounts version 2 with a service's group in it, in which this process stands, in the leaf of a name or, if it
// is empty, in the group itself.
func newFake(service, leaf string, controllers ...string) *fake {
	k := &fake{
		groups: map[string]*fakeGroup{fakeRoot: {enabled: controllers, values: map[string]string{"cgroup.controllers": strings.Join(controllers, " ")}}},
		self:   self, immortal: make(map[int]bool), delegated: path.Join(fakeRoot, service),
	}
	slice := path.Dir(path.Join(fakeRoot, service))
	k.add(slice)
	k.groups[slice].enabled = controllers
	k.add(k.delegated)
	own := path.Join(k.delegated, leaf)
	if leaf != "" {
		k.add(own)
	}
	k.groups[own].procs = []int{self}
	k.files = map[string]string{
		"/proc/self/cgroup":    "0::" + strings.TrimPrefix(own, fakeRoot) + "\n",
		"/proc/self/mountinfo": "24 1 0:21 / /proc rw - proc proc rw\n30 24 0:27 / " + fakeRoot + " rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
	}
	return k
}

func (k *fake) add(folder string) {
	if k.groups[folder] == nil {
		k.groups[folder] = &fakeGroup{values: map[string]string{"cgroup.controllers": strings.Join(k.groups[path.Dir(folder)].enabled, " ")}}
		k.offer(folder)
	}
}

// offer makes the files that the controllers enabled above bring.
func (k *fake) offer(folder string) {
	g := k.groups[folder]
	for _, c := range k.groups[path.Dir(folder)].enabled {
		for file, value := range map[string]map[string]string{
			"cpu":    {"cpu.max": "max 100000", "cpu.stat": "usage_usec 0"},
			"memory": {"memory.max": "max", "memory.high": "max", "memory.swap.max": "max", "memory.oom.group": "0", "memory.events": "", "memory.current": "0"},
			"pids":   {"pids.max": "max", "pids.events": "max 0"},
		}[c] {
			if _, there := g.values[file]; !there {
				g.values[file] = value
			}
		}
	}
	if !k.noKill {
		g.values["cgroup.kill"] = ""
	}
}

func failure(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

func (k *fake) mayWrite(name string) bool {
	return name == k.delegated || strings.HasPrefix(name, k.delegated+"/")
}

func (k *fake) read(name string) ([]byte, error) {
	if text, in := k.files[name]; in {
		return []byte(text), nil
	}
	g := k.groups[path.Dir(name)]
	if g == nil {
		return nil, failure("open", name, fs.ErrNotExist)
	}
	switch path.Base(name) {
	case "cgroup.procs":
		var b strings.Builder
		for _, pid := range g.procs {
			fmt.Fprintln(&b, pid)
		}
		return []byte(b.String()), nil
	case "cgroup.controllers":
		return []byte(strings.Join(k.groups[path.Dir(path.Dir(name))].enabled, " ")), nil
	}
	if value, in := g.values[path.Base(name)]; in {
		return []byte(value), nil
	}
	return nil, failure("open", name, fs.ErrNotExist)
}

func (k *fake) write(name, text string) error {
	folder, file := path.Dir(name), path.Base(name)
	g := k.groups[folder]
	switch {
	case g == nil:
		return failure("open", name, fs.ErrNotExist)
	case !k.mayWrite(folder):
		return failure("open", name, fs.ErrPermission)
	case file == "cgroup.procs":
		return k.move(folder, text)
	case file == "cgroup.subtree_control":
		return k.enable(folder, text)
	case file == "cgroup.kill" && !k.noKill:
		for _, pid := range slices.Clone(g.procs) {
			k.kill(pid)
		}
		return nil
	}
	if _, in := g.values[file]; !in {
		return failure("open", name, fs.ErrNotExist)
	}
	g.values[file] = text
	return nil
}

func (k *fake) move(folder, text string) error {
	pid, err := strconv.Atoi(text)
	if err != nil {
		return failure("write", folder, syscall.EINVAL)
	}
	if pid == 0 {
		pid = k.self
	}
	if len(k.groups[folder].enabled) > 0 {
		return failure("write", folder, syscall.EBUSY)
	}
	for _, g := range k.groups {
		g.procs = slices.DeleteFunc(g.procs, func(p int) bool { return p == pid })
	}
	k.groups[folder].procs = append(k.groups[folder].procs, pid)
	return nil
}

func (k *fake) enable(folder, text string) error {
	g := k.groups[folder]
	have := k.groups[path.Dir(folder)].enabled
	var more []string
	for _, word := range strings.Fields(text) {
		c := strings.TrimPrefix(word, "+")
		if !slices.Contains(have, c) {
			return failure("write", folder, syscall.ENOENT)
		}
		if !slices.Contains(g.enabled, c) {
			more = append(more, c)
		}
	}
	if len(more) > 0 && len(g.procs) > 0 {
		return failure("write", folder, syscall.EBUSY)
	}
	g.enabled = append(g.enabled, more...)
	for _, sub := range slices.Sorted(maps.Keys(k.groups)) {
		if path.Dir(sub) == folder {
			k.offer(sub)
		}
	}
	return nil
}

func (k *fake) mkdir(name string) error {
	switch {
	case k.groups[name] != nil:
		return failure("mkdir", name, fs.ErrExist)
	case k.groups[path.Dir(name)] == nil:
		return failure("mkdir", name, fs.ErrNotExist)
	case !k.mayWrite(path.Dir(name)):
		return failure("mkdir", name, fs.ErrPermission)
	}
	k.add(name)
	return nil
}

func (k *fake) rmdir(name string) error {
	g := k.groups[name]
	below, _ := k.folders(name)
	switch {
	case g == nil:
		return failure("rmdir", name, fs.ErrNotExist)
	case len(g.procs) > 0 || len(below) > 0:
		return failure("rmdir", name, syscall.EBUSY)
	}
	delete(k.groups, name)
	return nil
}

func (k *fake) folders(name string) ([]string, error) {
	var names []string
	for folder := range k.groups {
		if path.Dir(folder) == name && folder != name {
			names = append(names, path.Base(folder))
		}
	}
	return names, nil
}

func (k *fake) kill(pid int) {
	if pid <= 0 || pid == k.self || pid == os.Getpid() {
		panic(fmt.Sprintf("killing %d, which is us or everybody", pid))
	}
	if k.immortal[pid] {
		return
	}
	for _, g := range k.groups {
		g.procs = slices.DeleteFunc(g.procs, func(p int) bool { return p == pid })
	}
}

// snapshot is what there is below a folder, and who.
func (k *fake) snapshot(folder string) map[string][]int {
	all := make(map[string][]int)
	for name, g := range k.groups {
		if rest, below := strings.CutPrefix(name, folder); below {
			all[rest] = g.procs
		}
	}
	return all
}
