package main

import (
	"fmt"
	"strings"
)

// budget is one promise of the design and what was measured.
type budget struct {
	What   string  `json:"what"`
	Limit  float64 `json:"limit"`
	Got    float64 `json:"got"`
	Unit   string  `json:"unit"`
	Within bool    `json:"within"`
}

// judge holds the figures against the promises that are ratios or counts. It is a
// table to read, not a test: these machines are noisy.
func judge(r results) []budget {
	var b []budget
	atMost := func(what string, limit, got float64, unit string) {
		b = append(b, budget{What: what, Limit: limit, Got: got, Unit: unit, Within: got <= limit})
	}
	for _, s := range r.Serving {
		for _, p := range promises {
			if s.Task == p.task && s.Server == p.peer {
				atMost(p.task+", CPU of "+p.peer, p.limit, s.Ratio, "×")
			}
		}
	}
	for _, form := range []string{"short", "long", "full"} {
		verify, reference := bench(r.GoBench, "BenchmarkVerify/"+form), bench(r.GoBench, "BenchmarkReference/"+form)
		if verify.NanosPerOp == 0 || reference.NanosPerOp == 0 {
			continue
		}
		atMost("token check, "+form, 450, verify.NanosPerOp, "ns")
		atMost("token check, "+form+", allocations", 0, verify.AllocsPerOp, "allocations")
		atMost("token check, "+form+", share of the reference check", 1.0/3, verify.NanosPerOp/reference.NanosPerOp, "×")
	}
	for _, c := range controlPromises {
		for _, g := range r.Control {
			got, measured := g.figure(c.unit)
			if !measured || !strings.HasPrefix(g.Name, c.prefix) {
				continue
			}
			what := c.what + strings.TrimPrefix(g.Name, c.prefix)
			if c.least {
				b = append(b, budget{What: what + ", at least", Limit: c.limit, Got: got, Unit: c.unit, Within: got >= c.limit})
			} else {
				atMost(what, c.limit, got, c.unit)
			}
		}
	}
	return b
}

// controlPromises are those of the control plane, by the benchmark and its unit.
var controlPromises = []struct {
	what, prefix, unit string
	limit              float64
	least              bool
}{
	{"routing over 200 edges", "BenchmarkChoose", "ns/op", 50_000, false},
	{"playback issue ", "BenchmarkIssue/", "issues/s", 2000, true},
	{"playback issue ", "BenchmarkIssue/", "ms-p99", 10, false},
	{"a change on 300 edges", "BenchmarkChange", "s-p99", 2, false},
	{"100,000 users against 1,000: ", "BenchmarkScale/", "ratio", 1.5, false},
}

// figure is a benchmark's figure by its unit.
func (g goBench) figure(unit string) (float64, bool) {
	if unit == "ns/op" {
		return g.NanosPerOp, true
	}
	v, measured := g.Metrics[unit]
	return v, measured
}

var promises = []struct {
	task, peer string
	limit      float64
}{
	{"playlist", "nginx", 2.6},
	{"playlist", "file_server", 0.5},
	{"segment", "nginx", 0.9},
	{"segment", nginxCopying, 0.9},
	{"segment over TLS", "nginx", 0.8},
}

// bench finds the benchmark of that name.
func bench(all []goBench, name string) goBench {
	for _, b := range all {
		if b.Name == name {
			return b
		}
	}
	return goBench{}
}

func printBudgets(budgets []budget) {
	fmt.Println("\nBudgets")
	for _, b := range budgets {
		verdict := "ok"
		if !b.Within {
			verdict = "MISSED"
		}
		fmt.Printf("  %-64s %9.2f %-12s limit %8.2f  %s\n", b.What, b.Got, b.Unit, b.Limit, verdict)
	}
}
