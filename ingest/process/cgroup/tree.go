// Package cgroup puts each child into a control group of its own: it finds out where groups may be made, makes them
// with limits, counts what the limits did, and kills whatever is inside. It knows version 2 of Linux's control groups,
// version 1, and machines that have both (hybrid); elsewhere there is nothing, and it says so.
package cgroup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// ErrNone says that no group can be made on this machine, or not by this program.
var ErrNone = errors.New("no control groups to use")

// The controllers that limit what a child may use, and the one that counts it in version 1.
const (
	cpu     = "cpu"
	memory  = "memory"
	pids    = "pids"
	cpuacct = "cpuacct"
)

var limiting = []string{cpu, memory, pids}

// edgeLeaf is the group into which the edge moves if it stands in the delegated group itself: in version 2, a group
// that hands controllers on to others may hold no process. It is what the systemd unit calls DelegateSubgroup.
const edgeLeaf = "edge"

// Tree is the place where this program makes groups: a folder of its own in every hierarchy that it can use. It may be
// used by many goroutines.
type Tree struct {
	files   files
	v2      string            // the folder in version 2's hierarchy; "": none
	v2Has   []string          // the controllers of groups there
	v1      map[string]string // the folders in version 1's hierarchies, by controller
	outside []string          // the folders that hold this process in those hierarchies
	made    atomic.Int64
}

// Name is a name for Open that belongs to a folder: programs that own different folders get different ones.
func Name(folder string) string {
	if whole, err := filepath.Abs(folder); err == nil {
		folder = whole
	}
	sum := sha256.Sum256([]byte(folder))
	return "headrace-" + hex.EncodeToString(sum[:4])
}

// Open finds out what this process may use and makes a folder of that name in each place. Two programs on one machine
// need different names. The error tells what is missing and why; the tree can be used all the same, as far as it goes.
func Open(name string) (*Tree, error) { return open(kernel{}, name) }

func open(f files, name string) (*Tree, error) {
	t := &Tree{files: f, v1: make(map[string]string)}
	own, err := f.read("/proc/self/cgroup")
	if err != nil {
		return t, fmt.Errorf("%w: %w", ErrNone, err)
	}
	mounts, err := f.read("/proc/self/mountinfo")
	if err != nil {
		return t, fmt.Errorf("%w: %w", ErrNone, err)
	}
	at := locate(parseOwn(own), parseMounts(mounts))
	var errs []error
	if at.v2 != "" {
		errs = append(errs, t.openV2(at.v2, name))
	}
	errs = append(errs, t.openV1(at.v1, name))
	if err := errors.Join(errs...); err != nil || t.Version() != "" {
		return t, err
	}
	return t, fmt.Errorf("%w: no hierarchy is mounted here", ErrNone)
}

// openV1 makes the folders of those hierarchies whose controllers version 2 does not have.
func (t *Tree) openV1(at map[string]string, name string) error {
	var errs []error
	for _, controller := range []string{cpu, cpuacct, memory, pids} {
		own := at[controller]
		if own == "" || slices.Contains(t.v2Has, controller) || controller == cpuacct && slices.Contains(t.v2Has, cpu) {
			continue
		}
		folder := path.Join(own, name)
		if err := t.files.mkdir(folder); err != nil && !errors.Is(err, fs.ErrExist) {
			errs = append(errs, fmt.Errorf("making a group for the %s controller: %w", controller, err))
			continue
		}
		t.v1[controller] = folder
		if !slices.Contains(t.outside, own) {
			t.outside = append(t.outside, own)
		}
	}
	return errors.Join(errs...)
}

// openV2 makes the folder below the group that was delegated to us: our own, or, if we stand in the leaf of that name,
// the one above. Where the controllers cannot be had, the groups still serve to kill all that is in them.
func (t *Tree) openV2(own, name string) error {
	bases := []string{own}
	if path.Base(own) == edgeLeaf {
		bases = []string{path.Dir(own), own}
	}
	var errs []error
	for _, base := range bases {
		folder := path.Join(base, name)
		if err := t.files.mkdir(folder); err != nil && !errors.Is(err, fs.ErrExist) {
			errs = append(errs, fmt.Errorf("making a group: %w", err))
			continue
		}
		has, err := t.delegate(base, folder, base == own)
		if err != nil {
			errs = append(errs, err)
			if base != bases[len(bases)-1] {
				_ = t.files.rmdir(folder)
				continue
			}
		}
		t.v2, t.v2Has = folder, has
		if err == nil {
			return nil
		}
	}
	return errors.Join(errs...)
}

