package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	recordExt = ".json"
	tornExt   = ".tmp"
	maxRecord = 16 << 10
	nonceSize = 26 // of crypto/rand.Text
)

// record tells a later life of this program which process a child was. A pid alone does not: it is reused.
type record struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"` // field 22 of /proc/<pid>/stat, in ticks since boot
	BootID    string `json:"boot_id"`
	Nonce     string `json:"nonce"` // value of HEADRACE_CHILD
	Name      string `json:"name"`
}

// writeRecord writes the record of a living child of ours, or of its zombie, and returns its path. It is renamed into
// place, so that it is whole, but not synced: after a crash of the machine there is no process that it could describe.
func writeRecord(dir string, pid int, nonce, name string) (path string, err error) {
	r, err := newRecord(pid, nonce, name)
	if err == nil {
		path = filepath.Join(dir, nonce+recordExt)
		err = r.write(path, filepath.Join(dir, nonce+tornExt))
	}
	if err != nil {
		return "", fmt.Errorf("recording child %q in %s (is the folder writable, the disk full?): %w", name, dir, err)
	}
	return path, nil
}

func newRecord(pid int, nonce, name string) (record, error) {
	boot, err := bootID()
	if err != nil {
		return record{}, err
	}
	stat, err := readStat(pid)
	return record{PID: pid, StartTime: stat.startTime, BootID: boot, Nonce: nonce, Name: name}, err
}

func (r record) write(path, torn string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	err = os.WriteFile(torn, text, 0o600)
	if err == nil {
		err = os.Rename(torn, path)
	}
	if err != nil {
		// What a full disk let through; nothing may be there at all.
		_ = os.Remove(torn)
	}
	return err
}

// readRecord reads a record as it was written, or says what is wrong with it.
func readRecord(path string) (record, error) {
	f, err := os.Open(path)
	if err != nil {
		return record{}, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return record{}, err
	}
	return parseRecord(text)
}

// parseRecord decodes a record. It refuses every pid whose signalling would reach more than one child: 0 is our own
// group, -1 everybody, 1 is init.
func parseRecord(text []byte) (record, error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, fmt.Errorf("decoding the record: %w", err)
	}
	if r.PID <= 1 || r.StartTime == 0 || r.BootID == "" || len(r.Nonce) != nonceSize {
		return record{}, errors.New("the record describes no child")
	}
	return r, nil
}

// procStat is what we read of /proc/<pid>/stat.
type procStat struct {
	state     byte   // R, S, D, T, Z, …
	startTime uint64 // ticks since boot
}

// dead tells a process that exists only because nobody has reaped it.
func (s procStat) dead() bool { return s.state == 'Z' || s.state == 'X' }

func readStat(pid int) (procStat, error) {
	text, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(text)
}

// parseStat reads fields 3 and 22 of a line of proc_pid_stat(5). Field 2 is the program's name in parentheses and may
// hold anything, parentheses and spaces included, so counting starts after the last one.
func parseStat(text []byte) (procStat, error) {
	var fields []string
	if end := bytes.LastIndexByte(text, ')'); end >= 0 {
		fields = strings.Fields(string(text[end+1:]))
	}
	const state, startTime = 0, 19 // the fields are counted from 1, and these start with the third
	if len(fields) <= startTime {
		return procStat{}, errors.New("reading the process state: too few fields")
	}
	ticks, err := strconv.ParseUint(fields[startTime], 10, 64)
	if err != nil {
		return procStat{}, fmt.Errorf("reading the process's start time: %w", err)
	}
	return procStat{state: fields[state][0], startTime: ticks}, nil
}

// bootID names this boot of the machine; in containers it is the host's.
func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}
