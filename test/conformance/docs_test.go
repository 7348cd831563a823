package conformance

import (
	"encoding/json"
	"os/exec"
	"testing"
)

// TestDocs opens the documentation in a browser: it must work within its strict policy
// and ask nobody else for anything.
func TestDocs(t *testing.T) {
	plane := start(t)
	out, err := exec.CommandContext(t.Context(), "node", "docs.mjs", plane.url).Output()
	if err != nil {
		t.Fatalf("opening /docs: %v\n%s", err, out)
	}
	var shown struct {
		Tags                int
		Complaints, Outside []string
	}
	if err := json.Unmarshal(out, &shown); err != nil {
		t.Fatalf("reading %q: %v", out, err)
	}
	if shown.Tags < 15 || len(shown.Complaints) > 0 || len(shown.Outside) > 0 {
		t.Errorf("got %+v, want all resources, no complaint of the browser and no request to others", shown)
	}
}
