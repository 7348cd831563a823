package ingest

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/headrace/headrace/ingest/process"
	"github.com/headrace/headrace/ingest/process/cgroup"
)

func TestBlame(t *testing.T) {
	for _, tt := range []struct {
		name   string
		p      pressure
		reason Reason
		want   Reason
	}{
		{"killed for its memory", pressure{oom: true}, ReasonKilled, ReasonOOM},
		{"a part of it was, and the rest fell silent", pressure{oom: true}, ReasonStalled, ReasonOOM},
		{"slowed down for its memory", pressure{memory: true}, ReasonNoSegment, ReasonOOM},
		{"slowed down, but the source is gone", pressure{memory: true, throttled: true}, ReasonSourceUnreachable, ReasonSourceUnreachable},
		{"no threads", pressure{pids: true}, ReasonUnsupported, ReasonPIDs},
		{"no threads, and killed by somebody", pressure{pids: true}, ReasonKilled, ReasonKilled},
		{"too slow", pressure{throttled: true}, ReasonNoSegment, ReasonCPUThrottled},
		{"throttled, and ended by itself", pressure{throttled: true}, ReasonExit, ReasonExit},
		{"all at once", pressure{true, true, true, true}, ReasonStalled, ReasonOOM},
		{"an operator wanted it", pressure{true, true, true, true}, ReasonOperator, ReasonOperator},
		{"nothing", pressure{}, ReasonKilled, ReasonKilled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.p.blame(tt.reason); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPressure(t *testing.T) {
	limits := Limits{Memory: 1000}
	for _, tt := range []struct {
		name      string
		then, now cgroup.Counters
		want      pressure
	}{
		{"none", cgroup.Counters{Periods: 10}, cgroup.Counters{Periods: 60, ThrottledPeriods: 20, Memory: 950}, pressure{}},
		{"throttled now", cgroup.Counters{Periods: 1000}, cgroup.Counters{Periods: 1050, ThrottledPeriods: 30}, pressure{throttled: true}},
		{"throttled long ago", cgroup.Counters{Periods: 50, ThrottledPeriods: 50}, cgroup.Counters{Periods: 100, ThrottledPeriods: 50}, pressure{}},
		{"memory", cgroup.Counters{MemoryHigh: 3}, cgroup.Counters{MemoryHigh: 4, Memory: 900}, pressure{memory: true}},
		{"a cache that was given back", cgroup.Counters{MemoryHigh: 3}, cgroup.Counters{MemoryHigh: 4, Memory: 600}, pressure{}},
		{"kills and refusals", cgroup.Counters{OOMKills: 1, PIDsHits: 1}, cgroup.Counters{OOMKills: 1, PIDsHits: 1}, pressure{oom: true, pids: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := pressureBetween(tt.then, tt.now, limits); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestRequireNamesWhatIsMissing(t *testing.T) {
	limited := func(source string) StreamSpec {
		s := spec(t, "news", source)
		s.Limits = Limits{CPU: 1, Memory: 1 << 30}
		return s
	}
	for _, tt := range []struct {
		name string
		mode SandboxMode
		able process.Abilities
		spec StreamSpec
		want []string // in the error; nil: none
	}{
		{"nothing is there", SandboxRequire, process.Abilities{}, limited("test:"), []string{`stream "news"`, "Landlock", "limit of cpu", "limit of memory", "sandbox auto"}},
		{"no rules for TCP", SandboxRequire, process.Abilities{Landlock: 3}, limited("https://origin.example/"), []string{"rules for TCP"}},
		{"auto takes what there is", SandboxAuto, process.Abilities{}, limited("https://origin.example/"), nil},
		{"off takes nothing", SandboxOff, process.Abilities{}, limited("https://origin.example/"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &confiner{mode: tt.mode, able: tt.able, tree: new(cgroup.Tree)}
			err := c.check(&tt.spec)
			if (err != nil) != (tt.want != nil) || err != nil && !errors.Is(err, ErrUnconfined) {
				t.Fatalf("got %v, want an error: %v", err, tt.want != nil)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q in it", err, want)
				}
			}
		})
	}
}

func TestUsersAreTheChildsOwn(t *testing.T) {
	c := &confiner{users: make(map[uint32]bool)}
	seen := make(map[uint32]bool)
	for range 3 {
		for _, stream := range []string{"news", "sport"} {
			user := c.takeUser(stream)
			if seen[user] || user < process.UserBase || user >= process.UserBase+process.UserCount {
				t.Errorf("user %d of stream %s is taken, or none of ours", user, stream)
			}
			seen[user] = true
		}
	}
	again := &cell{host: c, user: slices.Min(slices.Collect(maps.Keys(seen)))}
	if err := again.leave(); err != nil || c.users[again.user] {
		t.Errorf("after its end, user %d is taken: %v, %v", again.user, c.users[again.user], err)
	}
}

func TestReach(t *testing.T) {
	for _, tt := range []struct {
		name, source string
		port         uint16
		want         process.Sandbox
	}{
		{"made", "test:", 0, process.Sandbox{}},
		{"fed", "rtmp://origin.example/live/key", 0, process.Sandbox{}},
		{"a file", "file:/media/a.ts", 0, process.Sandbox{Read: []string{"/state/list", "/media/a.ts"}}},
		{"a card that is drawn", "slate:", 0, process.Sandbox{Read: []string{"/state/list", ""}}},
		{"pushed", "push:", 0, process.Sandbox{}},
		{"the guard", "https://origin.example/", 4321, process.Sandbox{ConnectTCP: 4321}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(&tt.want, reach(spec(t, "news", tt.source).Sources[0], "/state/list", tt.port)); diff != "" {
				t.Errorf("reach (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSandboxModes(t *testing.T) {
	if _, err := openConfiner("strict", t.TempDir(), "ffmpeg", zap.NewNop()); err == nil || !strings.Contains(err.Error(), "require, auto or off") {
		t.Errorf("got %v, want the modes", err)
	}
	off, err := openConfiner(SandboxOff, t.TempDir(), "/nowhere/ffmpeg", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	want := Confinement{
		Mode: SandboxOff, Cgroup: "none", Limits: []string{}, LandlockCovers: []string{}, Rlimits: []string{"core", "nofile"}, Missing: []string{},
	}
	if diff := cmp.Diff(want, off.inForce()); diff != "" {
		t.Errorf("off (-want +got):\n%s", diff)
	}
}

// A trial that went well is remembered as long as the program's file is the same.
func TestTrialIsRemembered(t *testing.T) {
	dir := t.TempDir()
	program, state := filepath.Join(dir, "ffmpeg"), filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	modified := time.Now().Add(-time.Hour)
	put := func(code string) {
		t.Helper()
		if err := os.WriteFile(program, []byte("#!/bin/sh\nexit "+code+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(program, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	failed := func() bool {
		t.Helper()
		c, err := openConfiner(SandboxAuto, state, program, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.close(); err != nil {
				t.Error(err)
			}
		}()
		return slices.ContainsFunc(c.inForce().Missing, func(why string) bool { return strings.Contains(why, "no Landlock, because FFmpeg") })
	}
	if !process.ProbeAbilities().Landlock.Files() {
		t.Skip("no Landlock: there is nothing to try")
	}
	put("1")
	if !failed() {
		t.Error("a program that does not run confined was not tried")
	}
	put("0")
	// Other users are to run the program. Where they cannot, the trial passes at the
	// second attempt only, and that is not remembered.
	for _, folder := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if failed() {
		t.Error("a program that runs confined failed its trial")
	}
	put("1")
	if failed() {
		t.Skip("other users cannot run programs in the test's folder")
	}
	modified = modified.Add(time.Minute)
	put("1")
	if !failed() {
		t.Error("another program was not tried")
	}
}

// A limit is what ends the child, is what the stream says, and is counted.
func TestLimitIsTheReason(t *testing.T) {
	e := newEngine(t, t.TempDir())
	if !slices.Contains(e.Confinement().Limits, "memory") {
		t.Skipf("no control groups that limit memory: %+v", e.Confinement())
	}
	small := spec(t, "small", "test:")
	small.Limits.Memory = 4 << 20 // less than FFmpeg takes to start
	if err := e.Apply([]StreamSpec{small}); err != nil {
		t.Fatal(err)
	}
	s := e.Lookup("small")
	until(t, 20*time.Second, "ended", func() bool { return len(s.Status().Restarts) > 0 })
	status := s.Status()
	if status.Usage.OOMKills == 0 || len(status.Restarts) > 1 {
		t.Errorf("got restarts %v, usage %+v; want only %q, counted", status.Restarts, status.Usage, ReasonOOM)
	}
}
