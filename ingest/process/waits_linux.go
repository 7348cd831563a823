package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Waits is how long each thread of the child has been ready to run while no processor was free for it, since the thread
// began; by thread id. It is empty where the kernel does not tell (proc(5), schedstat).
func (c *Child) Waits() map[int]time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return nil // its pid may belong to anybody
	}
	tasks := filepath.Join("/proc", strconv.Itoa(c.PID()), "task")
	entries, err := os.ReadDir(tasks)
	if err != nil {
		return nil
	}
	waits := make(map[int]time.Duration, len(entries))
	for _, e := range entries {
		thread, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// Three numbers: time on a processor and time waiting for one, in nanoseconds, and turns.
		text, err := os.ReadFile(filepath.Join(tasks, e.Name(), "schedstat"))
		fields := bytes.Fields(text)
		if err != nil || len(fields) < 2 {
			continue
		}
		if waited, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
			waits[thread] = time.Duration(waited)
		}
	}
	return waits
}
