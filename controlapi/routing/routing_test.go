package routing

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var (
	amsterdam = At(52.37, 4.90)
	frankfurt = At(50.11, 8.68)
	newYork   = At(40.71, -74.01)
)

func edge(name string, change ...func(*Candidate)) Candidate {
	c := Candidate{Edge: name, State: Healthy, Ready: true, Current: true, Score: 100, Weight: 1, Headroom: 0.8, Capacity: 10e9}
	for _, f := range change {
		f(&c)
	}
	return c
}

func TestChoose(t *testing.T) {
	full := func(c *Candidate) { c.Headroom = 0 }
	state := func(s State) func(*Candidate) { return func(c *Candidate) { c.State = s } }
	at := func(p Position) func(*Candidate) { return func(c *Candidate) { c.At = &p } }
	for _, tt := range []struct {
		name       string
		client     *Position
		candidates []Candidate
		want       string // "" is nobody
		refused    map[string]Refusal
	}{
		{"nobody there", nil, nil, "", nil},
		{"the only one", nil, []Candidate{edge("a")}, "a", nil},
		{
			"a full one is passed over", nil,
			[]Candidate{edge("a", full), edge("b", func(c *Candidate) { c.Headroom = 0.01 })},
			"b",
			map[string]Refusal{"a": RefusedHeadroom},
		},
		{
			"what was sent since the probe fills an edge", nil,
			[]Candidate{edge("a", func(c *Candidate) { c.Headroom, c.Assigned = 0.1, 1e9 }), edge("b", func(c *Candidate) { c.Headroom = 0.05 })},
			"b",
			map[string]Refusal{"a": RefusedHeadroom},
		},
		{
			"an edge without the stream", nil,
			[]Candidate{edge("a", func(c *Candidate) { c.Ready = false })},
			"",
			map[string]Refusal{"a": RefusedStream},
		},
		{
			"an edge that has not heard of it", nil,
			[]Candidate{edge("a", func(c *Candidate) { c.Current = false })},
			"",
			map[string]Refusal{"a": RefusedSnapshot},
		},
		{
			"edges that take nobody", nil,
			[]Candidate{edge("a", state("draining")), edge("b", state("down")), edge("c", state("quarantined")), edge("d", func(c *Candidate) { c.Weight = 0 })},
			"",
			map[string]Refusal{"a": RefusedState, "b": RefusedState, "c": RefusedState, "d": RefusedState},
		},
		{
			"one on probation only when nobody else can", nil,
			[]Candidate{edge("a", state(Probation)), edge("b", state("down")), edge("c", full)},
			"a",
			map[string]Refusal{"b": RefusedState, "c": RefusedHeadroom},
		},
		{
			"a degraded one before one on probation", nil,
			[]Candidate{edge("a", state(Probation)), edge("b", state(Degraded))},
			"b",
			map[string]Refusal{"a": RefusedState},
		},
		{
			"a degraded one only when nobody else can", nil,
			[]Candidate{edge("a", state(Degraded)), edge("b", full)},
			"a",
			map[string]Refusal{"b": RefusedHeadroom},
		},
		{
			"a poor healthy one before a good degraded one", nil,
			[]Candidate{edge("a", state(Degraded)), edge("b", func(c *Candidate) { c.Score, c.Headroom = 60, 0.02 })},
			"b",
			map[string]Refusal{"a": RefusedDegraded},
		},
		{"the near one", &amsterdam, []Candidate{edge("near", at(frankfurt)), edge("far", at(newYork))}, "near", nil},
		{
			"the far one, where the near one is nearly full", &amsterdam,
			[]Candidate{edge("near", at(frankfurt), func(c *Candidate) { c.Headroom = 0.001 }), edge("far", at(newYork))},
			"far", nil,
		},
		{
			"numbers that are none", nil,
			[]Candidate{edge("a", func(c *Candidate) { c.Headroom = math.NaN() }), edge("b", func(c *Candidate) { c.Weight = math.NaN() }), edge("c")},
			"c",
			map[string]Refusal{"a": RefusedHeadroom, "b": RefusedState},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Request{User: "u1", Client: tt.client}
			got, explained := Explain(r, tt.candidates)
			name := ""
			if got >= 0 {
				name = tt.candidates[got].Edge
			}
			if name != tt.want {
				t.Errorf("got %q, want %q: %+v", name, tt.want, explained)
			}
			if again := Choose(r, tt.candidates); again != got {
				t.Errorf("Choose gives %d, Explain %d", again, got)
			}
			for _, e := range explained {
				if e.Refused != tt.refused[e.Edge] {
					t.Errorf("edge %s: refused for %q, want %q", e.Edge, e.Refused, tt.refused[e.Edge])
				}
				if e.Chosen != (e.Edge == tt.want) {
					t.Errorf("edge %s: chosen %v", e.Edge, e.Chosen)
				}
			}
		})
	}
}

