package process

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// leftover starts a process that looks like the child of an edge that crashed, and returns what its record says. The
// script must not exec: meanwhile /proc shows an empty environment.
func leftover(t *testing.T, script string) (record, *exec.Cmd) {
	t.Helper()
	nonce := rand.Text()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Env = []string{"PATH=/usr/bin:/bin", childEnv + "=" + nonce}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // the error tells that it was killed
	})
	if scanLine(out) == "" {
		t.Fatal("the leftover did not start")
	}
	r, err := newRecord(cmd.Process.Pid, nonce, "news")
	if err != nil {
		t.Fatal(err)
	}
	return r, cmd
}

func save(t *testing.T, dir, name string, r record) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReapOrphans(t *testing.T) {
	for _, tc := range []struct {
		name    string
		file    string
		change  func(*record)
		killed  bool
		problem string // in the error; "": no error
	}{
		{"matches", "a.json", func(*record) {}, true, ""},
		{"matches, crash before the rename", "a.tmp", func(*record) {}, true, ""},
		{"pid reused", "a.json", func(r *record) { r.StartTime-- }, false, ""},
		{"another boot", "a.json", func(r *record) { r.BootID = "4d8b3c1e" }, false, ""},
		{"process gone", "a.json", func(r *record) { r.PID = 1<<22 - 1 }, false, ""},
		{"another nonce", "a.json", func(r *record) { r.Nonce = strings.Repeat("A", nonceSize) }, false, "another nonce"},
		{"no nonce", "a.json", func(r *record) { r.Nonce = "" }, false, "no child"},
		{"init", "a.json", func(r *record) { r.PID = 1 }, false, "no child"},
		{"own group", "a.json", func(r *record) { r.PID = 0 }, false, "no child"},
		{"everybody", "a.json", func(r *record) { r.PID = -1 }, false, "no child"},
		{"group", "a.json", func(r *record) { r.PID = -r.PID }, false, "no child"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			r, cmd := leftover(t, "echo ready; sleep 60; :")
			pid := cmd.Process.Pid
			tc.change(&r)
			save(t, dir, tc.file, r)

			killed, err := ReapOrphans(dir)
			var want []Orphan
			if tc.killed {
				want = []Orphan{{PID: pid, Name: "news"}}
			}
			if diff := cmp.Diff(want, killed); diff != "" {
				t.Errorf("killed (-want +got):\n%s", diff)
			}
			if alive(pid) == tc.killed {
				t.Errorf("alive = %v, want %v", tc.killed, !tc.killed)
			}
			if tc.problem == "" && err != nil || tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)) {
				t.Errorf("error = %v, want %q", err, tc.problem)
			}
			if left := names(t, dir); len(left) > 0 {
				t.Errorf("records left: %v", left)
			}
		})
	}
}

func TestReapOrphansKillsTheGroup(t *testing.T) {
	dir := t.TempDir()
	r, cmd := leftover(t, "sleep 60 & echo $!; wait")
	save(t, dir, "a.json", r)
	if killed, err := ReapOrphans(dir); len(killed) != 1 || err != nil {
		t.Fatalf("ReapOrphans = %v, %v, want one", killed, err)
	}
	poll(t, "group is gone", time.Second, func() bool { return groupSize(t, cmd.Process.Pid) == 0 })
}

// groupSize counts the living members of a process group.
func groupSize(t *testing.T, pgid int) (size int) {
	t.Helper()
	for _, name := range names(t, "/proc") {
		text, err := os.ReadFile(filepath.Join("/proc", name, "stat"))
		if err != nil {
			continue
		}
		after := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(after) > 2 && after[0] != "Z" && pidOf(t, after[2]) == pgid {
			size++
		}
	}
	return size
}

func TestReapOrphansTornRecords(t *testing.T) {
	dir := t.TempDir()
	r, cmd := leftover(t, "echo ready; sleep 60; :")
	save(t, dir, "whole.json", r)
	for name, text := range map[string]string{
		"empty.json": "", "half.json": `{"pid":1234,"start_ti`, "huge.json": strings.Repeat("[", 1<<20),
		"other.json": `{"colour":"red"}`, "torn.tmp": `{"pid":`, "list.json": `[1,2]`, "null.json": "null",
		"notes.txt": "of the operator",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	killed, err := ReapOrphans(dir)
	if diff := cmp.Diff([]Orphan{{PID: cmd.Process.Pid, Name: "news"}}, killed); diff != "" {
		t.Errorf("killed (-want +got):\n%s", diff)
	}
	if err == nil {
		t.Fatal("torn records were not reported")
	}
	for _, name := range []string{"empty.json", "half.json", "huge.json", "other.json", "torn.tmp", "list.json", "null.json"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("error does not name %s: %v", name, err)
		}
	}
	if diff := cmp.Diff([]string{"folder.json", "notes.txt"}, names(t, dir)); diff != "" {
		t.Errorf("left in the folder (-want +got):\n%s", diff)
	}
}

