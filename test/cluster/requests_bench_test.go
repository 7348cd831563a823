package cluster

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/headrace/headrace/test/control"
	"github.com/headrace/headrace/test/postgres"
)

// BenchmarkRequests is how many requests one and two instances answer over one Postgres.
// On a machine where all of them share the processors with the database and with those
// who ask, two are not expected to do twice as much; they must not do less.
func BenchmarkRequests(b *testing.B) {
	for _, bb := range []struct {
		name      string
		instances int
	}{{"one", 1}, {"two", 2}} {
		b.Run(bb.name, func(b *testing.B) {
			unlimited := []string{"--limit-per-key", "1000000", "--limit-per-tenant", "1000000", "--log-level", "warn"}
			nodes := []*control.Node{control.Start(b, control.Config{Database: postgres.New(b), Options: unlimited})}
			for len(nodes) < bb.instances {
				nodes = append(nodes, nodes[0].Beside())
			}
			nodes[0].Stream("news")
			m := nodes[0].Open("news")
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			defer client.CloseIdleConnections()
			b.SetParallelism(8)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					n := nodes[i%len(nodes)]
					req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, n.URL()+"/v1/users/"+m.User, http.NoBody)
					if err != nil {
						b.Error(err)
						return
					}
					req.Header.Set("Authorization", "Bearer "+n.Key())
					res, err := client.Do(req)
					if err != nil {
						b.Error(err)
						return
					}
					var body bytes.Buffer
					_, err = io.Copy(&body, res.Body)
					_ = res.Body.Close()
					if err != nil || res.StatusCode != http.StatusOK {
						b.Errorf("status %d, %v: %s", res.StatusCode, err, body.String())
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}