// delegate hands the controllers that base has on to the groups in folder, and returns them. If processes stand in the
// way, and base is our own group, we step aside into a leaf.
func (t *Tree) delegate(base, folder string, own bool) ([]string, error) {
	text, err := t.files.read(path.Join(base, "cgroup.controllers"))
	if err != nil {
		return nil, fmt.Errorf("asking for the controllers of a group: %w", err)
	}
	var has []string
	for _, controller := range strings.Fields(string(text)) {
		if slices.Contains(limiting, controller) {
			has = append(has, controller)
		}
	}
	if len(has) == 0 {
		return nil, nil
	}
	enable := "+" + strings.Join(has, " +")
	err = t.enable(base, enable)
	if errors.Is(err, syscall.EBUSY) && own {
		err = t.stepAside(base, enable)
	}
	if err == nil {
		err = t.enable(folder, enable)
	}
	if err != nil {
		return nil, fmt.Errorf("enabling %s below %s (is the group delegated to this user, and is nothing else in it?): %w", strings.Join(has, ", "), base, err)
	}
	return has, nil
}

func (t *Tree) enable(folder, controllers string) error {
	return t.files.write(path.Join(folder, "cgroup.subtree_control"), controllers)
}

// stepAside moves this process into a leaf of its group. If others are still in the way it comes back.
func (t *Tree) stepAside(own, controllers string) error {
	leaf := path.Join(own, edgeLeaf)
	if err := t.files.mkdir(leaf); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := t.files.write(path.Join(leaf, "cgroup.procs"), "0"); err != nil {
		return err
	}
	err := t.enable(own, controllers)
	if err != nil {
		err = errors.Join(err, t.files.write(path.Join(own, "cgroup.procs"), "0"), t.files.rmdir(leaf))
	}
	return err
}

// Version is the version of control groups that limits children, "v2" or "v1"; where no limit can be had, the one that
// has groups at all; and "" if there is none.
func (t *Tree) Version() string {
	switch {
	case len(t.v2Has) > 0 || t.v2 != "" && len(t.v1) == 0:
		return "v2"
	case len(t.v1) > 0:
		return "v1"
	}
	return ""
}

// Controllers are those that can limit a group: of cpu, memory and pids.
func (t *Tree) Controllers() []string {
	var has []string
	for _, controller := range limiting {
		if slices.Contains(t.v2Has, controller) || t.v1[controller] != "" {
			has = append(has, controller)
		}
	}
	return has
}

// Make makes a group with limits, of which those without a controller are left out. The name begins with id, which
// must be fit for a file's name; a group of its own is made at every call.
func (t *Tree) Make(id string, l Limits) (*Group, error) {
	if id == "" || strings.HasPrefix(id, ".") || strings.ContainsAny(id, "/\x00\n") {
		return nil, fmt.Errorf("making a control group for %q: not fit for the name of a folder", id)
	}
	if t.Version() == "" {
		return nil, fmt.Errorf("making a control group for %q: %w", id, ErrNone)
	}
	for {
		g := t.group(id + "." + strconv.FormatInt(t.made.Add(1), 10))
		err := g.make(l)
		if err == nil {
			return g, nil
		}
		// What an earlier life left, and could not be removed.
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("making a control group for %q: %w", id, err)
		}
	}
}

// group names the folders of a group.
func (t *Tree) group(name string) *Group {
	g := &Group{files: t.files, outside: t.outside, v1: make(map[string]string, len(t.v1)), v2Has: t.v2Has}
	if t.v2 != "" {
		g.v2 = path.Join(t.v2, name)
	}
	for controller, folder := range t.v1 {
		g.v1[controller] = path.Join(folder, name)
	}
	return g
}

// folders are the tree's own, one for each hierarchy.
func (t *Tree) folders() []string { return folders(t.v2, t.v1) }

// Reap kills what an earlier life of this program left in its groups, and removes them. Call it before any Make, and
// only while nobody else may be using a tree of that name. It returns the ids of groups that held processes.
func (t *Tree) Reap() (found []string, err error) {
	var names []string
	for _, folder := range t.folders() {
		in, err := t.files.folders(folder)
		if err != nil {
			return nil, fmt.Errorf("looking for control groups of an earlier life: %w", err)
		}
		names = append(names, in...)
	}
	slices.Sort(names)
	var errs []error
	for _, name := range slices.Compact(names) {
		g := t.group(name)
		if len(g.processes()) > 0 {
			id, _, _ := strings.Cut(name, ".")
			found = append(found, id)
		}
		errs = append(errs, g.Kill(), g.Remove())
	}
	return found, errors.Join(errs...)
}

// Close removes the tree's own folders. Its groups must have been removed.
func (t *Tree) Close() error {
	var errs []error
	for _, folder := range t.folders() {
		if err := t.files.rmdir(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("removing a control group: %w", err))
		}
	}
	return errors.Join(errs...)
}

// folders lists each folder once: several controllers can share a hierarchy.
func folders(v2 string, v1 map[string]string) []string {
	var all []string
	for _, controller := range []string{cpu, cpuacct, memory, pids} {
		if folder := v1[controller]; folder != "" && !slices.Contains(all, folder) {
			all = append(all, folder)
		}
	}
	if v2 != "" {
		all = append(all, v2)
	}
	return all
}
