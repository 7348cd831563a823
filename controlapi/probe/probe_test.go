package probe

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	key   = DeriveKey("hre_00000001_0000000000000000000000000000000000000000000")
	other = DeriveKey("hre_00000002_0000000000000000000000000000000000000000000")
	body  = []byte(`{"edge_id":"edge-1"}`)
)

func TestQuestionAndAnswer(t *testing.T) {
	gate := NewGate()
	asked := Ask("edge-1", gate.Now())
	heard, err := gate.Admit(key, "edge-1", asked.Header(key))
	if err != nil {
		t.Fatal(err)
	}
	at := gate.Now()
	got, err := asked.Verify(key, heard.Answer(key, 200, at, body), 200, body)
	if err != nil || got.UnixMilli() != at.UnixMilli() {
		t.Errorf("got %v, %v, want %v", got, err, at)
	}
}

func TestAdmitRefuses(t *testing.T) {
	gate := NewGate()
	q := Ask("edge-1", gate.Now())
	good := q.Header(key)
	parts := strings.Split(good, " ")
	with := func(i int, text string) string {
		changed := append([]string(nil), parts...)
		changed[i] = text
		return strings.Join(changed, " ")
	}
	for _, tt := range []struct {
		name   string
		header string
		want   error
	}{
		{"no header", "", ErrMalformed},
		{"another version", with(0, "v2"), ErrMalformed},
		{"one part more", good + " x", ErrMalformed},
		{"one part less", strings.Join(parts[:4], " "), ErrMalformed},
		{"two spaces", strings.Replace(good, " ", "  ", 1), ErrMalformed},
		{"a time with a sign", with(2, "+"+parts[2]), ErrMalformed},
		{"a time with a zero before it", with(2, "0"+parts[2]), ErrMalformed},
		{"a time beyond thirteen digits", with(2, "99999999999999"), ErrMalformed},
		{"a negative time", with(2, "-1"), ErrMalformed},
		{"no edge", with(1, ""), ErrMalformed},
		{"an edge with a long name", with(1, strings.Repeat("e", 33)), ErrMalformed},
		{"a nonce in upper case", with(3, strings.Repeat("AB", 16)), ErrMalformed},
		{"a short nonce", with(3, parts[3][2:]), ErrMalformed},
		{"a nonce that is no number", with(3, strings.Repeat("zz", 16)), ErrMalformed},
		{"far too long", good + strings.Repeat("0", 300), ErrMalformed},
		{"another edge's name", with(1, "edge-2"), ErrForged},
		{"another time", with(2, "1"), ErrForged},
		{"another nonce", with(3, strings.Repeat("ab", 16)), ErrForged},
		{"another signature", with(4, strings.Repeat("0", 64)), ErrForged},
		{"a signature in upper case", with(4, strings.ToUpper(parts[4])), ErrForged},
		{"half a signature", with(4, parts[4][:32]), ErrForged},
		{"no signature", with(4, ""), ErrForged},
		{"signed with another edge's key", q.Header(other), ErrForged},
		{"well signed, for another edge", Ask("edge-2", gate.Now()).Header(key), ErrForged},
		{"an answer in place of a question", q.Answer(key, 200, gate.Now(), body), ErrMalformed},
		{"from before the edge started", Ask("edge-1", gate.Now().Add(-time.Second)).Header(key), ErrStale},
		{"from far ahead", Ask("edge-1", gate.Now().Add(Window+time.Minute)).Header(key), ErrStale},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := gate.Admit(key, "edge-1", tt.header); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := gate.Admit(key, "edge-1", good); err != nil {
		t.Errorf("the good one is refused after these: %v", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	gate := NewGate()
	q := Ask("edge-1", gate.Now())
	good := q.Answer(key, 200, gate.Now(), body)
	parts := strings.Split(good, " ")
	for _, tt := range []struct {
		name   string
		header string
		status int
		body   string
		want   error
	}{
		{"no header", "", 200, string(body), ErrMalformed},
		{"the question sent back", q.Header(key), 200, string(body), ErrMalformed},
		{"the question's signature sent back", strings.Join([]string{"v1", parts[1], strings.Fields(q.Header(key))[4]}, " "), 200, string(body), ErrForged},
		{"a time that is none", "v1 now " + parts[2], 200, string(body), ErrMalformed},
		{"another time", "v1 1 " + parts[2], 200, string(body), ErrForged},
		{"another status code", good, 401, string(body), ErrForged},
		{"another body", good, 200, `{"edge_id":"edge-2"}`, ErrForged},
		{"an answer to another question", Ask("edge-1", gate.Now()).Answer(key, 200, gate.Now(), body), 200, string(body), ErrForged},
		{"another edge's answer", q.Answer(other, 200, gate.Now(), body), 200, string(body), ErrForged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := q.Verify(key, tt.header, tt.status, []byte(tt.body)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// TestReplay plays a question back at every moment until long after it is stale.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate()
		time.Sleep(time.Minute)
		header := Ask("edge-1", gate.Now().Add(Window)).Header(key) // as far ahead as may be: it stays good longest
		if _, err := gate.Admit(key, "edge-1", header); err != nil {
			t.Fatal(err)
		}
		for range 200 {
			if _, err := gate.Admit(key, "edge-1", header); !errors.Is(err, ErrReplayed) && !errors.Is(err, ErrStale) {
				t.Fatalf("after %v: got %v", time.Since(gate.started), err)
			}
			time.Sleep(700 * time.Millisecond)
			if _, err := gate.Admit(key, "edge-1", Ask("edge-1", gate.Now()).Header(key)); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(gate.heard); got > 2*int(Window/(700*time.Millisecond)) {
			t.Errorf("the gate remembers %d questions, of which most are stale", got)
		}
		// An edge that was started again has forgotten everything.
		if _, err := NewGate().Admit(key, "edge-1", header); !errors.Is(err, ErrStale) {
			t.Errorf("after a restart: got %v, want %v", err, ErrStale)
		}
	})
}

// TestAskAgain is an asker whose clock is ten minutes off.
func TestAskAgain(t *testing.T) {
	gate := NewGate()
	q := Ask("edge-1", gate.Now().Add(-10*time.Minute))
	heard, err := gate.Admit(key, "edge-1", q.Header(key))
	if !errors.Is(err, ErrStale) {
		t.Fatalf("got %v, want %v", err, ErrStale)
	}
	at, err := q.Verify(key, heard.Answer(key, 401, gate.Now(), nil), 401, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gate.Admit(key, "edge-1", Ask("edge-1", at).Header(key)); err != nil {
		t.Errorf("asked by the edge's time: %v", err)
	}
}

func TestGateIsBounded(t *testing.T) {
	gate := NewGate()
	for range mostRemembered {
		if _, err := gate.Admit(key, "edge-1", Ask("edge-1", gate.Now()).Header(key)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := gate.Admit(key, "edge-1", Ask("edge-1", gate.Now()).Header(key)); !errors.Is(err, ErrReplayed) {
		t.Errorf("got %v: what cannot be remembered must not be let in", err)
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(verb, key); got != "probe key" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

func FuzzAdmit(f *testing.F) {
	f.Add(Ask("edge-1", time.Now()).Header(key))
	f.Add("v1 edge-1 1 00 00")
	f.Add("v1    ")
	f.Fuzz(func(t *testing.T, header string) {
		q, err := NewGate().Admit(key, "edge-1", header)
		if err == nil || errors.Is(err, ErrStale) {
			// One meaning has one spelling.
			if again := q.Header(key); again != header {
				t.Errorf("%q was let in as %q", header, again)
			}
		}
	})
}
