package edge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/headrace/headrace/ingest"
)

// Health is what tests want of /-/health.
type Health struct {
	Confinement *ingest.Confinement `json:"confinement"`
	// Snapshot is the version of what is in force.
	Snapshot struct {
		Epoch, Version int64
	} `json:"snapshot"`
}

// Health asks the edge how it is.
func (n *Node) Health() (h Health) {
	n.t.Helper()
	status, body, err := Get(n.t.Context(), fmt.Sprintf("http://%s/-/health", n.Address()))
	if err != nil || status != http.StatusOK {
		n.t.Fatalf("asking for the health: status %d, %v", status, err)
	}
	if err := json.Unmarshal(body, &h); err != nil {
		n.t.Fatal(err)
	}
	return h
}

// AwaitReason waits until a child of a stream has ended for a reason, and returns the
// stream's status then.
func (n *Node) AwaitReason(limit time.Duration, id string, reason ingest.Reason) ingest.Status {
	n.t.Helper()
	var s ingest.Status
	Await(n.t, limit, fmt.Sprintf("a child of stream %s to end for %q", id, reason), func() bool {
		s = n.Stream(id)
		return s.Restarts[reason] > 0
	})
	return s
}
