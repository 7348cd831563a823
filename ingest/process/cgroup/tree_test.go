package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const service = "system.slice/headrace-edge.service"

var all = []string{"cpu", "io", "memory", "pids"}

func TestOpenV2(t *testing.T) {
	foreign := func(k *fake) { k.groups[k.delegated].procs = append(k.groups[k.delegated].procs, 99) }
	for _, tc := range []struct {
		name        string
		leaf        string
		controllers []string
		change      func(*fake)
		want        map[string][]int // the groups below the service's and who is in them
		limits      []string
		problem     string
	}{
		{
			"the unit put the edge into a leaf", "edge", all, nil,
			map[string][]int{"": nil, "/edge": {self}, "/headrace-x": nil},
			[]string{"cpu", "memory", "pids"},
			"",
		},
		{
			"an older systemd knows no leaf: the edge steps aside", "", all, nil,
			map[string][]int{"": nil, "/edge": {self}, "/headrace-x": nil},
			[]string{"cpu", "memory", "pids"},
			"",
		},
		{
			"some controllers", "edge",
			[]string{"memory", "pids"},
			nil,
			map[string][]int{"": nil, "/edge": {self}, "/headrace-x": nil},
			[]string{"memory", "pids"},
			"",
		},
		{
			"no controllers: to kill with", "", nil, nil,
			map[string][]int{"": {self}, "/headrace-x": nil},
			nil, "",
		},
		{
			"others are in the group: the edge comes back, and kills with it", "", all, foreign,
			map[string][]int{"": {99, self}, "/headrace-x": nil},
			nil, "device or resource busy",
		},
		{
			"a leaf called edge below a group that is not ours", "edge", all,
			func(k *fake) { k.groups[k.delegated].enabled, k.delegated = all, k.delegated+"/edge" },
			map[string][]int{"": nil, "/edge": nil, "/edge/edge": {self}, "/edge/headrace-x": nil},
			[]string{"cpu", "memory", "pids"},
			"permission denied",
		},
		{
			"nothing is delegated", "", all,
			func(k *fake) { k.delegated = "/nowhere" },
			map[string][]int{"": {self}},
			nil, "permission denied",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := newFake(service, tc.leaf, tc.controllers...)
			if tc.change != nil {
				tc.change(k)
			}
			tree, err := open(k, "headrace-x")
			if diff := cmp.Diff(tc.want, k.snapshot(path.Join(fakeRoot, service)), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.limits, tree.Controllers()); diff != "" {
				t.Errorf("controllers (-want +got):\n%s", diff)
			}
			usable := tc.limits != nil || len(tc.want) > 1
			if version := tree.Version(); usable != (version == "v2") {
				t.Errorf("version %q, usable %v", version, usable)
			}
			// A place further down makes up for one that is not ours.
			if (err != nil) != (tc.problem != "") && tc.limits == nil || err != nil && !strings.Contains(err.Error(), tc.problem) {
				t.Errorf("error = %v, want %q", err, tc.problem)
			}
		})
	}
}

func TestMake(t *testing.T) {
	k := newFake(service, "edge", all...)
	tree, err := open(k, "headrace-x")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		limits Limits
		want   map[string]string
	}{
		{
			"all",
			Limits{CPU: 1.5, Memory: 1000, PIDs: 64},
			map[string]string{"cpu.max": "150000 100000", "memory.max": "1000", "memory.high": "900", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "64"},
		},
		{
			"none",
			Limits{},
			map[string]string{"cpu.max": "max 100000", "memory.max": "max", "memory.high": "max", "memory.swap.max": "max", "memory.oom.group": "1", "pids.max": "max"},
		},
		{"less than a period can have", Limits{CPU: 0.001}, map[string]string{"cpu.max": "1000 100000"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, err := tree.Make("news", tc.limits)
			if err != nil {
				t.Fatal(err)
			}
			for file, want := range tc.want {
				if got := k.groups[g.v2].values[file]; got != want {
					t.Errorf("%s = %q, want %q", file, got, want)
				}
			}
			if err := g.Remove(); err != nil {
				t.Error(err)
			}
		})
	}
	if err := tree.Close(); err != nil || k.groups[tree.v2] != nil {
		t.Errorf("Close: %v, and the folder is there: %v", err, k.groups[tree.v2] != nil)
	}
}

func TestMakeTwiceMakesTwo(t *testing.T) {
	k := newFake(service, "edge", all...)
	tree, err := open(k, "headrace-x")
	if err != nil {
		t.Fatal(err)
	}
	k.add(path.Join(tree.v2, "news.2")) // of an earlier life
	one, err := tree.Make("news", Limits{})
	two, err2 := tree.Make("news", Limits{})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if got := []string{path.Base(one.v2), path.Base(two.v2)}; !cmp.Equal(got, []string{"news.1", "news.3"}) {
		t.Errorf("got %q, want one group for each, and none of an earlier life", got)
	}
}

