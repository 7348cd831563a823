package source

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBreaker(t *testing.T) {
	const host = "http://origin.example"
	t0 := time.Unix(1_000_000, 0)
	at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
	var returned []string
	tripped := func() *Breaker {
		returned = nil
		b := NewBreaker(func(origin string) { returned = append(returned, origin) })
		for i := range tripAfter {
			b.Failed(host, fmt.Sprint("s", i), t0)
		}
		return b
	}
	admits := func(t *testing.T, b *Breaker, origin, stream string, now time.Time, want bool) {
		t.Helper()
		again, ok := b.Admit(origin, stream, now)
		if ok != want || !ok && !again.After(now) {
			t.Errorf("Admit(%s, %s) at +%v = %v, %v, want %v", origin, stream, now.Sub(t0), again.Sub(t0), ok, want)
		}
	}
	t.Run("two failures are none", func(t *testing.T) {
		b := NewBreaker(nil)
		b.Failed(host, "a", t0)
		b.Failed(host, "b", t0)
		admits(t, b, host, "c", t0, true)
	})
	t.Run("an answer in between forgets them", func(t *testing.T) {
		b := NewBreaker(nil)
		for range 5 {
			b.Failed(host, "a", t0)
			b.Failed(host, "a", t0)
			b.Answered(host)
		}
		admits(t, b, host, "a", t0, true)
	})
	t.Run("three failures hold everybody but one prober at its time", func(t *testing.T) {
		b := tripped()
		admits(t, b, host, "a", at(500), false)
		admits(t, b, host, "a", at(1000), true)
		admits(t, b, host, "b", at(1000), false)
		admits(t, b, host, "a", at(1001), true)
		if b.Holds(host, "a") || !b.Holds(host, "b") {
			t.Error("want the prober free and the others held")
		}
	})
	t.Run("other origins are free", func(t *testing.T) {
		admits(t, tripped(), "http://other.example", "a", t0, true)
	})
	t.Run("sources without a host are free", func(t *testing.T) {
		b := tripped()
		for range 5 {
			b.Failed("", "a", t0)
		}
		admits(t, b, "", "a", t0, true)
	})
	t.Run("a failed probe makes room for the next one, later", func(t *testing.T) {
		b := tripped()
		admits(t, b, host, "a", at(1000), true)
		b.Failed(host, "a", at(1100))
		admits(t, b, host, "b", at(3000), false)
		admits(t, b, host, "b", at(3100), true)
		b.Failed(host, "b", at(3200))
		admits(t, b, host, "c", at(3200+2000), true) // not ever longer
	})
	t.Run("one that fails late does not free the probe", func(t *testing.T) {
		b := tripped()
		admits(t, b, host, "a", at(1000), true)
		b.Failed(host, "z", at(1001))
		admits(t, b, host, "b", at(9000), false)
	})
	t.Run("a prober that leaves makes room at once", func(t *testing.T) {
		b := tripped()
		admits(t, b, host, "a", at(1000), true)
		b.Left(host, "b")
		admits(t, b, host, "b", at(1000), false)
		b.Left(host, "a")
		admits(t, b, host, "b", at(1000), true)
	})
	t.Run("an answer frees and tells everybody, once", func(t *testing.T) {
		b := tripped()
		admits(t, b, host, "a", at(1000), true)
		b.Answered(host)
		b.Answered(host)
		admits(t, b, host, "b", at(1001), true)
		if diff := cmp.Diff([]string{host}, returned); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

func TestOrigin(t *testing.T) {
	for text, want := range map[string]string{
		"https://user:pw@origin.example:8443/a/b.m3u8?key=1": "https://origin.example:8443",
		"rtmp://host/live/key":                               "rtmp://host",
		"srt://host:9000":                                    "srt://host:9000",
		"udp://239.1.1.1:5000":                               "",
		"file:/media/a.ts":                                   "",
		"test:":                                              "",
	} {
		s, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Origin(); got != want {
			t.Errorf("Origin of %s = %q, want %q", s, got, want)
		}
	}
}
