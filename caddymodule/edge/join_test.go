package edge

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi/snapshot"
)

const joinedCredential = "hre_12345678_canary"

// joinPlane takes the code "hrj_good" once.
func joinPlane(t *testing.T) (url string, pin snapshot.Fingerprint) {
	t.Helper()
	used := false
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var j snapshot.Join
		if err := json.NewDecoder(r.Body).Decode(&j); err != nil || j.Code != "hrj_good" || used {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"detail":"the join code is not known, has expired or was used"}`))
			return
		}
		used = true
		_ = json.NewEncoder(w).Encode(snapshot.Joined{EdgeID: "edge-7", Group: "west", Credential: joinedCredential})
	}))
	server.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, snapshot.FingerprintOf(server.Certificate())
}

func TestJoin(t *testing.T) {
	url, pin := joinPlane(t)
	path := filepath.Join(t.TempDir(), "edge.token")
	good := snapshot.JoinCode{Secret: "hrj_good", Fingerprint: pin}.Text()
	run := func(o joinOptions, in string) (string, error) {
		t.Helper()
		var out bytes.Buffer
		err := join(t.Context(), strings.NewReader(in), &out, o)
		if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "hrj_")) {
			t.Errorf("the error tells a secret: %v", err)
		}
		return out.String(), err
	}
	refuse := func(name string, o joinOptions, want string) {
		t.Helper()
		out, err := run(o, "")
		if err == nil || !strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("%s: got %v and %q, want %q", name, err, out, want)
		}
	}
	refuse("a wrong code", joinOptions{url: url, code: snapshot.JoinCode{Secret: "hrj_bad", Fingerprint: pin}.Text(), tokenFile: path}, "make a new one")
	refuse("half a code", joinOptions{url: url, code: good[:len(good)-1], tokenFile: path}, "not a join code")
	refuse("another control plane", joinOptions{url: url, code: snapshot.JoinCode{Secret: "hrj_good", Fingerprint: snapshot.Fingerprint{1}}.Text(), tokenFile: path}, "certificate")
	refuse("plain http", joinOptions{url: "http://control.example", code: good, tokenFile: path}, "https://")
	refuse("nobody there", joinOptions{url: "https://127.0.0.1:1", code: good, tokenFile: path}, "cannot be reached")
	refuse("no folder", joinOptions{url: url, code: good, tokenFile: filepath.Join(path, "x")}, "--token-file")
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
		t.Fatalf("failed attempts left %v", left)
	}

	out, err := run(joinOptions{url: url, code: "-", tokenFile: path}, good+"\n")
	if err != nil {
		t.Fatal(err)
	}
	want := "edge edge-7 of group west has joined. Its credential is in " + path + ".\n" +
		"Put this into the edge block of its Caddyfile, in the place of streams and keys:\n\n" +
		"\tid edge-7\n\tgroup west\n\tcontrol " + url + " {\n\t\ttoken_file " + path + "\n\t\tfingerprint " + pin.String() + "\n\t}\n"
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	info, err := os.Stat(path)
	b, readErr := os.ReadFile(path)
	if err != nil || readErr != nil || info.Mode().Perm() != 0o600 || string(b) != joinedCredential+"\n" {
		t.Errorf("got %q, %v, %v", b, info.Mode(), err)
	}
	refuse("twice", joinOptions{url: url, code: good, tokenFile: path}, "has joined already")
	refuse("anew, with a used code", joinOptions{url: url, code: good, tokenFile: path, replace: true}, "was used")
	if b, err := os.ReadFile(path); err != nil || string(b) != joinedCredential+"\n" {
		t.Errorf("the credential was touched: %q, %v", b, err)
	}
}