func TestMakeRefuses(t *testing.T) {
	tree, _ := open(newFake(service, "edge", all...), "headrace-x")
	for _, id := range []string{"", ".", "..", "a/b", ".hidden", "a\x00"} {
		if g, err := tree.Make(id, Limits{}); err == nil {
			t.Errorf("Make(%q) made %s", id, g.v2)
		}
	}
	nothing, err := open(&fake{}, "headrace-x")
	if !errors.Is(err, ErrNone) {
		t.Errorf("open without control groups: %v, want %v", err, ErrNone)
	}
	if _, err := nothing.Make("news", Limits{}); !errors.Is(err, ErrNone) {
		t.Errorf("Make without control groups: %v, want %v", err, ErrNone)
	}
	if err := nothing.Close(); err != nil {
		t.Error(err)
	}
}

func TestFailedMakeLeavesNothing(t *testing.T) {
	k := newFake(service, "edge", all...)
	tree, err := open(k, "headrace-x")
	if err != nil {
		t.Fatal(err)
	}
	k.groups[tree.v2].enabled = []string{"cpu"} // so that the files of the others are missing
	if _, err := tree.Make("news", Limits{Memory: 1000}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Make: %v, want that a file is missing", err)
	}
	if left, _ := k.folders(tree.v2); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestCounters(t *testing.T) {
	k := newFake(service, "edge", all...)
	tree, err := open(k, "headrace-x")
	if err != nil {
		t.Fatal(err)
	}
	g, err := tree.Make("news", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	maps := map[string]string{
		"cpu.stat":       "usage_usec 2500000\nuser_usec 1\nnr_periods 40\nnr_throttled 30\nthrottled_usec 1500000\n",
		"memory.events":  "low 0\nhigh 7\nmax 12\noom 2\noom_kill 3\noom_group_kill 1\n",
		"memory.current": "123456\n",
		"pids.events":    "max 9\n",
	}
	for file, text := range maps {
		k.groups[g.v2].values[file] = text
	}
	want := Counters{OOMKills: 3, MemoryHigh: 7, PIDsHits: 9, Memory: 123456, CPU: 2.5e9, Throttled: 1.5e9, Periods: 40, ThrottledPeriods: 30}
	if diff := cmp.Diff(want, g.Counters()); diff != "" {
		t.Errorf("Counters() (-want +got):\n%s", diff)
	}
}

func TestKill(t *testing.T) {
	for _, noKill := range []bool{false, true} {
		t.Run(map[bool]string{false: "at once", true: "one by one"}[noKill], func(t *testing.T) {
			k := newFake(service, "edge", all...)
			k.noKill = noKill
			tree, err := open(k, "headrace-x")
			if err != nil {
				t.Fatal(err)
			}
			g, err := tree.Make("news", Limits{CPU: 0.5, PIDs: 8})
			if err != nil {
				t.Fatal(err)
			}
			k.groups[g.v2].procs = []int{100, 101, 102}
			if err := g.Kill(); err != nil || len(k.groups[g.v2].procs) > 0 {
				t.Errorf("Kill: %v, left %v", err, k.groups[g.v2].procs)
			}
			if got := k.groups[g.v2].values["cpu.max"]; got != "max" {
				t.Errorf("while it dies, the group has cpu.max %q, want max", got)
			}
			if err := errors.Join(g.Remove(), g.Kill(), g.Remove()); err != nil {
				t.Errorf("after the end: %v", err)
			}
		})
	}
}

func TestKillSparesUsAndReportsWhoStays(t *testing.T) {
	k := newFake(service, "edge", all...)
	k.noKill = true
	tree, err := open(k, "headrace-x")
	if err != nil {
		t.Fatal(err)
	}
	g, err := tree.Make("news", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	k.immortal[100] = true
	k.groups[g.v2].procs = []int{0, os.Getpid(), 100} // the fake panics when 0, which is everybody, or we are killed
	if err := g.Kill(); err == nil || !strings.Contains(err.Error(), "1 processes do not die, the first is 100") {
		t.Errorf("Kill: %v, want that 100 stays", err)
	}
}

func TestReap(t *testing.T) {
	k := newFake(service, "edge", all...)
	earlier, err := open(k, "headrace-x")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"news", "sport", "news"} {
		g, err := earlier.Make(id, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if id == "news" {
			k.groups[g.v2].procs = []int{100 + len(k.groups)}
		}
	}
	tree, err := open(k, "headrace-x")
	if err != nil {
		t.Fatal(err)
	}
	found, err := tree.Reap()
	if diff := cmp.Diff([]string{"news", "news"}, found); diff != "" || err != nil {
		t.Errorf("Reap: %v (-want +got):\n%s", err, diff)
	}
	if left, _ := k.folders(tree.v2); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
