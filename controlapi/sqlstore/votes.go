package sqlstore

import (
	"context"
	"time"
)

// CastVotes leaves which edges do not answer an instance of the control plane, good
// until the lease has passed, and gives how many instances are alive, this one among
// them, and how many of the others say so of an edge.
func (s *Store) CastVotes(ctx context.Context, instance string, down []string, lease time.Duration) (instances int, others map[string]int, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := t.do(`INSERT INTO instances (id, until) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET until = excluded.until`,
			instance, micros(t.now.Add(lease))); err != nil {
			return err
		}
		if err := t.do(`DELETE FROM edge_votes WHERE instance = ? AND edge_id NOT IN (SELECT j.value FROM {list})`, instance, jsonList(down)); err != nil {
			return err
		}
		// Edges that were deleted meanwhile are of no interest.
		if err := t.do(`INSERT INTO edge_votes (instance, edge_id) SELECT ?, e.id FROM edges e WHERE e.id IN (SELECT j.value FROM {list})
			ON CONFLICT DO NOTHING`, instance, jsonList(down)); err != nil {
			return err
		}
		if err := t.get(&instances, `SELECT COUNT(*) FROM instances WHERE until >= ?`, micros(t.now)); err != nil {
			return err
		}
		var rows []struct {
			EdgeID string `db:"edge_id"`
			Votes  int
		}
		if err := t.list(&rows, `SELECT v.edge_id, COUNT(*) AS votes FROM edge_votes v JOIN instances i ON i.id = v.instance
			WHERE i.until >= ? AND i.id <> ? GROUP BY v.edge_id`, micros(t.now), instance); err != nil {
			return err
		}
		others = make(map[string]int, len(rows))
		for _, r := range rows {
			others[r.EdgeID] = r.Votes
		}
		return nil
	})
	return instances, others, err
}
