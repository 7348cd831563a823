package cluster

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
)

// kid is the key id within a playback URL.
var kid = regexp.MustCompile(`/live/1\.k([0-9a-z]+)\.`)

func keyOf(t *testing.T, url string) string {
	t.Helper()
	found := kid.FindStringSubmatch(url)
	if found == nil {
		t.Fatal("the URL of playback holds no long token")
	}
	return found[1]
}

// TestScenario32Rotation checks that no token is refused while a reseller's signing key
// is replaced under load: neither one of the old key, nor the first of the new one, which
// signs only when the edge has it. A key that is ended is refused within 2 s.
func TestScenario32Rotation(t *testing.T) {
	s := newStage(t, "news")
	old := s.playback("news")
	keys := "/v1/resellers/" + s.market.Reseller + "/signing-keys"

	refused, issued := 0, 0
	watch := func(url string) {
		t.Helper()
		for _, u := range []string{old, url} {
			if got := status(u); got != 200 {
				refused++
				t.Errorf("after %d tokens: status %d for one of key %s", issued, got, keyOf(t, u))
			}
		}
		issued++
	}
	for range 20 {
		watch(s.playback("news"))
	}
	s.control.Must("POST", keys, map[string]any{"group_id": "default"}, nil)
	rotated := time.Now()
	var fresh string
	for keyOf(t, old) == keyOf(t, s.playback("news")) {
		fresh = s.playback("news")
		watch(fresh)
		if time.Since(rotated) > time.Minute {
			t.Fatal("the new key does not sign a minute after it was made")
		}
	}
	took := time.Since(rotated)
	for range 20 {
		fresh = s.playback("news")
		watch(fresh)
	}

	if err := s.control.CallWith("DELETE", keys+"/default/"+keyOf(t, old), http.Header{"If-Match": {`"1"`}}, nil, nil); err != nil {
		t.Fatal("ending the old key:", err)
	}
	ended := edge.Await(t, 20*time.Second, "the old key's token to be refused", func() bool { return status(old) == 403 })
	if got := status(fresh); got != 200 {
		t.Errorf("with the old key, the new one ended: status %d", got)
	}
	t.Logf("figures: %d tokens issued, %d refused; the new key signs after %v; a token of the ended key is refused after %v", issued, refused, took.Round(time.Millisecond), ended)
	if ended > 2*time.Second {
		t.Errorf("a token of the ended key was good for %v, want at most 2 s", ended)
	}
}
