// Command bench measures the edge against nginx and Caddy's file_server on the
// same bytes, and runs the Go benchmarks of the hot path. It prints CPU time per
// request and ratios, which hold on noisy machines where absolute times do not,
// and writes everything to a JSON file.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"
)

// results is bench.json.
type results struct {
	Time    time.Time `json:"time"`
	Go      string    `json:"go"`
	Cores   int       `json:"cores"`
	Nginx   string    `json:"nginx"`
	GoBench []goBench `json:"go_benchmarks"`
	Serving []serving `json:"serving"`
	Control []goBench `json:"control_plane"`
	Budgets []budget  `json:"budgets"`
	Skipped []string  `json:"skipped,omitempty"`
	Rounds  int       `json:"rounds"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	edge := flag.String("edge", "bin/edge", "the edge's program")
	out := flag.String("out", "bench.json", "where the figures go")
	rounds := flag.Int("rounds", 5, "how often each server is measured, in turn")
	only := flag.String("only", "", "go: Go benchmarks of the hot path only; serving: side by side only; control: the control plane only")
	flag.Parse()

	r := results{Time: time.Now().UTC(), Go: runtime.Version(), Cores: runtime.NumCPU(), Rounds: *rounds}
	wanted := func(part string) bool { return *only == "" || *only == part }
	if wanted("go") {
		fmt.Println("Go benchmarks of the hot path")
		benches, err := goBenchmarks(ctx)
		if err != nil {
			return err
		}
		r.GoBench = benches
	}
	if wanted("control") {
		fmt.Println("Control plane")
		benches, err := controlBenchmarks(ctx)
		if err != nil {
			return err
		}
		r.Control = benches
	}
	if wanted("serving") {
		if err := r.sideBySide(ctx, *edge); err != nil {
			return err
		}
	}
	r.Budgets = judge(r)
	printBudgets(r.Budgets)
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(*out, append(body, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", *out, err)
	}
	fmt.Println("written to", *out)
	return nil
}
