package playback

import (
	"fmt"
	"slices"

	"github.com/headrace/headrace/controlapi/nodehealth"
	"github.com/headrace/headrace/controlapi/routing"
)

// want is what an edge must be able to carry.
type want struct {
	group string
	// stream is empty for a bouquet: any edge of the group that has a snapshot will do.
	stream string
	// assigned are the edges that carry the stream by the database, for edges that do not
	// say themselves.
	assigned []string
}

// String names it in errors.
func (w want) String() string {
	if w.stream == "" {
		return "its bouquets"
	}
	return fmt.Sprintf("stream %q", w.stream)
}

// candidates are the edges of the group, as routing judges them, and who they are.
func (s *Service) candidates(view *nodehealth.View, w want) ([]routing.Candidate, []*nodehealth.Node) {
	nodes := view.Group(w.group)
	now := s.now()
	candidates := make([]routing.Candidate, len(nodes))
	for i, n := range nodes {
		c := routing.Candidate{
			Edge: n.ID, State: routing.State(n.State), Score: n.Score, Weight: n.Weight, Headroom: n.Headroom,
			Capacity: float64(n.Capacity.Egress), Assigned: s.recent.bits(now, n.ID),
		}
		c.Current, c.Ready = w.isCarriedBy(n)
		if n.Location != nil {
			at := routing.At(n.Location.Latitude, n.Location.Longitude)
			c.At = &at
		}
		candidates[i] = c
	}
	return candidates, nodes
}

// isCarriedBy tells whether an edge knows what is wanted, and whether a viewer gets it there.
func (w want) isCarriedBy(n *nodehealth.Node) (current, ready bool) {
	if w.stream == "" {
		return n.Version > 0, n.Version > 0
	}
	if n.Streams == nil {
		carries := slices.Contains(w.assigned, n.ID)
		return carries && n.Version > 0, carries
	}
	stream, current := n.Streams[w.stream]
	return current, stream.Playable()
}

// groupOf finds the group of a stream by the edges that carry it.
func groupOf(view *nodehealth.View, stream string) (string, bool) {
	for i := range view.Nodes {
		if _, there := view.Nodes[i].Streams[stream]; there {
			return view.Nodes[i].GroupID, true
		}
	}
	return "", false
}
