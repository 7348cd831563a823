package follower

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi/snapshot"
)

func TestJoin(t *testing.T) {
	var heard []string
	answer := func(w http.ResponseWriter, body string) {
		switch {
		case strings.Contains(body, "good"):
			_, _ = w.Write([]byte(`{"edge_id":"edge-1","group":"west","credential":"hre_x"}`))
		case strings.Contains(body, "page"):
			_, _ = w.Write([]byte(`<html>`))
		case strings.Contains(body, "down"):
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"detail":"the join code has expired"}`))
		}
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := readAll(r)
		heard = append(heard, r.URL.Path+" "+body)
		answer(w, body)
	}))
	server.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	server.StartTLS()
	defer server.Close()
	pin := snapshot.FingerprintOf(server.Certificate())

	got, err := Join(t.Context(), server.URL, snapshot.JoinCode{Secret: "good", Fingerprint: pin})
	if want := (snapshot.Joined{EdgeID: "edge-1", Group: "west", Credential: "hre_x"}); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if len(heard) != 1 || heard[0] != `/edge/v1/join {"code":"good"}` {
		t.Errorf("the control plane heard %q", heard)
	}
	for _, tt := range []struct {
		name, url string
		code      snapshot.JoinCode
		is        error
		want      string
	}{
		{"an expired code", server.URL, snapshot.JoinCode{Secret: "old", Fingerprint: pin}, ErrJoinCode, "has expired"},
		{"something else at the address", server.URL, snapshot.JoinCode{Secret: "page", Fingerprint: pin}, nil, "is the address right"},
		{"a control plane whose database is gone", server.URL, snapshot.JoinCode{Secret: "down", Fingerprint: pin}, nil, "patience"},
		{"another control plane", server.URL, snapshot.JoinCode{Secret: "good", Fingerprint: snapshot.Fingerprint{1}}, errIdentity, ""},
		{"nobody there", "https://127.0.0.1:1", snapshot.JoinCode{Secret: "good", Fingerprint: pin}, errUnreachable, ""},
		{"plain http to elsewhere", "http://192.0.2.1", snapshot.JoinCode{Secret: "good"}, errURL, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(heard)
			_, err := Join(t.Context(), tt.url, tt.code)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
			if errors.Is(err, errIdentity) && len(heard) != before {
				t.Error("a stranger has heard the code")
			}
		})
	}
}
