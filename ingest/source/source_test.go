package source

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
		kind             Kind
		err              string
	}{
		{"https playlist", "https://user:hunter2@origin.example:8443/news.m3u8?key=hunter2", "https://origin.example:8443/news.m3u8", HTTP, ""},
		{"rtmp hides its key", "rtmp://host/live/hunter2", "rtmp://host", RTMP, ""},
		{"srt", "srt://host:9000?passphrase=hunter2", "srt://host:9000", SRT, ""},
		{"udp multicast", "udp://239.1.1.1:5000", "udp://239.1.1.1:5000", UDP, ""},
		{"file", "file:/media/a b.ts", "file:/media/a b.ts", File, ""},
		{"file as URL", "file:///media/a.ts", "file:/media/a.ts", File, ""},
		{"test pattern", "test:", "test:", Test, ""},
		{"unknown scheme", "gopher://hunter2/", "", "", `scheme "gopher" is not supported`},
		{"no scheme", "/etc/hunter2", "", "", "not a URL"},
		{"an option", "-i hunter2", "", "", "not a URL"},
		{"no host", "http:///hunter2", "", "", "names no host"},
		{"no file", "file:", "", "", "names no file"},
		{"newline", "http://host/\nhunter2", "", "", "control character"},
		{"nothing", "", "", "", "not a URL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Parse(tt.text)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "hunter2") {
					t.Fatalf("got %v, want an error with %q and without the text", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := s.String(); got != tt.want || s.Kind() != tt.kind {
				t.Errorf("got %s %q, want %s %q", s.Kind(), got, tt.kind, tt.want)
			}
			line := "[error] " + tt.text + ": failed"
			for _, secret := range s.Secrets() {
				line = strings.ReplaceAll(line, secret, "[redacted]")
			}
			if strings.Contains(line, "hunter2") {
				t.Errorf("a log line still tells the secret: %s", line)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"https://u:p@h/x?k=v", "test:", "file:x", "udp://h:1", "rtmp://h/a/b", "%", "http://[::1]:80/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		options := s.Input(Place{Stream: "name", Height: 360, List: "/state/list"}).Options
		if len(options) < 2 || options[len(options)-2] != "-i" || strings.HasPrefix(options[len(options)-1], "-") {
			t.Errorf("%q gives the options %q, want an address behind -i that is no option", text, options)
		}
	})
}

// counting is a policy with a fixed delay that fails for good after some failures.
type counting struct {
	delay    time.Duration
	failures int
}

func (c *counting) Next(_ time.Time, delivered bool) (time.Duration, bool) {
	if delivered {
		c.failures = 0
		return 0, false
	}
	c.failures++
	return c.delay, c.failures >= 3
}

func TestOrder(t *testing.T) {
	t0 := time.Unix(1_000_000, 0)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	order := func() *Order { return NewOrder(3, func() Policy { return &counting{delay: 10 * time.Second} }) }
	t.Run("begins with the preferred one", func(t *testing.T) {
		wantNext(t, order(), t0, 0, t0)
	})
	t.Run("goes to the next when one does not deliver", func(t *testing.T) {
		o := order()
		o.Ended(0, t0, false)
		wantNext(t, o, t0, 1, t0)
		o.Ended(1, at(1), false)
		wantNext(t, o, at(1), 2, at(1))
		o.Ended(2, at(2), false)
		wantNext(t, o, at(2), 0, at(10))
	})
	t.Run("takes up a backup that was delivering", func(t *testing.T) {
		o := order()
		o.Ended(0, t0, false)
		o.Ended(1, at(60), true)
		wantNext(t, o, at(60), 1, at(60))
	})
	t.Run("tries the preferred ones beside a backup", func(t *testing.T) {
		o := order()
		o.Ended(0, t0, false)
		index, when, ok := o.Preferred(1)
		if index != 0 || !when.Equal(at(10)) || !ok {
			t.Errorf("got %d at %v (%v), want 0 at %v", index, when, ok, at(10))
		}
		o.TriedBeside(0, at(10))
		if _, when, _ = o.Preferred(1); !when.Equal(at(30)) {
			t.Errorf("got %v, want not before %v", when, at(30))
		}
		if _, _, ok = o.Preferred(0); ok {
			t.Error("there is nothing better than the preferred source")
		}
	})
	t.Run("has failed when all have", func(t *testing.T) {
		o := order()
		for i := range 3 {
			for range 3 {
				if o.Failed() {
					t.Fatal("failed too early")
				}
				o.Ended(i, t0, false)
			}
		}
		if !o.Failed() {
			t.Fatal("want failed")
		}
		o.Running(1)
		if o.Failed() {
			t.Error("one delivers: not failed")
		}
	})
}

func wantNext(t *testing.T, o *Order, now time.Time, index int, at time.Time) {
	t.Helper()
	gotIndex, gotAt := o.Next(now)
	if gotIndex != index || !gotAt.Equal(at) {
		t.Errorf("got source %d at %v, want %d at %v", gotIndex, gotAt, index, at)
	}
}
