package conformance

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestResellerExample runs the example as a reseller would. There is no edge, so that it
// gets as far as the URL, and says why it gets none; `make run` has one.
func TestResellerExample(t *testing.T) {
	plane := start(t)
	c, err := NewClientWithResponses(plane.url, WithHTTPClient(&http.Client{Transport: newJudge(t, plane.key)}))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	take(c.CreateStreamWithResponse(ctx, &CreateStreamParams{once()}, StreamCreate{Id: new("bars"), Name: "Bars", Sources: []string{"test:"}})).want(t, 201)
	take(c.CreateBouquetWithResponse(ctx, &CreateBouquetParams{once()}, BouquetCreate{Id: new("all"), Name: "All", Streams: []string{"bars"}})).want(t, 201)
	take(c.CreatePlanWithResponse(ctx, &CreatePlanParams{once()}, PlanCreate{Id: new("basic"), Name: "Basic", Price: 10, DurationSeconds: 3600, Bouquets: []string{"all"}})).want(t, 201)
	reseller := take(c.CreateResellerWithResponse(ctx, &CreateResellerParams{once()}, ResellerCreate{Name: "North"})).want(t, 201)
	id := reseller.JSON201.Id
	grants := take(c.GetGrantsWithResponse(ctx, id)).want(t, 200)
	take(c.ReplaceGrantsWithResponse(ctx, id, &ReplaceGrantsParams{tag(grants.HTTPResponse)}, GrantsUpdate{
		Show: GrantList{Streams: []string{}, Bouquets: []string{"all"}}, Publish: GrantList{Streams: []string{}, Bouquets: []string{}},
	})).want(t, 200)
	take(c.IssueCreditsWithResponse(ctx, id, &IssueCreditsParams{once()}, Issue{Amount: 100, Reason: "prepaid"})).want(t, 201)
	key := take(c.CreateApiKeyWithResponse(ctx, &CreateApiKeyParams{once()}, APIKeyCreate{
		Name: "panel", ResellerId: &id, Permissions: []APIKeyCreatePermissions{"read", "write", "keys", "playback"},
	})).want(t, 201).JSON201.Key

	for _, run := range []string{"the first run", "the same order again"} {
		cmd := exec.Command("../../examples/reseller/integrate.sh")
		cmd.Env = append(os.Environ(), "API="+plane.url, "API_KEY="+key, "PLAN=basic", "STREAM=bars", "ORDER=4711")
		out, err := cmd.CombinedOutput()
		text := string(out)
		for _, want := range []string{"user:      ", "balance:   90\n", "its secret has 43 characters", "error: unavailable: no edge"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: got %q (%v), want %q in it", run, text, err, want)
			}
		}
		if strings.Contains(text, key) {
			t.Errorf("%s prints the key", run)
		}
	}
}
