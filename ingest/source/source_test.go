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
		{"pushed", "push:", "push:", Push, ""},
		{"a drawn slate", "slate:", "slate:", Slate, ""},
		{"a slate's picture", "slate:/etc/card.png", "slate:/etc/card.png", Slate, ""},
		{"a slate's picture with a comma", "slate:/etc/hunter2,x.png", "", "", "rename it"},
		{"a slate by a relative path", "slate:hunter2.png", "", "", "whole path"},
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

// delayed is a policy that always waits.
type delayed time.Duration

func (d delayed) Next(time.Time, bool) (time.Duration, bool) { return time.Duration(d), false }

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
		o.TriedBeside(0, at(10), false)
		if _, when, _ = o.Preferred(1); !when.Equal(at(30)) {
			t.Errorf("got %v, want not before %v", when, at(30))
		}
		o.TriedBeside(0, at(30), true)
		if _, when, _ = o.Preferred(1); !when.Equal(at(35)) {
			t.Errorf("got %v over a slate, want %v", when, at(35))
		}
		if _, _, ok = o.Preferred(0); ok {
			t.Error("there is nothing better than the preferred source")
		}
	})
	t.Run("takes the same one up again even if it must wait a little", func(t *testing.T) {
		o := NewOrder(2, func() Policy { return &counting{} })
		o.entries[0].policy = delayed(100 * time.Millisecond)
		o.Running(0)
		o.Ended(0, t0, true)
		wantNext(t, o, t0, 0, t0.Add(100*time.Millisecond))
		o.Ended(0, at(1), false)
		wantNext(t, o, at(1), 1, at(1))
	})
	t.Run("passes over a pushed source without a publisher", func(t *testing.T) {
		o := order()
		o.Attend(0, false, time.Time{})
		wantNext(t, o, t0, 1, t0)
		if _, _, ok := o.Preferred(1); ok {
			t.Error("a publisher that is away is preferred to the backup")
		}
		o.Running(1)
		if !o.Attend(0, true, time.Time{}) || o.Attend(0, true, time.Time{}) {
			t.Error("an arrival is news once")
		}
		if index, when, ok := o.Preferred(1); index != 0 || when.After(t0) || !ok {
			t.Errorf("got %d at %v (%v) after the arrival, want 0 at once", index, when, ok)
		}
	})
	t.Run("waits for a publisher that viewers saw last", func(t *testing.T) {
		o := order()
		o.Running(0)
		o.Ended(0, t0, true)
		o.Attend(0, false, at(10))
		wantNext(t, o, at(1), 0, at(10))
		wantNext(t, o, at(10), 1, at(10))
		o.Attend(0, true, time.Time{})
		wantNext(t, o, at(11), 0, at(11))
	})
	t.Run("does not wait for a publisher that viewers did not see", func(t *testing.T) {
		o := order()
		o.Running(1)
		o.Attend(0, false, at(10))
		wantNext(t, o, t0, 1, t0)
	})
	t.Run("has nobody to start when all are away", func(t *testing.T) {
		o := NewOrder(1, func() Policy { return &counting{} })
		o.Attend(0, false, time.Time{})
		if index, when := o.Next(t0); index != Nobody || !when.After(t0) || o.Failed() {
			t.Errorf("got %d at %v, failed %v", index, when, o.Failed())
		}
	})
	t.Run("has the next one that may start as standby", func(t *testing.T) {
		o := order()
		o.Ended(1, t0, false)
		if index, ok := o.Standby(0, t0); index != 2 || !ok {
			t.Errorf("got %d (%v), want 2", index, ok)
		}
		if _, ok := o.Standby(2, t0); ok {
			t.Error("there is nothing behind the last")
		}
	})
	t.Run("goes to the next one when the one that delivered is held", func(t *testing.T) {
		o := order()
		o.Running(0)
		o.Ended(0, t0, true)
		wantNext(t, o, t0, 0, t0)
		o.Hold(0, at(5))
		wantNext(t, o, t0, 1, t0)
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
