package origin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// serve puts the usual loop on the air.
func serve(t *testing.T, r Recipe, o Options) (*Server, *Feed) {
	t.Helper()
	s, err := NewServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, s.Add("news", makeLoop(t, r), o)
}

func open(t *testing.T, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// readFor reads what comes within d.
func readFor(t *testing.T, url string, d time.Duration) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	return b[:len(b)/packetSize*packetSize]
}

// span is the media time from the first to the last DTS of the pictures.
func span(ts []byte) time.Duration {
	first, last := int64(-1), int64(0)
	for at := 0; at < len(ts); at += packetSize {
		if pes := packet(ts[at : at+packetSize]).pes(); pes != nil && isVideo(pes) {
			_, dts := times(pes)
			if first < 0 {
				first = dts
			}
			last = dts
		}
	}
	return time.Duration(last-first) * time.Second / clockRate
}

func TestStreamKeepsTheTime(t *testing.T) {
	tests := []struct {
		name        string
		options     Options
		least, most time.Duration
	}{
		{"a live join gets what comes", Options{Live: true}, 2500 * time.Millisecond, 3100 * time.Millisecond},
		{"a join at a keyframe gets up to a GOP more", Options{}, 2500 * time.Millisecond, 5100 * time.Millisecond},
		{"the stamps wrap", Options{Live: true, Base: WrapsAt - History - time.Second}, 2500 * time.Millisecond, 3100 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, f := serve(t, Recipe{}, tt.options)
			ts := readFor(t, s.URL(f), 3*time.Second)
			checkEndless(t, ts)
			if strings.Contains(tt.name, "wrap") {
				return // checkEndless has counted through it
			}
			if got := span(ts); got < tt.least || got > tt.most {
				t.Errorf("got %v of media in 3 s, want %v to %v", got, tt.least, tt.most)
			}
		})
	}
}

func TestClientsSeeTheSame(t *testing.T) {
	s, f := serve(t, Recipe{}, Options{})
	results := make(chan []byte, 2)
	for range 2 {
		go func() { results <- readFor(t, s.URL(f), 1500*time.Millisecond) }()
	}
	a, b := <-results, <-results
	if i := bytes.Index(a, b[:min(len(b), 2000)]); i < 0 {
		a, b = b, a
	}
	i := bytes.Index(a, b[:min(len(b), 2000)])
	if i < 0 {
		t.Fatal("two clients share no packets")
	}
	if n := min(len(a)-i, len(b)); !bytes.Equal(a[i:i+n], b[:n]) {
		t.Error("two clients saw different packets")
	}
}

func TestFeedIsTroubled(t *testing.T) {
	s, f := serve(t, Recipe{}, Options{})
	tests := []struct {
		name   string
		act    func()
		status int
		check  func(body []byte) bool
	}{
		{"stopped", f.Stop, http.StatusNotFound, nil},
		{"refused", func() { f.Answer(http.StatusForbidden, "text/plain", "no") }, http.StatusForbidden, nil},
		{"a page", func() { f.Answer(http.StatusOK, "text/html", "<html>") }, http.StatusOK, func(b []byte) bool { return string(b) == "<html>" }},
		{"hanging", f.Hang, http.StatusOK, func(b []byte) bool { return len(b) == 0 }},
		{"garbled", f.Garble, http.StatusOK, func(b []byte) bool { return len(b) > packetSize && b[0] != syncByte || b[packetSize] != syncByte }},
		{"healed", f.Heal, http.StatusOK, func(b []byte) bool { return len(b) > 0 && b[0] == syncByte }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.act()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL(f), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != tt.status {
				t.Errorf("got status %d, want %d", resp.StatusCode, tt.status)
			}
			body, _ := io.ReadAll(resp.Body) // ends with the time
			if tt.check != nil && !tt.check(body) {
				t.Errorf("got %d bytes that do not fit", len(body))
			}
		})
	}
}

func TestStopClosesConnections(t *testing.T) {
	s, f := serve(t, Recipe{}, Options{})
	resp := open(t, s.URL(f))
	if _, err := io.ReadFull(resp.Body, make([]byte, packetSize)); err != nil {
		t.Fatal(err)
	}
	f.Stop()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}

func TestPlayChangesAtTheGrid(t *testing.T) {
	s, f := serve(t, Recipe{}, Options{})
	resp := open(t, s.URL(f))
	f.Play(makeLoop(t, Recipe{Height: 240, Audio: None}))
	// From the change on, the first picture is a keyframe on the grid.
	buf := make([]byte, packetSize)
	sound := time.Now()
	for time.Since(sound) < 500*time.Millisecond {
		if _, err := io.ReadFull(resp.Body, buf); err != nil {
			t.Fatal(err)
		}
		if pes := packet(buf).pes(); pes != nil && !isVideo(pes) {
			sound = time.Now()
		}
		if time.Since(f.start) > History+10*time.Second {
			t.Fatal("the sound never ended")
		}
	}
}

func TestJumpMovesTheStamps(t *testing.T) {
	s, f := serve(t, Recipe{}, Options{})
	first := func() int64 {
		ts := readFor(t, s.URL(f), 200*time.Millisecond)
		for at := 0; at < len(ts); at += packetSize {
			if pes := packet(ts[at : at+packetSize]).pes(); pes != nil {
				_, dts := times(pes)
				return dts
			}
		}
		t.Fatal("no PES came")
		return 0
	}
	before := first()
	f.Jump(time.Hour)
	got := duration(first() - before)
	if got < time.Hour-3*time.Second || got > time.Hour+5*time.Second {
		t.Errorf("got a jump of %v, want 1 h", got)
	}
}

func duration(ticks int64) time.Duration { return time.Duration(ticks) * time.Second / clockRate }

func TestPlaylistListsWholeSegments(t *testing.T) {
	s, f := serve(t, Recipe{}, Options{})
	for _, length := range []time.Duration{2 * time.Second, 6 * time.Second} {
		t.Run(length.String(), func(t *testing.T) {
			url := s.PlaylistURL(f, length)
			text, err := io.ReadAll(open(t, url).Body)
			if err != nil {
				t.Fatal(err)
			}
			names := regexp.MustCompile(`(?m)^\d+\.ts$`).FindAllString(string(text), -1)
			if len(names) != window {
				t.Fatalf("got %d segments, want %d:\n%s", len(names), window, text)
			}
			var all []byte
			for _, name := range names {
				b, err := io.ReadAll(open(t, strings.Replace(url, "index.m3u8", name, 1)).Body)
				if err != nil {
					t.Fatal(err)
				}
				if got := span(b); got != length-time.Second/frameRate {
					t.Errorf("%s spans %v from first to last picture", name, got)
				}
				if first := packet(b[:packetSize]).pid(); first != 0 && first != 17 {
					t.Errorf("%s begins with PID %d, want PAT or SDT", name, first)
				}
				all = append(all, b...)
			}
			checkEndless(t, all)
			if resp := open(t, strings.Replace(url, "index.m3u8", "99999999.ts", 1)); resp.StatusCode != http.StatusNotFound {
				t.Errorf("a segment to come: got status %d, want 404", resp.StatusCode)
			}
		})
	}
}

func TestFileEnds(t *testing.T) {
	s, f := serve(t, Recipe{}, Options{})
	b, err := io.ReadAll(open(t, s.FileURL(f)).Body)
	if err != nil {
		t.Fatal(err)
	}
	checkEndless(t, b)
	if got := span(b); got != Duration-time.Second/frameRate {
		t.Errorf("the file spans %v", got)
	}
}
