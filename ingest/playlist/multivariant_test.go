package playlist

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func steered() *Multivariant {
	v := Variant{
		URI: "v720/index.m3u8", Bandwidth: 3300000, AverageBandwidth: 2800000,
		Codecs: "avc1.64001f,mp4a.40.2", Width: 1280, Height: 720, FrameRate: 25,
		StableVariantID: "v720", PathwayID: "e1",
	}
	w := v
	w.URI, w.PathwayID = "https://edge2.example/live/TOK/501/v720/index.m3u8", "e2"
	return &Multivariant{
		SteeringURI: "https://control.example/steer/TOK/501", PathwayID: "e1",
		Variants: []Variant{v, w},
	}
}

func TestMultivariantGolden(t *testing.T) {
	tests := []struct {
		name string
		file string
		m    *Multivariant
	}{
		{"two pathways", "steered.m3u8", steered()},
		{"audio only", "audio.m3u8", &Multivariant{
			Variants: []Variant{{URI: "radio/index.m3u8", Bandwidth: 128000, Codecs: "mp4a.40.2"}},
		}},
		{"languages and captions", "languages.m3u8", &Multivariant{
			Alternatives: []Alternative{
				{Type: Audio, GroupID: "audio", Name: "Deutsch", Language: "de", Default: true},
				{Type: Audio, GroupID: "audio", Name: "English", Language: "en", URI: "audio-eng/index.m3u8"},
				{Type: ClosedCaptions, GroupID: "captions", Name: "English", Language: "en", InstreamID: "CC1"},
			},
			Variants: []Variant{{
				URI: "480p/index.m3u8", Bandwidth: 1200000, Codecs: "avc1.64001f,mp4a.40.2", Width: 854, Height: 480, FrameRate: 25,
				Audio: "audio", ClosedCaptions: "captions",
			}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := golden(t, tt.file)
			if diff := cmp.Diff(string(want), string(tt.m.AppendText(nil))); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
			got, err := ParseMultivariant(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.m, got); diff != "" {
				t.Errorf("parsed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMultivariantStringsStayInTheirAttribute(t *testing.T) {
	m := &Multivariant{
		SteeringURI: "https://c.example/\"\n#EXT-X-ENDLIST",
		PathwayID:   `e1",X="`,
		Variants: []Variant{
			{URI: "\r\n#x", Bandwidth: 1, Codecs: "a\"b\nc,d", StableVariantID: "\x00", PathwayID: "\xff"},
			{Bandwidth: 2}, // nothing to play: left out
		},
	}
	want := &Multivariant{
		SteeringURI: "https://c.example/%22%0A#EXT-X-ENDLIST",
		PathwayID:   "e1%22,X=%22",
		Variants: []Variant{
			{URI: "%0D%0A#x", Bandwidth: 1, Codecs: "a%22b%0Ac,d", StableVariantID: "%00", PathwayID: "%FF"},
		},
	}
	got, err := ParseMultivariant(m.AppendText(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseMultivariantIsLenientWhereTheStandardIs(t *testing.T) {
	text := "#EXTM3U\r\n\r\n# comment\r\n#EXT-X-MEDIA:TYPE=AUDIO\r\n" +
		"#EXT-X-STREAM-INF:X-NEW=\"a,b=c\",BANDWIDTH=5,SCORE=1.5,FRAME-RATE=29.97002997\r\n\r\nv/index.m3u8"
	want := &Multivariant{Variants: []Variant{{URI: "v/index.m3u8", Bandwidth: 5, FrameRate: 29.97}}}
	got, err := ParseMultivariant([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseMultivariantRefuses(t *testing.T) {
	inf := func(attributes string) string { return "#EXTM3U\n#EXT-X-STREAM-INF:" + attributes + "\nv\n" }
	tests := []struct {
		name, text string
		line       int
	}{
		{"nothing", "", 1},
		{"byte order mark", "\ufeff" + inf("BANDWIDTH=1"), 1},
		{"media playlist", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n", 2},
		{"URI without tag", "#EXTM3U\nv\n", 2},
		{"tag without URI", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", 2},
		{"tag after tag", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv\n", 3},
		{"no attributes", inf(""), 2},
		{"no bandwidth", inf(`CODECS="a"`), 2},
		{"bandwidth 0", inf("BANDWIDTH=0"), 2},
		{"bandwidth too large", inf("BANDWIDTH=99999999999999999999"), 2},
		{"bandwidth twice", inf("BANDWIDTH=1,BANDWIDTH=2"), 2},
		{"open quote", inf(`BANDWIDTH=1,CODECS="a`), 2},
		{"text after a quote", inf(`BANDWIDTH=1,CODECS="a"b`), 2},
		{"quote inside a value", inf(`BANDWIDTH=1,X=a"b"`), 2},
		{"codecs without quotes", inf("BANDWIDTH=1,CODECS=a"), 2},
		{"trailing comma", inf("BANDWIDTH=1,"), 2},
		{"blank after the comma", inf(`BANDWIDTH=1, CODECS="a"`), 2},
		{"resolution of one side", inf("BANDWIDTH=1,RESOLUTION=1280"), 2},
		{"frame rate infinite", inf("BANDWIDTH=1,FRAME-RATE=inf"), 2},
		{"frame rate too large", inf("BANDWIDTH=1,FRAME-RATE=2147483647.9"), 2},
		{"steering without server", "#EXTM3U\n#EXT-X-CONTENT-STEERING:PATHWAY-ID=\"a\"\n", 2},
		{"steering twice", "#EXTM3U\n" + strings.Repeat("#EXT-X-CONTENT-STEERING:SERVER-URI=\"a\"\n", 2), 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := ParseMultivariant([]byte(tt.text))
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %+v and error %v, want a SyntaxError", m, err)
			}
			if syntax.Line != tt.line {
				t.Errorf("got line %d, want %d: %v", syntax.Line, tt.line, err)
			}
		})
	}
}

func BenchmarkMultivariantAppendText(b *testing.B) {
	m := steered()
	buf := m.AppendText(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = m.AppendText(buf[:0])
	}
}

func BenchmarkParseMultivariant(b *testing.B) {
	text := steered().AppendText(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMultivariant(text); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzParseMultivariant: whatever is read, what is written of it reads back as itself.
func FuzzParseMultivariant(f *testing.F) {
	for _, name := range []string{"steered.m3u8", "audio.m3u8", "hole.m3u8"} {
		b := golden(f, name)
		f.Add(b)
		f.Add(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")))
		f.Add(append([]byte("\ufeff"), b...))
	}
	for _, attributes := range []string{
		`BANDWIDTH=2147483647,FRAME-RATE=2147483647`, `BANDWIDTH=1,FRAME-RATE=0.0004`, `BANDWIDTH=1,FRAME-RATE=0.0005`,
		`BANDWIDTH=1,CODECS="a,b=c,",RESOLUTION=00001x01`, `BANDWIDTH=1,PATHWAY-ID="",STABLE-VARIANT-ID=","`,
		`BANDWIDTH=1e9`, `CODECS="`,
	} {
		f.Add([]byte("#EXTM3U\n#EXT-X-STREAM-INF:" + attributes + "\n\"v\"\n"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMultivariant(b)
		if err != nil {
			return
		}
		text := m.AppendText(nil)
		again, err := ParseMultivariant(text)
		if err != nil {
			t.Fatalf("cannot read what was written: %v\n%s", err, text)
		}
		if twice := again.AppendText(nil); !bytes.Equal(text, twice) {
			t.Fatalf("no fixed point (-first +second):\n%s", cmp.Diff(string(text), string(twice)))
		}
		for i := range m.Variants {
			// Only a quote in a URI line is spelt differently.
			m.Variants[i].URI = strings.ReplaceAll(m.Variants[i].URI, `"`, "%22")
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Fatalf("meaning changed (-want +got):\n%s", diff)
		}
	})
}
