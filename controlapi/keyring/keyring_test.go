package keyring

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var place = Place{Table: "signing_keys", Row: "0197", Column: "secret"}

func open(t *testing.T) (*Keyring, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "folder", "keys")
	k, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return k, path
}

func seal(t *testing.T, k *Keyring, secret string) string {
	t.Helper()
	sealed, err := k.Seal(place, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestSealedIsReadByItsKeyringOnly(t *testing.T) {
	k, path := open(t)
	sealed := seal(t, k, "hunter2")
	if strings.Contains(sealed, "hunter2") {
		t.Errorf("the secret stands in %q", sealed)
	}
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Unseal(place, sealed); err != nil || string(got) != "hunter2" {
		t.Errorf("got %q, %v, want the secret", got, err)
	}
	stranger, _ := open(t)
	if _, err := stranger.Unseal(place, sealed); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("another keyring: got %v, want ErrUnknownKey", err)
	}
	if other := seal(t, k, "hunter2"); other == sealed {
		t.Error("the same secret is sealed to the same text twice: equal secrets can be told")
	}
}

func TestUnsealRefuses(t *testing.T) {
	k, _ := open(t)
	sealed := seal(t, k, "hunter2")
	parts := strings.Split(sealed, ":")
	flipped := []byte(parts[2])
	flipped[20] ^= 1
	for _, tt := range []struct {
		name   string
		at     Place
		sealed string
		want   error // nil: any
	}{
		{"another row", Place{place.Table, "0198", place.Column}, sealed, ErrTampered},
		{"another column", Place{place.Table, place.Row, "note"}, sealed, ErrTampered},
		{"another table", Place{"api_keys", place.Row, place.Column}, sealed, ErrTampered},
		{"no row", Place{place.Table, "", place.Column}, sealed, nil},
		{"a row with a separator", Place{place.Table, "1:2", place.Column}, sealed, nil},
		{"one bit changed", place, parts[0] + ":" + parts[1] + ":" + string(flipped), nil},
		{"cut short", place, parts[0] + ":" + parts[1] + ":" + parts[2][:8], ErrTampered},
		{"another version", place, "v2:" + parts[1] + ":" + parts[2], nil},
		{"plain text", place, "hunter2", nil},
		{"nothing", place, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := k.Unseal(tt.at, tt.sealed)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %q, %v, want %v", got, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

func TestRotate(t *testing.T) {
	k, path := open(t)
	old := seal(t, k, "hunter2")
	rotated, err := Rotate(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := rotated.Unseal(place, old); err != nil || string(got) != "hunter2" {
		t.Errorf("after a rotation: got %q, %v, want the secret", got, err)
	}
	if rotated.IsCurrent(old) || !rotated.IsCurrent(seal(t, rotated, "x")) || rotated.IsCurrent("plain") {
		t.Error("want only what was sealed anew to be current")
	}
	retired, err := Retire(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := retired.Unseal(place, old); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("after the old key has left: got %v, want ErrUnknownKey", err)
	}
	if got, err := retired.Unseal(place, seal(t, rotated, "new")); err != nil || string(got) != "new" {
		t.Errorf("after the old key has left: got %q, %v, want what the new one sealed", got, err)
	}
}

func TestFileIsForItsOwner(t *testing.T) {
	_, path := open(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v, want to hear how to mend it", err)
	}
}

func TestTwoProgramsMakeOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	var all sync.WaitGroup
	rings := make([]*Keyring, 16)
	for i := range rings {
		all.Go(func() {
			k, err := Open(path)
			if err != nil {
				t.Error(err)
			}
			rings[i] = k
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	sealed := seal(t, rings[0], "hunter2")
	for i, k := range rings {
		if _, err := k.Unseal(place, sealed); err != nil {
			t.Errorf("program %d has another key: %v", i, err)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v, %v, want the key file alone", left, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := string(format([]key{newKey()}))
	for name, text := range map[string]string{
		"an empty file":   "",
		"comments only":   header,
		"a key cut short": good[:len(good)-5],
		"an id too short": header + "abc " + strings.Repeat("A", 43) + "=\n",
		"the same twice":  good + strings.TrimPrefix(good, header),
		"something else":  "hunter2 hunter2\n",
		"far too much":    strings.Repeat("#", maxFile+1),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path)
			if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want an error that names the file, not its contents", err)
			}
			if after, _ := os.ReadFile(path); string(after) != text {
				t.Error("the file was changed")
			}
		})
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add(format([]key{newKey(), newKey()}))
	f.Add([]byte("# nothing\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseFile(text)
		if err != nil {
			return
		}
		again, err := parseFile(format(keys))
		if err != nil || len(again) != len(keys) || !bytes.Equal(again[0].bytes[:], keys[0].bytes[:]) {
			t.Errorf("written and read again: %v, %v", again, err)
		}
	})
}

func FuzzUnseal(f *testing.F) {
	k, err := newKeyring([]key{newKey()})
	if err != nil {
		f.Fatal(err)
	}
	good, err := k.Seal(place, []byte("secret"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("v1::")
	f.Fuzz(func(t *testing.T, sealed string) {
		if secret, err := k.Unseal(place, sealed); err == nil && sealed != good {
			t.Errorf("%q is taken for a sealed secret: %q", sealed, secret)
		}
	})
}
