package follower

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/headrace/headrace/controlapi/snapshot"
)

func TestFollow(t *testing.T) {
	c := newControl(t, nil)
	c.say(c.once(encode(t, testDocument(7))))
	e, a := new(edge), archive(t)
	f := newFollower(t, c.at(), a, e)
	run(t, f)
	until(t, "the document is applied and acknowledged", func() bool {
		acks, polls := c.heard()
		return len(acks) == 1 && len(polls) == 2
	})
	acks, polls := c.heard()
	if want := `{"epoch":1,"version":7,"outcome":"applied","reason":"","health":{"state":"healthy","score":91,`; !strings.HasPrefix(acks[0], want) {
		t.Errorf("got acknowledgement %s, want %s", acks[0], want)
	}
	if polls[0] != "have=0.0&wait=25s" || polls[1] != "have=1.7&wait=25s" {
		t.Errorf("got polls %q", polls)
	}
	if c.bearers[0] != "Bearer "+credential || !strings.Contains(c.healths[0], `"score":91`) {
		t.Errorf("got Authorization %q, health %s", c.bearers[0], c.healths[0])
	}
	if got := e.versions(); len(got) != 1 || got[0] != version(7) {
		t.Errorf("applied %v", got)
	}
	if s := f.Status(); s.Version != version(7) || s.Confirmed.IsZero() || s.Rejected != nil || s.Unsaved {
		t.Errorf("got status %+v", s)
	}
	if d, err := a.Read(version(7)); err != nil || d.Name() != version(7) {
		t.Errorf("kept: %v, %v", d, err)
	}
}

// Scenario 20: none of these is accepted, each is rejected by name, and the document in
// force and the one on the disk stay.
func TestTampering(t *testing.T) {
	good := string(encode(t, testDocument(7)))
	for _, tt := range []struct {
		name   string
		octets []byte
		reason string
	}{
		{"an older version", encode(t, testDocument(4)), "version 1.4 is not above 1.5"},
		{"the same version with other contents", encode(t, testDocument(5, func(d *snapshot.Document) { d.IssuedAt++ })), "version 1.5 is not above 1.5"},
		{"an older epoch", encode(t, testDocument(9, func(d *snapshot.Document) { d.Epoch = 0 })), "version 0.9 is not above 1.5"},
		{"another group's", encode(t, testDocument(7, func(d *snapshot.Document) { d.Group = "west" })), `group \"west\"`},
		{"another edge's", encode(t, testDocument(7, func(d *snapshot.Document) {
			d.Edges[0].ID, d.Streams[0].Primary = "edge-2", "edge-2"
		})), `does not list this edge, \"edge-1\"`},
		{"a wrong checksum", []byte(strings.Replace(good, `"issued_at":179`, `"issued_at":178`, 1)), snapshot.ErrChecksum.Error()},
		{"a short one", []byte(good[:len(good)/2]), snapshot.ErrChecksum.Error()},
		{"nothing", nil, snapshot.ErrChecksum.Error()},
		{"a web page", []byte("<html>"), snapshot.ErrChecksum.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newControl(t, nil)
			c.say(c.once(tt.octets))
			e, a := new(edge), archive(t)
			if err := a.Save(version(5), encode(t, testDocument(5))); err != nil {
				t.Fatal(err)
			}
			f := newFollower(t, c.at(), a, e)
			if err := f.Boot(e.apply); err != nil {
				t.Fatal(err)
			}
			run(t, f)
			until(t, "it is rejected by name", func() bool {
				acks, _ := c.heard()
				return len(acks) == 2
			})
			acks, _ := c.heard()
			if !strings.Contains(acks[1], `"outcome":"rejected"`) || !strings.Contains(acks[1], tt.reason) {
				t.Errorf("got acknowledgement %s, want a rejection with %q", acks[1], tt.reason)
			}
			if strings.Contains(acks[1], secret) {
				t.Error("the acknowledgement tells a secret")
			}
			if got := e.versions(); len(got) != 1 || got[0] != version(5) {
				t.Errorf("applied %v, want the kept one alone", got)
			}
			if s := f.Status(); s.Version != version(5) || s.Rejected == nil || s.Rejected.Reason == "" {
				t.Errorf("got status %+v", s)
			}
			if got := a.Versions(); len(got) != 1 || got[0] != version(5) {
				t.Errorf("kept %v", got)
			}
		})
	}
}

// Whoever is at the address must prove who he is before he hears the credential.
func TestIdentity(t *testing.T) {
	other := snapshot.Fingerprint{1}
	for _, tt := range []struct {
		name string
		pin  func(*control) snapshot.Fingerprint
		want string
	}{
		{"another certificate than the pinned one", func(*control) snapshot.Fingerprint { return other }, errIdentity.Error()},
		{"a certificate that the system does not trust", func(*control) snapshot.Fingerprint { return snapshot.Fingerprint{} }, "certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newControl(t, nil)
			c.say(c.once(encode(t, testDocument(7))))
			c.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
			e := new(edge)
			f := newFollower(t, Control{URL: c.URL, Fingerprint: tt.pin(c)}, archive(t), e)
			run(t, f)
			until(t, "there is a problem", func() bool { return f.Status().Problem != "" })
			if got := f.Status(); !strings.Contains(got.Problem, tt.want) || got.Connected {
				t.Errorf("got status %+v, want a problem with %q", got, tt.want)
			}
			if _, polls := c.heard(); len(polls) != 0 || len(e.versions()) != 0 {
				t.Errorf("it was asked %q, and %v was applied", polls, e.versions())
			}
		})
	}
}

