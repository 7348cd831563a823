package playlist

import (
	"bytes"
	"compress/gzip"
	"io"
	"strconv"
	"sync"
	"testing"
)

func TestRender(t *testing.T) {
	long := golden(t, "hole.m3u8")
	tests := []struct {
		name     string
		text     []byte
		wantGzip bool
	}{
		{"a real list", long, true},
		{"too short to gain", []byte("#EXTM3U\n"), false},
		{"empty", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Render(tt.text, "7-0-3")
			if !bytes.Equal(r.Plain, tt.text) || r.PlainLength != strconv.Itoa(len(tt.text)) {
				t.Errorf("plain: got %q of length %s", r.Plain, r.PlainLength)
			}
			if r.ETag != `"7-0-3"` || r.GzipETag != `"7-0-3-gzip"` {
				t.Errorf("got the tags %s and %s", r.ETag, r.GzipETag)
			}
			if got := r.Gzip != nil; got != tt.wantGzip {
				t.Fatalf("got gzip %t, want %t", got, tt.wantGzip)
			}
			if !tt.wantGzip {
				return
			}
			if len(r.Gzip) >= len(r.Plain) || cap(r.Gzip) > len(r.Gzip)+64 || r.GzipLength != strconv.Itoa(len(r.Gzip)) {
				t.Errorf("gzip: got %d bytes (capacity %d), length %s, of %d", len(r.Gzip), cap(r.Gzip), r.GzipLength, len(r.Plain))
			}
			if got := unpack(t, r.Gzip); !bytes.Equal(got, tt.text) {
				t.Errorf("unpacked: got %q", got)
			}
		})
	}
}

func TestRenderConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				m := Media{TargetDuration: 4, MediaSequence: int64(i*1000 + j), Segments: make([]Segment, 12)}
				text := m.AppendText(nil)
				if r := Render(text, "x"); !bytes.Equal(unpack(t, r.Gzip), text) {
					t.Errorf("render %d-%d mixed up", i, j)
				}
			}
		})
	}
	wg.Wait()
}

func unpack(t *testing.T, b []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Error(err)
		return nil
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return text
}

func TestRenderedMatches(t *testing.T) {
	r := Render([]byte("x"), "7-0-3")
	tests := []struct {
		name, header string
		want         bool
	}{
		{"none", "", false},
		{"equal", `"7-0-3"`, true},
		{"compressed", `"7-0-3-gzip"`, true},
		{"weak", `W/"7-0-3"`, true},
		{"any", "*", true},
		{"in a list", `"6-0-3", W/"7-0-3-gzip" ,"8"`, true},
		{"another", `"6-0-3"`, false},
		{"longer", `"17-0-3"`, false},
		{"unquoted", `7-0-3`, false},
		{"only commas", ",,,", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := r.Matches(tt.header); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func BenchmarkRender(b *testing.B) {
	text := benchmarkMedia().AppendText(nil)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		Render(text, "473364007-0-3")
	}
}

func BenchmarkRenderedMatches(b *testing.B) {
	r := Render([]byte("x"), "473364007-0-3")
	b.ReportAllocs()
	for b.Loop() {
		if !r.Matches(`"473364006-0-3", "473364007-0-3-gzip"`) {
			b.Fatal("no match")
		}
	}
}
