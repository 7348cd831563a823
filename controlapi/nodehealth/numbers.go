package nodehealth

import (
	"slices"
	"strings"

	"github.com/headrace/headrace/controlapi"
)

// numberMargin is by how much the media sequence number of a stream rises before it is
// written down: 15 min at two seconds per segment. Each writing makes a new snapshot for
// every edge, and a packager that starts cold counts from the clock anyway.
const numberMargin = 450

// numbers remembers the highest media sequence number and discontinuity sequence that any
// edge reported of each stream: no number may be used twice, whoever packages next.
type numbers struct {
	highest, saved map[string]controlapi.Numbers
}

func newNumbers() *numbers {
	return &numbers{highest: make(map[string]controlapi.Numbers), saved: make(map[string]controlapi.Numbers)}
}

// heard takes what an edge reported.
func (n *numbers) heard(streams []Stream) {
	for _, s := range streams {
		if s.MSN == 0 && s.Discontinuity == 0 {
			continue
		}
		h := n.highest[s.ID]
		n.highest[s.ID] = controlapi.Numbers{StreamID: s.ID, MSN: max(h.MSN, s.MSN), Discontinuity: max(h.Discontinuity, s.Discontinuity)}
	}
}

// due lists what has risen enough to be written down.
func (n *numbers) due() []controlapi.Numbers {
	var due []controlapi.Numbers
	for id, h := range n.highest {
		saved, there := n.saved[id]
		if !there || h.MSN >= saved.MSN+numberMargin || h.Discontinuity > saved.Discontinuity {
			due = append(due, h)
		}
	}
	slices.SortFunc(due, func(a, b controlapi.Numbers) int { return strings.Compare(a.StreamID, b.StreamID) })
	return due
}

// written takes note of what was written down.
func (n *numbers) written(numbers []controlapi.Numbers) {
	for _, one := range numbers {
		n.saved[one.StreamID] = one
	}
}

// lost takes note of what could not be written down after all.
func (n *numbers) lost(numbers []controlapi.Numbers) {
	for _, one := range numbers {
		delete(n.saved, one.StreamID)
	}
}
