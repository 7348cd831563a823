package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// TestOperatorAndReseller goes the way of a business: an operator sets up, a reseller
// buys, a user is made, renewed, suspended and deleted.
func TestOperatorAndReseller(t *testing.T) {
	w := newWorld(t, nil)
	op := w.operator
	stream := w.make(t, op, "/v1/streams", members{"id": "501", "name": "News", "sources": []string{"test:"}})
	w.make(t, op, "/v1/bouquets", members{"id": "all", "name": "All", "streams": []string{stream}})
	w.make(t, op, "/v1/plans", members{"id": "basic", "name": "Basic", "price": 10, "duration_seconds": 2592000, "max_connections": 2, "bouquets": []string{"all"}})
	reseller := w.make(t, op, "/v1/resellers", members{"name": "North"})
	path := "/v1/resellers/" + reseller
	w.make(t, op, path+"/credits", members{"amount": 25, "reason": "prepaid"})
	made := w.want(t, http.StatusCreated, request{method: http.MethodPost, path: "/v1/api-keys", key: op, once: "new", body: text(t, members{
		"reseller_id": reseller, "name": "panel", "permissions": []string{"read", "write", "keys", "playback"},
	})})
	key, _ := made["key"].(string)
	if !strings.HasPrefix(key, "hrk_") {
		t.Fatalf("got the key %q, want one of the API", key)
	}

	user := w.make(t, key, "/v1/users", members{"name": "jane", "plan_id": "basic"})
	if got := w.want(t, http.StatusOK, request{method: http.MethodGet, path: path + "/balance", key: key}); got["balance"] != 15.0 {
		t.Errorf("after one user: got a balance of %v, want 15", got["balance"])
	}
	first := w.want(t, http.StatusOK, request{method: http.MethodGet, path: "/v1/users/" + user, key: key})
	renewed := w.want(t, http.StatusCreated, request{method: http.MethodPost, path: "/v1/users/" + user + "/renewals", key: key, once: "new", body: "{}"})
	if until(t, renewed).Sub(until(t, first)) != 30*24*time.Hour {
		t.Errorf("renewed from %v to %v, want 30 days more", first["expires_at"], renewed["expires_at"])
	}
	poor := w.send(t, request{method: http.MethodPost, path: "/v1/users", key: key, once: "new", body: text(t, members{"name": "joe", "plan_id": "basic"})})
	if poor.status != http.StatusPaymentRequired || poor.code(t) != string(controlapi.CodeInsufficientCredits) {
		t.Errorf("with 5 credits left: got %d %s, want 402", poor.status, poor.body)
	}
	list := w.want(t, http.StatusOK, request{method: http.MethodGet, path: path + "/ledger", key: key})
	if items, _ := list["items"].([]any); len(items) != 3 {
		t.Errorf("got %d movements, want a credit and two charges", len(items))
	}

	got := w.send(t, request{method: http.MethodGet, path: "/v1/users/" + user, key: key})
	suspended := w.send(t, request{method: http.MethodPatch, path: "/v1/users/" + user, key: key, ifMatch: got.header.Get("ETag"), body: `{"suspended":true}`})
	if suspended.status != http.StatusOK || suspended.json(t)["suspended"] != true || suspended.header.Get("ETag") == got.header.Get("ETag") {
		t.Errorf("suspending: got %d, %s, %s", suspended.status, suspended.header.Get("ETag"), suspended.body)
	}
	w.want(t, http.StatusNoContent, request{method: http.MethodDelete, path: "/v1/users/" + user, key: key, ifMatch: suspended.header.Get("ETag")})
	w.want(t, http.StatusNotFound, request{method: http.MethodGet, path: "/v1/users/" + user, key: key})

	audit := w.send(t, request{method: http.MethodGet, path: "/v1/audit", key: key})
	if !strings.Contains(audit.body, `"user.create"`) || strings.Contains(audit.body, key) {
		t.Errorf("the audit lacks the user, or shows the key: %s", audit.body)
	}
}

func until(t *testing.T, user map[string]any) time.Time {
	t.Helper()
	s, _ := user["expires_at"].(string)
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatalf("expires_at: %v", err)
	}
	return at
}

func TestEdges(t *testing.T) {
	w := newWorld(t, nil)
	made := w.want(t, http.StatusCreated, request{method: http.MethodPost, path: "/v1/edges", key: w.operator, once: "new", body: `{"id":"edge-1","url":"https://edge-1.example.com"}`})
	code, _ := made["join_code"].(string)
	if !strings.HasPrefix(code, "hrj_") || made["joined"] != false {
		t.Fatalf("got %v, want an edge that has not joined, and its join code", made)
	}
	_, credential, err := w.store.RedeemJoinCode(t.Context(), code)
	if err != nil {
		t.Fatalf("redeeming the code: %v", err)
	}
	if err := w.store.RecordAck(t.Context(), "edge-1", controlapi.Ack{Epoch: 1, Version: 7, Rejected: "no encoder"}); err != nil {
		t.Fatalf("acknowledging: %v", err)
	}
	joined := w.send(t, request{method: http.MethodGet, path: "/v1/edges/edge-1", key: w.operator})
	if !strings.Contains(joined.body, `"rejected":{"version":"1.7"`) || !strings.Contains(joined.body, `"no encoder"`) {
		t.Errorf("got %s, want what the edge said of version 7", joined.body)
	}
	drained := w.send(t, request{method: http.MethodPatch, path: "/v1/edges/edge-1", key: w.operator, ifMatch: joined.header.Get("ETag"), body: `{"state":"draining"}`})
	if drained.json(t)["state"] != "draining" {
		t.Fatalf("draining: got %d %s", drained.status, drained.body)
	}
	w.want(t, http.StatusOK, request{method: http.MethodPost, path: "/v1/edges/edge-1/revocation", key: w.operator, ifMatch: drained.header.Get("ETag")})
	if _, err := w.store.AuthenticateEdge(t.Context(), credential.Reveal()); controlapi.CodeOf(err) != controlapi.CodeUnauthenticated {
		t.Errorf("after revoking: got %v, want a credential that has ended", err)
	}
}
