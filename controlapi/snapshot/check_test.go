package snapshot

import (
	"strings"
	"testing"
)

func document() *Document {
	return &Document{
		Group: "default",
		Edges: []Edge{{ID: "edge-1"}},
		Streams: []Stream{{
			ID: "news", Primary: "edge-1", Sources: []string{"https://origin.example/news.m3u8", "test:"},
			Renditions:     []Rendition{{Name: "source", Copy: true}, {Name: "480p", Height: 480, VideoBitrate: 1_200_000, AudioBitrate: 128_000}},
			SegmentSeconds: 2, LongestGOPSeconds: 2, Window: 8,
		}},
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Document)
		want   string // part of the error; empty: accepted
	}{
		{"a good document", func(*Document) {}, ""},
		{"no group", func(d *Document) { d.Group = "" }, "a group has no id"},
		{"an edge twice", func(d *Document) { d.Edges = append(d.Edges, Edge{ID: "edge-1"}) }, `edge "edge-1" is listed twice`},
		{"a stream twice", func(d *Document) { d.Streams = append(d.Streams, d.Streams[0]) }, `stream "news" is listed twice`},
		{"an id with a slash", func(d *Document) { d.Streams[0].ID = "a/b" }, "an id has 1 to 32 characters"},
		{"an id with a dot", func(d *Document) { d.Streams[0].ID = "a.b" }, "an id has 1 to 32 characters"},
		{"an unknown primary", func(d *Document) { d.Streams[0].Primary = "edge-9" }, `assigned to edge "edge-9"`},
		{"no source", func(d *Document) { d.Streams[0].Sources = nil }, "no source"},
		{"a bad source", func(d *Document) { d.Streams[0].Sources[1] = "gopher://x/" }, `source 2: scheme "gopher"`},
		{"a push source with backups and a slate", func(d *Document) { d.Streams[0].Sources = []string{"push:", "https://h/x", "slate:"} }, ""},
		{"two push sources", func(d *Document) { d.Streams[0].Sources = []string{"push:", "push:"} }, "one publisher"},
		{"a push source with a key", func(d *Document) { d.Streams[0].Sources[1] = "push:key" }, "nothing behind it"},
		{"a slate before another source", func(d *Document) { d.Streams[0].Sources = []string{"slate:", "test:"} }, "source 1 is a slate"},
		{"a slate by a relative path", func(d *Document) { d.Streams[0].Sources[1] = "slate:card.png" }, "whole path"},
		{"an endless probation", func(d *Document) { d.Streams[0].ReturnAfterSeconds = 4000 }, "choose 0 s to 1 h"},
		{"no rendition", func(d *Document) { d.Streams[0].Renditions = nil }, "no rendition"},
		{"a rendition twice", func(d *Document) { d.Streams[0].Renditions[1].Name = "source" }, `rendition "source" is listed twice`},
		{"a copy with a height", func(d *Document) { d.Streams[0].Renditions[0].Height = 480 }, "leave them out"},
		{"an odd height", func(d *Document) { d.Streams[0].Renditions[1].Height = 481 }, "even number"},
		{"segments of no length", func(d *Document) { d.Streams[0].SegmentSeconds = 0 }, "choose 1 to 20 s"},
		{"a window below six", func(d *Document) { d.Streams[0].Window = 5 }, "choose 6 to 120"},
		{"a window below three target durations", func(d *Document) { d.Streams[0].LongestGOPSeconds = 4 }, "raise the window to 9"},
		{"a negative number", func(d *Document) { d.Streams[0].MinMSN = -1 }, "cannot be negative"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := document()
			tt.change(d)
			err := d.Check()
			if tt.want == "" && err != nil {
				t.Fatalf("got %v, want no error", err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Fatalf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestCheckSourceHidesTheURL(t *testing.T) {
	for _, text := range []string{"gopher://user:hunter2@host/", "://hunter2", "http:///hunter2", "hunter2", "https://hunter2\n"} {
		err := CheckSource(text)
		if err == nil {
			t.Errorf("CheckSource accepts %q", text)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

func FuzzCheckSource(f *testing.F) {
	for _, s := range []string{"https://a/b.m3u8", "test:", "file:/x", "udp://239.0.0.1:1234", "http://[::1]/", "-i", "rtmp://h/app/key?x=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckSource(s) == nil && (strings.HasPrefix(s, "-") || strings.ContainsAny(s, "\x00\r\n")) {
			t.Errorf("accepts %q, which FFmpeg's command line could misread", s)
		}
	})
}
