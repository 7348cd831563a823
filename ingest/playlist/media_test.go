package playlist

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// utc is a moment of the samples' first minute.
func utc(seconds float64) time.Time {
	return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

// golden reads a file of testdata.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMediaGolden(t *testing.T) {
	tests := []struct {
		name string
		file string
		m    Media
	}{
		{
			name: "a hole between two runs",
			file: "hole.m3u8",
			m: Media{
				Version: 6, TargetDuration: 6, MediaSequence: 473364000, DiscontinuitySequence: 3,
				Segments: []Segment{
					{URI: "473364000.ts", Duration: 4 * time.Second, ProgramDateTime: utc(0)},
					{URI: "473364001.ts", Duration: 4 * time.Second, ProgramDateTime: utc(4)},
					{URI: "473364002.ts", Duration: 4 * time.Second, ProgramDateTime: utc(13.2), Discontinuity: true},
				},
			},
		},
		{
			name: "gaps",
			file: "gap.m3u8",
			m: Media{
				Version: 6, TargetDuration: 4,
				Segments: []Segment{
					{URI: "0.ts", Duration: 2 * time.Second, ProgramDateTime: utc(0)},
					{URI: "1.ts", Duration: 2040 * time.Millisecond, ProgramDateTime: utc(2), Gap: true},
					{URI: "2.ts", Duration: 2 * time.Second, ProgramDateTime: utc(9.12), Gap: true, Discontinuity: true},
				},
			},
		},
		{
			name: "no segment yet",
			file: "empty.m3u8",
			m:    Media{Version: 6, TargetDuration: 4, MediaSequence: 1<<63 - 1, DiscontinuitySequence: 12},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := golden(t, tt.file)
			if diff := cmp.Diff(string(want), string(tt.m.AppendText(nil))); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
			got, err := ParseMedia(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.m, got); diff != "" {
				t.Errorf("parsed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMediaNamesSegmentsAfterTheirNumbers(t *testing.T) {
	want := golden(t, "hole.m3u8")
	m, err := ParseMedia(want)
	if err != nil {
		t.Fatal(err)
	}
	m.Version = 0
	for i := range m.Segments {
		m.Segments[i].URI = ""
	}
	got := m.AppendText([]byte("kept"))
	if diff := cmp.Diff("kept"+string(want), string(got)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestMediaEXTINF(t *testing.T) {
	ms := time.Millisecond
	tests := []struct {
		name     string
		target   int
		duration time.Duration
		start    time.Time
		want     string
	}{
		{"whole", 4, 2 * time.Second, utc(0), "2.000"},
		{"frame of 30000/1001", 4, 2002 * ms, utc(0), "2.002"},
		{"no date rounds up", 4, 2*time.Second + 600*time.Microsecond, time.Time{}, "2.001"},
		{"no date rounds down", 4, 2*time.Second + 400*time.Microsecond, time.Time{}, "2.000"},
		{"dates cut down", 4, 2*time.Second + 600*time.Microsecond, utc(0), "2.000"},
		{"dates carry", 4, 2*time.Second + 600*time.Microsecond, utc(0).Add(400 * time.Microsecond), "2.001"},
		{"just below the bound", 4, 4499 * ms, utc(0), "4.499"},
		{"carry over the bound", 4, 4499*ms + 900*time.Microsecond, utc(0).Add(500 * time.Microsecond), "4.499"},
		{"rounding over the bound", 4, 4499*ms + 900*time.Microsecond, time.Time{}, "4.499"},
		{"truly too long", 4, 4500 * ms, utc(0), "4.500"},
		{"much too long", 4, 9 * time.Second, utc(0), "9.000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := Media{TargetDuration: tt.target, Segments: []Segment{{Duration: tt.duration, ProgramDateTime: tt.start}}}
			text := string(m.AppendText(nil))
			if !strings.Contains(text, "\n#EXTINF:"+tt.want+",\n") {
				t.Errorf("no EXTINF of %s in:\n%s", tt.want, text)
			}
		})
	}
}

// A window that slides over lengths which are no whole milliseconds must neither
// drift from its dates nor say another thing about a segment than before.
func TestMediaRoundingNeitherDriftsNorRewrites(t *testing.T) {
	const window = 8
	var all []Segment
	at := utc(0.0001234)
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		// 90 kHz ticks, as the cutter counts.
		d := time.Duration(180000+random.IntN(90000)) * time.Second / 90000
		all = append(all, Segment{Duration: d, ProgramDateTime: at})
		at = at.Add(d)
	}
	known := map[string]Segment{}
	for first := range len(all) - window {
		m := Media{TargetDuration: 3, MediaSequence: int64(first), Segments: all[first : first+window]}
		got, err := ParseMedia(m.AppendText(nil))
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range got.Segments {
			if was, ok := known[s.URI]; ok && was != s {
				t.Fatalf("%s was %v, is now %v", s.URI, was, s)
			}
			known[s.URI] = s
			if i == 0 {
				continue
			}
			before := got.Segments[i-1]
			if end := before.ProgramDateTime.Add(before.Duration); !end.Equal(s.ProgramDateTime) {
				t.Fatalf("%s ends at %v, %s starts at %v", before.URI, end, s.URI, s.ProgramDateTime)
			}
		}
	}
}

func TestMediaURIKeepsItsLine(t *testing.T) {
	tests := []struct{ name, uri, want string }{
		{"plain", "7.ts", "7.ts"},
		{"line break", "7.ts\n#EXT-X-ENDLIST", "7.ts%0A#EXT-X-ENDLIST"},
		{"carriage return", "7.ts\r", "7.ts%0D"},
		{"comment", "#7.ts", "%237.ts"},
		{"only a break", "\n", "%0A"},
		{"quote", `"7".ts`, "%227%22.ts"},
		{"C1 control", "7\u0085.ts", "7%C2%85.ts"},
		{"broken UTF-8", "7\xff.ts", "7%FF.ts"},
		{"replacement character", "7\ufffd.ts", "7\ufffd.ts"},
		{"umlaut", "ä.ts", "ä.ts"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := Media{TargetDuration: 4, Segments: []Segment{{URI: tt.uri}, {URI: "next.ts"}}}
			got, err := ParseMedia(m.AppendText(nil))
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Segments) != 2 || got.Segments[0].URI != tt.want {
				t.Errorf("got %+v, want the URI %q and one more segment", got.Segments, tt.want)
			}
		})
	}
}

func benchmarkMedia() *Media {
	m := &Media{TargetDuration: 4, MediaSequence: 473364000, DiscontinuitySequence: 3}
	for i := range 8 {
		m.Segments = append(m.Segments, Segment{
			URI:             strconv.Itoa(473364000+i) + ".ts",
			Duration:        2 * time.Second,
			ProgramDateTime: utc(float64(2 * i)),
		})
	}
	return m
}

func BenchmarkMediaAppendText(b *testing.B) {
	m := benchmarkMedia()
	buf := m.AppendText(nil)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = m.AppendText(buf[:0])
	}
}

func BenchmarkParseMedia(b *testing.B) {
	text := benchmarkMedia().AppendText(nil)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMedia(text); err != nil {
			b.Fatal(err)
		}
	}
}

