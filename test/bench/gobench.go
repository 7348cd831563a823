package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// goBench is one line of "go test -bench".
type goBench struct {
	Name        string  `json:"name"`
	NanosPerOp  float64 `json:"ns_per_op"`
	AllocsPerOp float64 `json:"allocs_per_op"`
	BytesPerOp  float64 `json:"bytes_per_op"`
	MBPerSecond float64 `json:"mb_per_s,omitempty"`
	// Metrics are figures of the benchmark's own, by unit.
	Metrics map[string]float64 `json:"metrics,omitempty"`
}

// hotPath are the packages whose benchmarks guard it.
var hotPath = []string{
	"./controlapi/token", "./caddymodule/streamtoken", "./caddymodule/hls", "./caddymodule/session",
	"./ingest/segment", "./ingest/playlist",
}

// controlPlane are the runs that measure the control plane: each is what follows "go test
// -run ^$". They report figures of their own.
var controlPlane = [][]string{
	{"-bench", "Choose", "./controlapi/routing"},
	{"-bench", "Issue", "-benchtime", "3s", "./controlapi/playback"},
	{"-bench", "Change", "-benchtime", "5x", "./test/herd"},
	{"-bench", "Requests", "-benchtime", "5s", "./test/cluster"},
	{"-bench", "Scale", "-benchtime", "1x", "-timeout", "30m", "./controlapi/sqlstore"},
}

func goBenchmarks(ctx context.Context) ([]goBench, error) {
	return runGoBench(ctx, append([]string{"-bench", ".", "-benchmem", "-benchtime", "0.3s", "-count", "3"}, hotPath...)...)
}

func controlBenchmarks(ctx context.Context) (all []goBench, err error) {
	for _, args := range controlPlane {
		some, err := runGoBench(ctx, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func runGoBench(ctx context.Context, args ...string) ([]goBench, error) {
	args = append([]string{"test", "-run", "^$"}, args...)
	cmd := exec.CommandContext(ctx, "go", args...)
	var out bytes.Buffer
	cmd.Stdout = io.MultiWriter(&out, os.Stdout)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("running the Go benchmarks: %w", err)
	}
	return parseGoBench(out.String()), nil
}

// parseGoBench reads lines such as "BenchmarkVerify/long-2  3  351 ns/op  0 B/op  0 allocs/op".
// Of several runs of a benchmark it keeps the fastest, which others disturbed least.
func parseGoBench(text string) []goBench {
	var benches []goBench
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		b := goBench{Name: f[0]}
		if i := strings.LastIndexByte(b.Name, '-'); i > 0 {
			b.Name = b.Name[:i]
		}
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				break
			}
			switch f[i+1] {
			case "ns/op":
				b.NanosPerOp = v
			case "allocs/op":
				b.AllocsPerOp = v
			case "B/op":
				b.BytesPerOp = v
			case "MB/s":
				b.MBPerSecond = v
			default:
				if b.Metrics == nil {
					b.Metrics = make(map[string]float64)
				}
				b.Metrics[f[i+1]] = v
			}
		}
		same := slices.IndexFunc(benches, func(o goBench) bool { return o.Name == b.Name })
		switch {
		case same < 0:
			benches = append(benches, b)
		case b.NanosPerOp < benches[same].NanosPerOp:
			benches[same] = b
		}
	}
	return benches
}
