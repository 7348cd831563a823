package snapshot

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Version
		ok   bool
	}{
		{"0.0", Version{}, true},
		{"3.41", Version{3, 41}, true},
		{"1.9223372036854775807", Version{1, 1<<63 - 1}, true},
		{"", Version{}, false},
		{"3", Version{}, false},
		{"3.", Version{}, false},
		{"3.41.1", Version{}, false},
		{"03.41", Version{}, false},
		{"+3.41", Version{}, false},
		{"-3.41", Version{}, false},
		{"3.9223372036854775808", Version{}, false},
	} {
		got, err := ParseVersion(tt.text)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q: got %v, %v", tt.text, got, err)
		}
		if tt.ok && got.String() != tt.text {
			t.Errorf("%q: is written %s", tt.text, got)
		}
	}
	ascending := []Version{{}, {0, 1}, {1, 0}, {1, 7}, {2, 3}}
	for i, a := range ascending {
		for j, b := range ascending {
			if got := a.Compare(b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%v to %v: got %d", a, b, got)
			}
		}
	}
}

func TestJoinCode(t *testing.T) {
	pin := Fingerprint{1, 2, 3}
	for _, c := range []JoinCode{{Secret: "hrj_abc"}, {"hrj_abc-DEF_1", pin}} {
		if got, err := ParseJoinCode(c.Text()); err != nil || got != c {
			t.Errorf("%s: got %s, %v", c.Text(), got.Text(), err)
		}
	}
	for _, text := range []string{"", ".", "a b", "a.", "a.12", "a." + strings.Repeat("0", 64), "a." + pin.String() + "00", "a/b", strings.Repeat("a", 129)} {
		if _, err := ParseJoinCode(text); err == nil {
			t.Errorf("accepts %q", text)
		}
	}
}

func TestParseFingerprint(t *testing.T) {
	want := Fingerprint{0: 0xab, 31: 0x01}
	colons := strings.ToUpper(want.String()[:2])
	for i := 2; i < 64; i += 2 {
		colons += ":" + want.String()[i:i+2]
	}
	for _, text := range []string{want.String(), strings.ToUpper(want.String()), colons} {
		if got, err := ParseFingerprint(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "00", want.String() + "00", "g" + want.String()[1:]} {
		if _, err := ParseFingerprint(text); err == nil {
			t.Errorf("accepts %q", text)
		}
	}
}

func TestAckCheck(t *testing.T) {
	negative := int64(-1)
	for _, tt := range []struct {
		name   string
		change func(*Ack)
		want   string
	}{
		{"good", func(*Ack) {}, ""},
		{"no outcome", func(a *Ack) { a.Outcome = "" }, "outcome"},
		{"a negative version", func(a *Ack) { a.Number = -1 }, "negative"},
		{"a reason of two lines", func(a *Ack) { a.Reason = "one\ntwo" }, "one line"},
		{"a long reason", func(a *Ack) { a.Reason = strings.Repeat("x", MaxReason+1) }, "one line"},
		{"a state with a newline", func(a *Ack) { a.Health.State = "x\n" }, "state"},
		{"a score above all", func(a *Ack) { a.Health.Score = 101 }, "score"},
		{"less than nothing to send", func(a *Ack) { a.Health.Egress = &negative }, "negative"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := Ack{Version: Version{1, 2}, Outcome: Rejected, Reason: "no", Health: Health{State: "healthy", Score: 90}}
			tt.change(&a)
			err := a.Check()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	long := strings.Repeat("é", MaxReason)
	if got := Reason(long + "\x00\xff"); len(got) > MaxReason || got != Reason(got) {
		t.Errorf("got a reason of %d octets", len(got))
	}
}

func TestAckIsFlat(t *testing.T) {
	b, err := json.Marshal(Ack{Version: Version{3, 41}, Outcome: Applied})
	if err != nil || !strings.HasPrefix(string(b), `{"epoch":3,"version":41,"outcome":"applied","reason":"",`) {
		t.Errorf("got %s, %v", b, err)
	}
}
