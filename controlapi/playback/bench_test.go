package playback_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/nodehealth"
	"github.com/headrace/headrace/controlapi/playback"
)

// BenchmarkIssue is the issue of a playback URL with the database, over 1,000 users and 20
// edges. One viewer is served after the other: program and database never work at the same
// time, so the rate is what one core does for both (budget: 2,000/s, p99 10 ms).
func BenchmarkIssue(b *testing.B) {
	for _, dialect := range []string{"sqlite", "postgres"} {
		b.Run(dialect, func(b *testing.B) {
			x := newShop(b, database(b, dialect))
			users := []string{x.user.ID}
			for i := range 1000 {
				u := must(x.store.CreateUser(b.Context(), x.scope, controlapi.UserCreate{Name: fmt.Sprint("user ", i), PlanID: x.user.PlanID}))(b)
				users = append(users, u.ID)
			}
			var all []nodehealth.Node
			for i := range 20 {
				all = append(all, edge(fmt.Sprintf("edge-%02d", i), located(float64(i), float64(3*i)), func(n *nodehealth.Node) { n.Capacity.Egress = 1e15 }))
			}
			s := playback.New(x.store, edges(all...), atlas{})
			took := make([]time.Duration, 0, 1<<16)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				started := time.Now()
				if _, err := s.Issue(b.Context(), x.scope, playback.Request{UserID: users[i%len(users)], StreamID: shown, Client: dutch}); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(started))
			}
			slices.Sort(took)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "issues/s")
			b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "ms-p99")
		})
	}
}
