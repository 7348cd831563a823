package playlist

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseMediaIsLenientWhereTheStandardIs(t *testing.T) {
	plain := "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n" +
		"#EXT-X-PROGRAM-DATE-TIME:2030-01-01T00:00:00Z\n#EXTINF:2,\n7.ts\n"
	want := &Media{Version: 1, TargetDuration: 4, MediaSequence: 7, Segments: []Segment{
		{URI: "7.ts", Duration: 2 * time.Second, ProgramDateTime: utc(0)},
	}}
	tests := []struct{ name, text string }{
		{"plain", plain},
		{"CRLF", strings.ReplaceAll(plain, "\n", "\r\n")},
		{"no break at the end", strings.TrimSuffix(plain, "\n")},
		{"blank lines and comments", strings.ReplaceAll(plain, "\n", "\n\n# EXTINF:9,\n")},
		{"unknown tags", strings.ReplaceAll(plain, "#EXTINF", "#EXT-X-NEW:A=\"\n#EXTINF")},
		{"title", strings.ReplaceAll(plain, "2,", "2.000,News, at ten")},
		{"no comma", strings.ReplaceAll(plain, "2,", "2")},
		{"more decimals than we keep", strings.ReplaceAll(plain, "2,", "2.0000000009,")},
		{"offset", strings.ReplaceAll(plain, "00:00:00Z", "01:30:00.000+01:30")},
		{"offset without colon", strings.ReplaceAll(plain, "00:00:00Z", "01:30:00.000+0130")},
		{"tags of a list that ends", plain + "#EXT-X-ENDLIST\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseMedia([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseMediaRefuses(t *testing.T) {
	const head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n"
	tests := []struct {
		name, text string
		line       int
	}{
		{"nothing", "", 1},
		{"another format", "<html>", 1},
		{"byte order mark", "\ufeff" + head, 1},
		{"header with a tail", "#EXTM3U8\n", 1},
		{"no target duration", "#EXTM3U\n#EXTINF:2,\n1.ts\n", 3},
		{"target duration 0", "#EXTM3U\n#EXT-X-TARGETDURATION:0\n", 2},
		{"target duration with decimals", "#EXTM3U\n#EXT-X-TARGETDURATION:4.0\n", 2},
		{"target duration of years", "#EXTM3U\n#EXT-X-TARGETDURATION:999999999\n", 2},
		{"target duration twice", head + "#EXT-X-TARGETDURATION:4\n", 3},
		{"version 0", head + "#EXT-X-VERSION:0\n", 3},
		{"media sequence twice", head + "#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-MEDIA-SEQUENCE:1\n", 4},
		{"media sequence negative", head + "#EXT-X-MEDIA-SEQUENCE:-1\n", 3},
		{"media sequence signed", head + "#EXT-X-MEDIA-SEQUENCE:+1\n", 3},
		{"media sequence empty", head + "#EXT-X-MEDIA-SEQUENCE:\n", 3},
		{"media sequence too large", head + "#EXT-X-MEDIA-SEQUENCE:9223372036854775808\n", 3},
		{"media sequence late", head + "#EXTINF:2,\n1.ts\n#EXT-X-MEDIA-SEQUENCE:1\n", 5},
		{"media sequence runs over", head + "#EXT-X-MEDIA-SEQUENCE:9223372036854775807\n#EXTINF:2,\n1.ts\n", 5},
		{"discontinuity sequence late", head + "#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n", 4},
		{"discontinuity twice", head + "#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY\n", 4},
		{"name without EXTINF", head + "1.ts\n", 3},
		{"EXTINF without name", head + "#EXTINF:2,\n", 3},
		{"EXTINF twice", head + "#EXTINF:2,\n#EXTINF:2,\n1.ts\n", 4},
		{"EXTINF negative", head + "#EXTINF:-2,\n1.ts\n", 3},
		{"EXTINF with exponent", head + "#EXTINF:2e0,\n1.ts\n", 3},
		{"EXTINF empty", head + "#EXTINF:,\n1.ts\n", 3},
		{"EXTINF with a bare point", head + "#EXTINF:2.,\n1.ts\n", 3},
		{"EXTINF above a day", head + "#EXTINF:86400.001,\n1.ts\n", 3},
		{"date without zone", head + "#EXT-X-PROGRAM-DATE-TIME:2030-01-01T00:00:00\n", 3},
		{"date twice", head + strings.Repeat("#EXT-X-PROGRAM-DATE-TIME:2030-01-01T00:00:00Z\n", 2), 4},
		{"date that UTC moves out of range", head + "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00+01:00\n", 3},
		{"multivariant", head + "#EXT-X-STREAM-INF:BANDWIDTH=1\n", 3},
		{"control character", head + "\t\n", 3},
		{"lone CR", head + "#EXTINF:2,\r1.ts\n", 3},
		{"broken UTF-8", head + "# \xff\n", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := ParseMedia([]byte(tt.text))
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

func TestSyntaxErrorHidesTheLine(t *testing.T) {
	const secret = "a-token-of-somebody"
	for _, text := range []string{
		"#EXTM3U\nhttps://edge.example/live/" + secret + "/1/v/1.ts\n",
		"#EXTM3U\n#EXT-X-TARGETDURATION:" + secret,
		"#EXTM3U\n#EXTINF:" + secret,
		"#EXTM3U\n#EXT-X-CONTENT-STEERING:" + secret,
		"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=" + secret,
	} {
		_, err1 := ParseMedia([]byte(text))
		_, err2 := ParseMultivariant([]byte(text))
		for _, err := range []error{err1, err2} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("error repeats the playlist: %v", err)
			}
		}
	}
}
