package controlapi

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestCredential(t *testing.T) {
	c := NewCredential(APIKeyCredential)
	if want := regexp.MustCompile(`^hrk_[0-9a-z]{8}_[A-Za-z0-9_-]{43}$`); !want.MatchString(c.Text.Reveal()) {
		t.Error("it does not look like one")
	}
	id, hash, ok := ParseCredential(APIKeyCredential, c.Text.Reveal())
	if !ok || id != c.ID || hash != c.Hash {
		t.Errorf("got %s, %v, want it read back", id, ok)
	}
	text := c.Text.Reveal()
	for _, bad := range []string{"", text[:len(text)-1], text + "x", "hre" + text[3:], strings.Replace(text, "_", "-", 1), "hrk_" + strings.ToUpper(text[4:12]) + "!" + text[13:], "hrk_абвг_" + text[13:]} {
		if _, _, ok := ParseCredential(APIKeyCredential, bad); ok {
			t.Errorf("%q is taken for a credential", bad)
		}
	}
}

func FuzzParseCredential(f *testing.F) {
	f.Add(NewCredential(APIKeyCredential).Text.Reveal())
	f.Add("hrk_00000000_")
	f.Add("hrk_________________________________________________________")
	f.Fuzz(func(t *testing.T, text string) {
		id, _, ok := ParseCredential(APIKeyCredential, text)
		if ok && (len(text) != credentialLength || !strings.HasPrefix(text, "hrk_"+id+"_") || strings.ContainsAny(id, "_%' ")) {
			t.Errorf("%q is taken for a credential with the id %q", text, id)
		}
	})
}

func TestSecretIsNotPrinted(t *testing.T) {
	secret := Secret("canary")
	text, err := json.Marshal(struct{ S Secret }{secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{fmt.Sprint(secret), fmt.Sprintf("%s %q %v %+v %#v %x", secret, secret, secret, secret, secret, secret), fmt.Sprintf("%+v", SigningKey{Secret: secret}), string(text)} {
		if strings.Contains(got, "canary") || strings.Contains(got, "63616e617279") {
			t.Errorf("got %s", got)
		}
	}
}

func TestNewID(t *testing.T) {
	last := ""
	for range 1000 {
		id := NewID()
		if err := CheckID("stream", id); err != nil || len(id) != 32 || id <= last {
			t.Fatalf("got %s behind %s: %v", id, last, err)
		}
		last = id
	}
	for _, bad := range []string{"", "a b", "a.b", "ä", strings.Repeat("a", 33), "a:b", "../x"} {
		if CodeOf(CheckID("stream", bad)) != CodeInvalid {
			t.Errorf("%q is taken for an id", bad)
		}
	}
}
