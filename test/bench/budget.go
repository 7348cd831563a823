package main

import "fmt"

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
	return b
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
		fmt.Printf("  %-48s %8.2f %-12s limit %6.2f  %s\n", b.What, b.Got, b.Unit, b.Limit, verdict)
	}
}
