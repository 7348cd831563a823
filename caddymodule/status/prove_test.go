package status_test

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi/probe"
)

const credential = "hre_00000001_0000000000000000000000000000000000000000000"

func TestHealthForTheControlPlane(t *testing.T) {
	h, host := handler(t, stream)
	key, stranger := probe.DeriveKey(credential), probe.DeriveKey(credential+"x")
	asker := func(peer string, headers ...string) func(string) *httptest.ResponseRecorder {
		return func(header string) *httptest.ResponseRecorder {
			return ask(h, from(peer, "GET", "/-/health", append([]string{probe.Header, header}, headers...)...))
		}
	}
	refused := func(name string, w *httptest.ResponseRecorder) {
		t.Helper()
		if w.Code != 403 || w.Body.Len() != 0 || w.Header().Get(probe.Header) != "" {
			t.Errorf("%s: got %d %q, signed %q, want a bare 403", name, w.Code, w.Body, w.Header().Get(probe.Header))
		}
	}
	now := func() time.Time { return host.ProbeGate().Now() }
	refused("an edge without a credential", asker(remote)(probe.Ask("edge-1", now()).Header(key)))
	refused("the same, asked from this machine", asker(local)(probe.Ask("edge-1", now()).Header(key)))

	host.UseCredential(credential)
	for name, asker := range map[string]func(string) *httptest.ResponseRecorder{
		"from afar": asker(remote), "from this machine": asker(local), "through a proxy": asker(local, "X-Forwarded-For", "203.0.113.9"),
	} {
		q := probe.Ask("edge-1", now())
		w := asker(q.Header(key))
		if _, err := q.Verify(key, w.Header().Get(probe.Header), w.Code, w.Body.Bytes()); err != nil {
			t.Errorf("%s: %v (%d %q)", name, err, w.Code, w.Body)
		}
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got["edge_id"] != "edge-1" || w.Code != 200 {
			t.Errorf("%s: got %d %v, %v", name, w.Code, got["edge_id"], err)
		}
		refused(name+", played back", asker(q.Header(key)))
	}
	refused("signed with another key", asker(remote)(probe.Ask("edge-1", now()).Header(stranger)))
	refused("signed for another edge", asker(remote)(probe.Ask("edge-2", now()).Header(key)))
	refused("wrongly signed, from this machine", asker(local)(probe.Ask("edge-1", now()).Header(stranger)))
	refused("no header of ours", asker(remote)("Bearer x"))
	twice := from(remote, "GET", "/-/health")
	for range 2 {
		twice.Header.Add(probe.Header, probe.Ask("edge-1", now()).Header(key))
	}
	refused("two questions in one", ask(h, twice))
	refused("none", ask(h, from(remote, "GET", "/-/health")))

	late := probe.Ask("edge-1", now().Add(-10*time.Minute))
	w := asker(remote)(late.Header(key))
	at, err := late.Verify(key, w.Header().Get(probe.Header), 401, w.Body.Bytes())
	if w.Code != 401 || err != nil || w.Body.Len() != 0 {
		t.Fatalf("asked by a clock that is late: got %d %q, %v", w.Code, w.Body, err)
	}
	if w := asker(remote)(probe.Ask("edge-1", at).Header(key)); w.Code != 200 {
		t.Errorf("asked again by the edge's time: got %d", w.Code)
	}
	host.UseCredential("")
	refused("after the credential was taken away", asker(remote)(probe.Ask("edge-1", now()).Header(key)))
}