func TestKilometres(t *testing.T) {
	for _, tt := range []struct {
		name     string
		from, to Position
		want     float64
	}{
		{"nowhere", amsterdam, amsterdam, 0},
		{"Amsterdam to Frankfurt", amsterdam, frankfurt, 364},
		{"Amsterdam to New York", amsterdam, newYork, 5863},
		{"around the world", At(0, 0), At(0, 180), 20015},
		{"over the date line", At(0, 179), At(0, -179), 222},
	} {
		if got := tt.from.Kilometres(tt.to); math.Abs(got-tt.want) > 0.01*tt.want+1 {
			t.Errorf("%s: got %.0f km, want %.0f", tt.name, got, tt.want)
		}
	}
}

// users counts on which edge each of many users is.
func users(n int, candidates []Candidate) map[string]int {
	counts := make(map[string]int)
	for i := range n {
		if c := Choose(Request{User: fmt.Sprint("user-", i)}, candidates); c >= 0 {
			counts[candidates[c].Edge]++
		}
	}
	return counts
}

func TestViewersSpreadByWhatIsFree(t *testing.T) {
	// The same headroom and score, so that all contend; twice the capacity, twice the viewers.
	counts := users(30_000, []Candidate{edge("a"), edge("b"), edge("c", func(c *Candidate) { c.Capacity = 20e9 })})
	for name, want := range map[string]int{"a": 7500, "b": 7500, "c": 15_000} {
		if got := counts[name]; math.Abs(float64(got-want)) > 0.05*float64(want) {
			t.Errorf("edge %s has %d of 30,000 viewers, want about %d", name, got, want)
		}
	}
}

func TestViewersStayWhereTheyAre(t *testing.T) {
	before := []Candidate{edge("a"), edge("b"), edge("c"), edge("d")}
	after := slices.Clone(before)
	after[3].State = "down"
	moved := 0
	for i := range 10_000 {
		r := Request{User: fmt.Sprint("user-", i)}
		was, is := Choose(r, before), Choose(r, after)
		if was != 3 && was != is {
			t.Fatalf("user %d was on %s, which is as it was, and is on %s", i, before[was].Edge, after[is].Edge)
		}
		if was == 3 {
			moved++
		}
	}
	if moved < 2200 || moved > 2800 {
		t.Errorf("%d of 10,000 viewers were on the edge that left, want about 2,500", moved)
	}
}

func TestEveryChoiceIsNearTheBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var candidates []Candidate
		for i := range rapid.IntRange(0, 12).Draw(t, "edges") {
			stands := At(rapid.Float64Range(-90, 90).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lon"))
			candidates = append(candidates, Candidate{
				Edge:  fmt.Sprint("e", i),
				State: rapid.SampledFrom([]State{Healthy, Degraded, Probation, "down", "draining"}).Draw(t, "state"),
				Ready: rapid.Bool().Draw(t, "ready"), Current: rapid.Bool().Draw(t, "current"),
				Score: rapid.IntRange(0, 100).Draw(t, "score"), Weight: rapid.Float64Range(0, 1).Draw(t, "weight"),
				Headroom: rapid.Float64Range(0, 1).Draw(t, "headroom"), Capacity: rapid.Float64Range(0, 1e10).Draw(t, "capacity"),
				At: &stands,
			})
		}
		r := Request{User: rapid.String().Draw(t, "user"), Client: &amsterdam}
		chosen, explained := Explain(r, candidates)
		best, eligible := 0.0, 0
		for _, e := range explained {
			if e.Refused == NotRefused {
				best, eligible = max(best, e.Score), eligible+1
			}
		}
		if (chosen >= 0) != (eligible > 0) {
			t.Fatalf("%d edges are eligible and %d was chosen", eligible, chosen)
		}
		if chosen >= 0 && explained[chosen].Score < 0.9*best {
			t.Fatalf("the chosen one has a score of %f, the best %f", explained[chosen].Score, best)
		}
		// The order in which the candidates come is nobody's business.
		mixed := slices.Clone(candidates)
		slices.Reverse(mixed)
		if other := Choose(r, mixed); chosen >= 0 && mixed[other].Edge != candidates[chosen].Edge {
			t.Fatalf("got %s, and %s in another order", candidates[chosen].Edge, mixed[other].Edge)
		}
	})
}

// BenchmarkChoose is the routing decision over 200 edges (budget: 50 µs).
func BenchmarkChoose(b *testing.B) {
	var candidates []Candidate
	for i := range 200 {
		candidates = append(candidates, edge(fmt.Sprintf("edge-%03d", i), func(c *Candidate) {
			stands := At(float64(i%90)-45, float64(i)-100)
			c.At, c.Headroom = &stands, 0.3+float64(i%7)/10
		}))
	}
	r := Request{User: "u1007", Client: &amsterdam}
	b.ReportAllocs()
	for b.Loop() {
		if Choose(r, candidates) < 0 {
			b.Fatal("nobody was chosen")
		}
	}
}
