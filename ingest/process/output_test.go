package process

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// deaf returns an output that nobody reads nor listens to; tests feed it.
func deaf() *output { return newOutput(nil, nil) }

func TestFeed(t *testing.T) {
	long := strings.Repeat("é", maxLine)
	for _, tc := range []struct {
		name   string
		chunks []string
		want   []string
	}{
		{"nothing", nil, []string{}},
		{"one line", []string{"a\n"}, []string{"a"}},
		{"lines in one read", []string{"a\nb\nc"}, []string{"a", "b", "c"}},
		{"line over reads", []string{"fr", "am", "e\nx"}, []string{"frame", "x"}},
		{"empty lines", []string{"\n\na\n\n\nb\n"}, []string{"a", "b"}},
		{"carriage returns", []string{"10 %\r20 %\r\ndone\r", "\n"}, []string{"10 %", "20 %", "done"}},
		{"cut exactly", []string{strings.Repeat("x", maxLine), "\ny"}, []string{strings.Repeat("x", maxLine), "y"}},
		{"cut", []string{strings.Repeat("x", maxLine-1), "yz", "z\na\n"}, []string{strings.Repeat("x", maxLine-1) + "y", "a"}},
		{"cut between runes", []string{long + "\n"}, []string{strings.Repeat("é", maxLine/2)}},
		{"cut within a rune", []string{"x" + long + "\n"}, []string{"x" + strings.Repeat("é", maxLine/2-1) + "?"}},
		{"not text", []string{"a\xff\xfeb\n"}, []string{"a?b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := deaf()
			for _, c := range tc.chunks {
				o.feed(time.Time{}, []byte(c))
			}
			o.endLine(time.Time{})
			if diff := cmp.Diff(tc.want, texts(o.tail.lines())); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOnLineRate feeds lines by a clock of its own and drains the channel at once, as a fast OnLine does.
func TestOnLineRate(t *testing.T) {
	o := newOutput(nil, func(string) {})
	began := time.Unix(1000, 0)
	write := func(at time.Duration, n int) (heard []string) {
		for i := range n {
			o.feed(began.Add(at), fmt.Appendf(nil, "%v %d\n", at, i))
			for len(o.lines) > 0 {
				heard = append(heard, <-o.lines)
			}
		}
		return heard
	}
	if got := write(0, 50); len(got) != 50 {
		t.Errorf("50 lines at once: heard %d, want all", len(got))
	}
	if got := write(999*time.Millisecond, 70); len(got) != 0 {
		t.Errorf("70 more in the same second: heard %q, want none", got)
	}
	if diff := cmp.Diff([]string{"(70 lines left out)", "1s 0", "1s 1"}, write(time.Second, 2)); diff != "" {
		t.Errorf("the next second (-want +got):\n%s", diff)
	}
	// The count takes a place, too: 50 calls in a second, whatever they say.
	if got := write(1500*time.Millisecond, 60); len(got) != 47 {
		t.Errorf("the rest of that second: heard %d, want 47", len(got))
	}
	if diff := cmp.Diff([]string{"(13 lines left out)", "1h0m0s 0"}, write(time.Hour, 1)); diff != "" {
		t.Errorf("an hour later (-want +got):\n%s", diff)
	}
}

// TestFinishReadsWhatIsLeft ends the reading before it began, while somebody still holds the pipe open.
func TestFinishReadsWhatIsLeft(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := io.WriteString(w, strings.Repeat("x\n", pipeSize/2-2)+"end"); err != nil {
		t.Fatal(err)
	}
	if err := r.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	o := newOutput(r, nil)
	o.start()
	o.finish(time.Minute)
	lines := o.tail.lines()
	if len(lines) != tailLines || lines[tailLines-1].Text != "end" {
		t.Errorf("%d lines, want %d and the last one to be the end", len(lines), tailLines)
	}
}

func TestOfferNeverWaits(t *testing.T) {
	o := newOutput(nil, func(string) {})
	now := time.Unix(1000, 0)
	for i := range 1000 { // nobody takes from the channel
		o.feed(now.Add(time.Duration(i)*time.Second), []byte("x\n"))
	}
	if got, want := o.missed, 1000-cap(o.lines); got != want {
		t.Errorf("missed = %d, want %d", got, want)
	}
}

func FuzzFeed(f *testing.F) {
	f.Add([]byte("[warning] DTS 1 out of order\nframe=1\rframe=2\r\n"), uint8(3))
	f.Add([]byte(strings.Repeat("x", 3*maxLine)+"\n\n\xff\xc3"), uint8(200))
	f.Add([]byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, text []byte, step uint8) {
		whole, pieces := deaf(), deaf()
		whole.feed(time.Time{}, text)
		for piece := range slices.Chunk(text, int(step)+1) {
			pieces.feed(time.Time{}, piece)
		}
		whole.endLine(time.Time{})
		pieces.endLine(time.Time{})
		got := texts(pieces.tail.lines())
		if diff := cmp.Diff(texts(whole.tail.lines()), got); diff != "" {
			t.Errorf("lines depend on how they are read (-whole +pieces):\n%s", diff)
		}
		for _, line := range got {
			if line == "" || len(line) > maxLine || !utf8.ValidString(line) || strings.ContainsAny(line, "\r\n") {
				t.Errorf("line %q breaks its promise", line)
			}
		}
	})
}

func BenchmarkFeed(b *testing.B) {
	o := newOutput(nil, func(string) {})
	chunk := []byte(strings.Repeat("[warning] packet corrupt (stream = 0, dts = 123456789).\n", readSize/56))
	now := time.Now()
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		o.feed(now, chunk)
	}
}
