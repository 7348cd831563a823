package controlapi

import (
	"strings"
	"testing"
)

func TestMaskSource(t *testing.T) {
	for _, tt := range []struct{ name, source, want string }{
		{"a password", "https://user:secret@origin.example/x", "https://origin.example/hidden"},
		{"a user that may be a key", "srt://secret@origin.example:9000", "srt://origin.example:9000/hidden"},
		{"a query", "srt://origin.example:9000?passphrase=secret", "srt://origin.example:9000/hidden"},
		{"a fragment", "https://origin.example#secret", "https://origin.example/hidden"},
		{"a password in the path", "http://origin.example:8080/live/user/secret/1.ts", "http://origin.example:8080/hidden"},
		{"a stream key", "rtmp://origin.example/app/secret", "rtmp://origin.example/hidden"},
		{"nothing to hide", "udp://239.0.0.1:1234", "udp://239.0.0.1:1234"},
		{"a file", "file:/srv/secret.ts", "file:hidden"},
		{"the test pattern", "test:", "test:"},
		{"what is no URL", "https://secret@%zz", "hidden"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := MaskSource(tt.source); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzMaskSource(f *testing.F) {
	for _, seed := range []string{"https://user:secret@origin.example/x?y=z#f", "rtmp://h/a/b?c", "srt://h:1?passphrase=p", "test:", "://"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		const canary = "C4N4RYpassword"
		for _, text := range []string{"https://u:" + canary + "@h.example/" + strings.TrimLeft(source, "/"), "srt://h.example:1?passphrase=" + canary + "&x=" + source, "http://h.example/live/" + canary + "/" + source} {
			if masked := MaskSource(text); strings.Contains(masked, canary) {
				t.Errorf("%q became %q", text, masked)
			}
		}
	})
}

func TestStreamSpecCheck(t *testing.T) {
	change := func(fn func(*StreamSpec)) StreamSpec {
		s := DefaultStreamSpec("https://user:secret@origin.example/x")
		fn(&s)
		return s
	}
	for _, tt := range []struct {
		name     string
		spec     StreamSpec
		operator bool
		want     Code
	}{
		{"the default", change(func(*StreamSpec) {}), false, ""},
		{"no source", change(func(s *StreamSpec) { s.Sources = nil }), true, CodeInvalid},
		{"a scheme that is not known", change(func(s *StreamSpec) { s.Sources = []string{"gopher://secret"} }), true, CodeInvalid},
		{"a file, by the operator", change(func(s *StreamSpec) { s.Sources = []string{"file:/srv/loop.ts"} }), true, ""},
		{"a file, by a reseller", change(func(s *StreamSpec) { s.Sources = []string{"file:/srv/loop.ts"} }), false, CodeInvalid},
		{"a slate of the edge's disk, by a reseller", change(func(s *StreamSpec) { s.Sources = append(s.Sources, "slate:/etc/passwd") }), false, CodeInvalid},
		{"the built-in slate, by a reseller", change(func(s *StreamSpec) { s.Sources = append(s.Sources, "slate:") }), false, ""},
		{"no replica", change(func(s *StreamSpec) { s.Replicas = 0 }), true, CodeInvalid},
		{"a source without end", change(func(s *StreamSpec) { s.Sources = []string{"https://h/" + strings.Repeat("x", 2048)} }), true, CodeInvalid},
		{"a window too short", change(func(s *StreamSpec) { s.Window = 1 }), true, CodeInvalid},
		{"less than nothing", change(func(s *StreamSpec) { s.Limits.Memory = -1 }), true, CodeInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.spec.Check(tt.operator)
			if got := CodeOf(err); got != tt.want {
				t.Errorf("got %q (%v), want %q", got, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error %v holds a source", err)
			}
		})
	}
}
