package sqlstore

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// size is how much a control plane holds.
type size struct{ users, streams int }

var (
	small = size{1_000, 1_000}
	large = size{100_000, 10_000}
)

// BenchmarkScale compares what a question costs in a large control plane with its cost in
// a small one: the ratio is to stay below 1.5. Run it with -benchtime=1x: it measures by
// itself.
func BenchmarkScale(b *testing.B) {
	for _, d := range []dialect{dialectSQLite, dialectPostgres} {
		b.Run(string(d), func(b *testing.B) {
			few, many := newScale(b, d, small), newScale(b, d, large)
			for i, q := range few.questions() {
				b.Run(q.name, func(b *testing.B) {
					for b.Loop() {
						base, cost := compare(b, q.ask, many.questions()[i].ask)
						b.ReportMetric(float64(base.Microseconds()), "µs/small")
						b.ReportMetric(float64(cost.Microseconds()), "µs/large")
						b.ReportMetric(float64(cost)/float64(base), "ratio")
					}
				})
			}
		})
	}
}

// BenchmarkPlayback is the question of a playback check in a large control plane, asked
// by as many as there are cores.
func BenchmarkPlayback(b *testing.B) {
	for _, d := range []dialect{dialectSQLite, dialectPostgres} {
		b.Run(string(d), func(b *testing.B) {
			x := newScale(b, d, large)
			b.ResetTimer()
			began := ownCPU()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					x.play(b, i)
				}
			})
			b.ReportMetric(float64((ownCPU()-began).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// ownCPU is the processor time that this process has used. Postgres' own is not in it.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// compare asks both in turns, so that what else the machine does meets both alike, and
// gives the medians.
func compare(b *testing.B, one, other func(testing.TB, int)) (time.Duration, time.Duration) {
	const rounds = 200
	var took [2][]time.Duration
	for i := range rounds {
		for j, ask := range []func(testing.TB, int){one, other} {
			began := time.Now()
			ask(b, i)
			took[j] = append(took[j], time.Since(began))
		}
	}
	return median(took[0]), median(took[1])
}

func median(all []time.Duration) time.Duration {
	sorted := append([]time.Duration(nil), all...)
	for i := range sorted {
		for j := i; j > 0 && sorted[j] < sorted[j-1]; j-- {
			sorted[j], sorted[j-1] = sorted[j-1], sorted[j]
		}
	}
	return sorted[len(sorted)/2]
}

type scale struct {
	s           *Store
	of          size
	op, tenant  controlapi.Scope
	tenantUsers []string
}

type question struct {
	name string
	ask  func(testing.TB, int)
}

const tenants = 20

// newScale fills a database: users spread over 20 resellers, streams in bouquets of 100,
// all of them granted to all.
func newScale(b *testing.B, d dialect, of size) *scale {
	b.Helper()
	x := &scale{s: openTest(b, newDatabase(b, d), Options{}), of: of}
	ctx := b.Context()
	x.op = x.s.LocalOperator()
	bouquets := x.fillStreams(b)
	plan := must(x.s.CreatePlan(ctx, x.op, controlapi.PlanCreate{ID: "plan", Name: "Plan", Duration: 720 * time.Hour, Bouquets: bouquets[:min(10, len(bouquets))]}))(b)
	for i := range tenants {
		r := newReseller(b, x.s, "")
		must(x.s.SetGrants(ctx, x.op, r.ID, r.Version, controlapi.Grants{Show: controlapi.GrantList{Bouquets: bouquets}}))(b)
		if i == 0 {
			x.tenant = as(b, x.s, r.ID)
		}
		err := x.s.write(ctx, func(t *tx) error {
			for n := i; n < of.users; n += tenants {
				name := fmt.Sprintf("viewer %06d", n)
				if err := t.do(`INSERT INTO users (id, reseller_id, path, name, name_key, note, plan_id, expires, max_connections, created) VALUES (?, ?, ?, ?, ?, '', ?, ?, 1, ?)`,
					fmt.Sprintf("user-%d", n), r.ID, r.Path, name, name, plan.ID, micros(t.now.Add(time.Hour)), micros(t.now)+int64(n)); err != nil {
					return err
				}
				if i == 0 {
					x.tenantUsers = append(x.tenantUsers, fmt.Sprintf("user-%d", n))
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if _, err := x.s.writer.Exec(`ANALYZE`); err != nil { // Postgres does it by itself, in time
		b.Fatal(err)
	}
	return x
}

func (x *scale) fillStreams(b *testing.B) (bouquets []string) {
	err := x.s.write(b.Context(), func(t *tx) error {
		for n := range x.of.streams {
			id, bouquet := fmt.Sprintf("stream-%d", n), fmt.Sprintf("bouquet-%d", n/100)
			if n%100 == 0 {
				bouquets = append(bouquets, bouquet)
				if err := t.do(`INSERT INTO bouquets (id, owner_id, path, name, created) VALUES (?, 'operator', '/operator/', ?, ?)`, bouquet, bouquet, micros(t.now)); err != nil {
					return err
				}
			}
			spec, sources, err := t.columns(id, controlapi.DefaultStreamSpec("https://origin.example/"+id))
			if err != nil {
				return err
			}
			if err := t.do(`INSERT INTO streams (id, owner_id, path, group_id, name, name_key, spec, sources, on_demand, replicas, created) VALUES (?, 'operator', '/operator/', 'default', ?, ?, ?, ?, FALSE, 2, ?)`,
				id, fmt.Sprintf("channel %06d", n), fmt.Sprintf("channel %06d", n), spec, sources, micros(t.now)+int64(n)); err != nil {
				return err
			}
			if err := t.do(`INSERT INTO assignments (stream_id) VALUES (?)`, id); err != nil {
				return err
			}
			if err := t.do(`INSERT INTO bouquet_streams (bouquet_id, stream_id, position) VALUES (?, ?, ?)`, bouquet, id, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return bouquets
}

func (x *scale) play(t testing.TB, i int) {
	g, err := x.s.Playback(t.Context(), x.tenant, controlapi.PlaybackQuery{
		UserID: x.tenantUsers[i*7919%len(x.tenantUsers)], StreamID: fmt.Sprintf("stream-%d", i*104729%1000),
	})
	if err != nil || !g.Entitled || g.Key.Secret == "" {
		t.Fatal(g.Entitled, err)
	}
}

func (x *scale) questions() []question {
	page := controlapi.Page{Limit: 50}
	users := func(sc controlapi.Scope, f controlapi.UserFilter) func(testing.TB, int) {
		return func(t testing.TB, _ int) { must(x.s.Users(t.Context(), sc, f, page))(t) }
	}
	streams := func(sc controlapi.Scope, f controlapi.StreamFilter) func(testing.TB, int) {
		return func(t testing.TB, _ int) { must(x.s.Streams(t.Context(), sc, f, page))(t) }
	}
	last := must(x.s.Users(context.Background(), x.op, controlapi.UserFilter{ResellerID: x.tenant.ResellerID()}, controlapi.Page{Limit: 25}))
	return []question{
		{"operator lists users", users(x.op, controlapi.UserFilter{})},
		{"reseller lists users", users(x.tenant, controlapi.UserFilter{})},
		{"reseller lists users further on", func(t testing.TB, _ int) {
			must(x.s.Users(t.Context(), x.tenant, controlapi.UserFilter{}, controlapi.Page{Limit: 25, After: last(t).Next}))(t)
		}},
		{"operator finds a user", users(x.op, controlapi.UserFilter{NamePrefix: "viewer 00050"})},
		{"reseller finds a user", users(x.tenant, controlapi.UserFilter{NamePrefix: "viewer 00050"})},
		{"operator lists streams", streams(x.op, controlapi.StreamFilter{})},
		{"reseller lists streams", streams(x.tenant, controlapi.StreamFilter{})},
		{"reseller finds a stream", streams(x.tenant, controlapi.StreamFilter{NamePrefix: "channel 00050"})},
		{"one user", func(t testing.TB, i int) {
			must(x.s.User(t.Context(), x.tenant, x.tenantUsers[i%len(x.tenantUsers)]))(t)
		}},
		{"playback", x.play},
	}
}

// BenchmarkDocument is the building of a snapshot for 20 resellers who are granted all
// streams of the group.
func BenchmarkDocument(b *testing.B) {
	for _, d := range []dialect{dialectSQLite, dialectPostgres} {
		for _, of := range []size{{1_000, 500}, {1_000, 10_000}} {
			b.Run(fmt.Sprintf("%s/%d streams", d, of.streams), func(b *testing.B) {
				x := newScale(b, d, of)
				b.ResetTimer()
				for b.Loop() {
					must(x.s.Document(b.Context(), controlapi.DefaultGroupID))(b)
				}
			})
		}
	}
}
