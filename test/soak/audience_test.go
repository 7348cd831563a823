package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/test/viewer"
)

// The audience is a process of its own, so that neither its memory nor its files
// nor its garbage collection count with the edge's or the test's. It is this test
// binary: it reads an order from its standard input, watches until that is closed,
// and writes a report to its standard output.

// order tells an audience what to watch.
type order struct {
	URLs    []string      `json:"urls"`
	Viewers int           `json:"viewers"` // of all URLs together
	Rampup  time.Duration `json:"rampup"`
}

// report is what an audience saw.
type report struct {
	Requests int64         `json:"requests"`
	Bytes    int64         `json:"bytes"`
	Errors   int64         `json:"errors"`
	Stalls   int64         `json:"stalls"`
	Missed   int64         `json:"missed"`
	Status   map[int]int64 `json:"status"`
	// The worst figures of any stream.
	LongestStall time.Duration `json:"longest_stall"`
	PlaylistP99  time.Duration `json:"playlist_p99"`
	SegmentP99   time.Duration `json:"segment_p99"`
}

func (r report) String() string {
	return fmt.Sprintf("audience: %d requests, %.0f MB, %d errors, statuses %v, %d missed, %d stalls (longest %v), p99 of the worst stream: playlists %v, segments %v",
		r.Requests, float64(r.Bytes)/1e6, r.Errors, r.Status, r.Missed, r.Stalls, r.LongestStall.Round(time.Millisecond), r.PlaylistP99, r.SegmentP99)
}

// watch is the audience's main. It returns the exit code.
func watch(in io.Reader, out io.Writer) int {
	decoder := json.NewDecoder(in)
	var o order
	if err := decoder.Decode(&o); err != nil {
		fmt.Fprintln(os.Stderr, "reading the order:", err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, in) // until it is closed
		cancel()
	}()
	stats := make([]*viewer.Stats, len(o.URLs))
	var all sync.WaitGroup
	for i, u := range o.URLs {
		all.Go(func() {
			stats[i] = viewer.Run(ctx, viewer.Options{URL: u, Count: o.Viewers / len(o.URLs), Rampup: o.Rampup})
		})
	}
	all.Wait()
	r := report{Status: make(map[int]int64)}
	for _, s := range stats {
		r.add(s)
	}
	if err := json.NewEncoder(out).Encode(r); err != nil {
		fmt.Fprintln(os.Stderr, "writing the report:", err)
		return 1
	}
	return 0
}

func (r *report) add(s *viewer.Stats) {
	r.Requests += s.Requests
	r.Bytes += s.Bytes
	r.Errors += s.Errors
	r.Stalls += s.Stalls
	r.Missed += s.Missed
	for status, n := range s.Status {
		r.Status[status] += n
	}
	r.LongestStall = max(r.LongestStall, s.LongestStall)
	r.PlaylistP99 = max(r.PlaylistP99, s.Playlists.P99)
	r.SegmentP99 = max(r.SegmentP99, s.Segments.P99)
}

// audience is the running process.
type audience struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.ReadCloser
}

// startAudience starts the viewers, who arrive over a tenth of the time, 10 s at most.
func startAudience(t *testing.T, urls []string, p plan) *audience {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a := &audience{cmd: exec.Command(program)}
	a.cmd.Env = append(os.Environ(), audienceVariable+"=1")
	a.cmd.Stderr = os.Stderr
	if a.in, err = a.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if a.out, err = a.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.cmd.Process.Kill() // if it still runs
		_ = a.cmd.Wait()
	})
	o := order{URLs: urls, Viewers: p.viewers, Rampup: min(p.time/10, 10*time.Second)}
	if err := json.NewEncoder(a.in).Encode(o); err != nil {
		t.Fatal(err)
	}
	return a
}

// leave ends the audience and returns what it saw.
func (a *audience) leave(t *testing.T) report {
	t.Helper()
	if err := a.in.Close(); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.NewDecoder(a.out).Decode(&r); err != nil {
		t.Fatalf("reading the audience's report: %v", err)
	}
	return r
}