// What the edge cannot carry out is rejected with its reason and not asked for again,
// until the edge has changed.
func TestApplyFails(t *testing.T) {
	c := newControl(t, nil)
	c.say(c.once(encode(t, testDocument(7))))
	e := new(edge)
	e.setRefuse(errTest)
	f := newFollower(t, c.at(), archive(t), e)
	run(t, f)
	until(t, "the next poll", func() bool {
		_, polls := c.heard()
		return len(polls) == 2
	})
	acks, polls := c.heard()
	if len(acks) != 1 || !strings.Contains(acks[0], `"outcome":"rejected","reason":"no encoder for stream \"news\""`) {
		t.Errorf("got acknowledgements %s", acks)
	}
	if polls[1] != "have=1.7&wait=25s" {
		t.Errorf("got poll %q, want one that does not ask for 1.7 again", polls[1])
	}
	if s := f.Status(); s.Version != (snapshot.Version{}) || s.Rejected == nil || s.Rejected.Version != version(7) || !s.Confirmed.IsZero() {
		t.Errorf("got status %+v", s)
	}
}

func TestRetryAsksAgain(t *testing.T) {
	c := newControl(t, nil)
	octets := encode(t, testDocument(7))
	c.say(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("have") == "1.7" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(octets)
	})
	e := new(edge)
	e.setRefuse(errTest)
	f := newFollower(t, c.at(), archive(t), e)
	run(t, f)
	until(t, "the rejection", func() bool { return f.Status().Rejected != nil })
	e.setRefuse(nil)
	f.Retry()
	until(t, "the document is in force", func() bool { return f.Status().Version == version(7) })
	if f.Status().Rejected != nil {
		t.Error("the rejection is still told")
	}
}

// An acknowledgement that is refused does not keep the edge from its next document.
func TestAckRefused(t *testing.T) {
	c := newControl(t, nil)
	c.ackCode = http.StatusUnprocessableEntity
	c.say(c.once(encode(t, testDocument(7))))
	f := newFollower(t, c.at(), archive(t), new(edge))
	run(t, f)
	until(t, "the next poll", func() bool {
		_, polls := c.heard()
		return len(polls) == 2
	})
	if acks, _ := c.heard(); len(acks) != 1 {
		t.Errorf("got %d acknowledgements, want 1", len(acks))
	}
}

// A new credential is used at once, and one that others may read is not.
func TestCredential(t *testing.T) {
	c := newControl(t, nil)
	c.say(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer new" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c.hold(w, r)
	})
	at := c.at()
	at.TokenFile = tokenFile(t)
	core, lines := observer.New(zap.DebugLevel)
	f := newFollower(t, at, archive(t), new(edge))
	f.log = zap.New(core)
	used := make(chan string, 100)
	f.o.UseCredential = func(text string) { used <- text }
	run(t, f)
	until(t, "the old one is refused", func() bool { return strings.Contains(f.Status().Problem, "edge join") })
	if err := os.WriteFile(at.TokenFile, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "the new one is used", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.bearers) > 1 && c.bearers[len(c.bearers)-1] == "Bearer new"
	})
	if got := <-used; got != credential {
		t.Errorf("the edge was told %q first", got)
	}
	for _, line := range lines.All() {
		if text := fmt.Sprint(line.Message, line.ContextMap()); strings.Contains(text, credential) {
			t.Errorf("the log tells the credential: %s", text)
		}
	}
	for _, tt := range []struct {
		name, content string
		mode          os.FileMode
		want          string
	}{
		{"readable by others", credential, 0o644, "chmod 600"},
		{"readable by the group", credential, 0o640, "chmod 600"},
		{"empty", "", 0o600, "edge join"},
		{"two lines", "a\nb\n", 0o600, "edge join"},
		{"a header smuggled in", "a\r\nX: y", 0o600, "edge join"},
		{"too long", strings.Repeat("a", 300), 0o600, "edge join"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := tokenFile(t)
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := readCredential(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), credential) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := readCredential("/nonexistent/edge.token"); err == nil || !strings.Contains(err.Error(), "edge join") {
		t.Errorf("a missing file: got %v", err)
	}
}

// A redirect would carry the credential elsewhere.
func TestRedirectIsNotFollowed(t *testing.T) {
	c := newControl(t, nil)
	c.say(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	f := newFollower(t, c.at(), archive(t), new(edge))
	run(t, f)
	until(t, "there is a problem", func() bool { return f.Status().Problem != "" })
	if got := f.Status().Problem; !strings.Contains(got, "302") {
		t.Errorf("got problem %q", got)
	}
}

func TestCheckURL(t *testing.T) {
	for _, good := range []string{"https://control.example", "https://control.example:8443/", "http://127.0.0.1:8090", "http://localhost:1", "http://[::1]:8090"} {
		if _, err := CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "control.example", "http://control.example", "http://10.0.0.1", "ftp://x", "https://", "https://u:p@x", "https://x?y", "https://x/#f", "https://x/api", "http://localhost.evil.example",
	} {
		if _, err := CheckURL(bad); err == nil {
			t.Errorf("accepts %q", bad)
		}
	}
}