func TestReapOrphansWithoutFolder(t *testing.T) {
	if killed, err := ReapOrphans(filepath.Join(t.TempDir(), "none")); err != nil || len(killed) > 0 {
		t.Errorf("ReapOrphans = %v, %v, want nothing", killed, err)
	}
}

func TestReapOrphansReapsZombies(t *testing.T) {
	dir := t.TempDir()
	r, cmd := leftover(t, "echo ready; read x")
	save(t, dir, "a.json", r)
	poll(t, "leftover is a zombie", 10*time.Second, func() bool { return !alive(cmd.Process.Pid) })
	if killed, err := ReapOrphans(dir); err != nil || len(killed) > 0 {
		t.Errorf("ReapOrphans = %v, %v, want nothing: a zombie needs no killing", killed, err)
	}
}

func TestRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "start")
	c := start(t, Spec{Path: "/bin/sleep", Args: []string{"60"}, Records: dir, Name: `news/"1"`})
	left := names(t, dir)
	if len(left) != 1 {
		t.Fatalf("records: %v, want one", left)
	}
	path := filepath.Join(dir, left[0])
	stat, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := stat.Mode().Perm(); got != 0o600 {
		t.Errorf("mode = %o, want 600", got)
	}
	r, err := readRecord(path)
	if err != nil {
		t.Fatal(err)
	}
	if r.PID != c.PID() || r.Name != `news/"1"` {
		t.Errorf("record = %+v, want pid %d", r, c.PID())
	}
	// Start returns while the kernel still sets up the new program, its environment last.
	poll(t, "record matches the child", 10*time.Second, func() bool { return r.verify() == nil })
	c.Stop()
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("records after Stop: %v, want none", left)
	}
}

func TestUnwritableRecordIsAWarning(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Start(Spec{Path: "/bin/sleep", Args: []string{"60"}, Records: file, Name: "news"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	if err := c.Warning(); err == nil || !strings.Contains(err.Error(), `"news"`) {
		t.Errorf("Warning() = %v, want one that names the child", err)
	}
}

func TestParseStat(t *testing.T) {
	const rest = " 1 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 56789 1 1\n"
	for _, tc := range []struct {
		name, text string
		want       procStat
		ok         bool
	}{
		{"plain", "42 (ffmpeg) S" + rest, procStat{'S', 56789}, true},
		{"spaces in the name", "42 (a b c) Z" + rest, procStat{'Z', 56789}, true},
		{"name that mocks the format", "42 (x) R 1) T" + rest, procStat{'T', 56789}, true},
		{"empty", "", procStat{}, false},
		{"no name", "42 S" + rest, procStat{}, false},
		{"cut", "42 (ffmpeg) S 1 1 1", procStat{}, false},
		{"start time is no number", "42 (ffmpeg) S" + strings.Replace(rest, "56789", "x", 1), procStat{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseStat([]byte(tc.text))
			if got != tc.want || (err == nil) != tc.ok {
				t.Errorf("parseStat = %+v, %v, want %+v, ok %v", got, err, tc.want, tc.ok)
			}
		})
	}
}

func FuzzParseStat(f *testing.F) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add([]byte("42 (x) R 1) T 1 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 56789 1"))
	f.Add([]byte("42 (ffmpeg"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseStat(text)
		if err == nil && got.state == 0 || err != nil && got != (procStat{}) {
			t.Errorf("parseStat = %+v, %v", got, err)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	whole, err := json.Marshal(record{
		PID: 4711, StartTime: 56789, BootID: "0e1b6ae5-3a66-4ef4-9f0b-d4b8ee2bd03b",
		Nonce: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", Name: "news",
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(`{"pid":-1,"start_time":1,"boot_id":"x","nonce":"ABCDEFGHIJKLMNOPQRSTUVWXYZ"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRecord(text)
		if err == nil && (r.PID <= 1 || len(r.Nonce) != nonceSize || r.BootID == "" || r.StartTime == 0) {
			t.Errorf("parseRecord = %+v: could kill a stranger", r)
		}
	})
}