// mediaSeeds are lists as they are met in the field, good and bad.
func mediaSeeds() []string {
	head := "#EXTM3U\n#EXT-X-TARGETDURATION:4\n"
	return []string{
		"", "#EXTM3U", "\ufeff#EXTM3U\n", head,
		strings.ReplaceAll(head+"#EXTINF:2.0,title, with comma\n1.ts\n", "\n", "\r\n"),
		head + "#EXT-X-MEDIA-SEQUENCE:9223372036854775807\n#EXTINF:2,\n1.ts\n",
		head + "#EXT-X-DISCONTINUITY-SEQUENCE:18446744073709551616\n",
		head + "#EXTINF:1e300,\n1.ts\n", head + "#EXTINF:-1,\n1.ts\n", head + "#EXTINF:4.4999999999999,\n#\n",
		head + "#EXT-X-PROGRAM-DATE-TIME:9998-12-31T23:59:59.9999-23:59\n#EXTINF:86400,\n1.ts\n",
		head + "#EXT-X-PROGRAM-DATE-TIME:2030-01-01T01:00:00.123456789+0100\n#EXTINF:2.000900,\n1.ts\n",
		head + "#EXT-X-KEY:METHOD=NONE,IV=0x1\n#EXT-X-MAP:URI=\"a,b=\\\"c\"\n#EXTINF:2,\n\"1\".ts\n#EXT-X-ENDLIST",
	}
}

// FuzzParseMedia: whatever is read, what is written of it reads back as itself.
func FuzzParseMedia(f *testing.F) {
	for _, s := range mediaSeeds() {
		f.Add([]byte(s))
	}
	for _, name := range []string{"hole.m3u8", "gap.m3u8", "empty.m3u8", "steered.m3u8"} {
		f.Add(golden(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMedia(b)
		if err != nil {
			return
		}
		text := m.AppendText(nil)
		again, err := ParseMedia(text)
		if err != nil {
			t.Fatalf("cannot read what was written: %v\n%s", err, text)
		}
		if twice := again.AppendText(nil); !bytes.Equal(text, twice) {
			t.Fatalf("no fixed point (-first +second):\n%s", cmp.Diff(string(text), string(twice)))
		}
		if len(again.Segments) != len(m.Segments) || again.MediaSequence != m.MediaSequence ||
			again.DiscontinuitySequence != m.DiscontinuitySequence || again.TargetDuration != m.TargetDuration {
			t.Fatalf("numbering changed: %+v became %+v", m, again)
		}
		for i, s := range m.Segments {
			got := again.Segments[i]
			if off := got.Duration - s.Duration; off <= -time.Millisecond || off >= time.Millisecond {
				t.Fatalf("segment %d of %v became %v", i, s.Duration, got.Duration)
			}
			if got.Gap != s.Gap || got.Discontinuity != s.Discontinuity {
				t.Fatalf("segment %d %+v became %+v", i, s, got)
			}
		}
	})
}
