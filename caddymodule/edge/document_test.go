package edge

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/process/cgroup"
	"github.com/headrace/headrace/ingest/source"
)

// values are texts of a test.
type values map[string]string

func (v values) secret(k Key) (string, error) { return v[k.Secret+k.SecretFile], nil }
func (v values) source(text string) (string, error) {
	return strings.ReplaceAll(text, "{host}", v["host"]), nil
}

var testValues = values{"{one}": strings.Repeat("1", 32), "/two": strings.Repeat("2", 32), "host": "origin.example"}

func testApp() *App {
	a := &App{
		ID: "edge-7", URL: "https://edge-7.example",
		Limits:     Limits{CPU: 1.5, Memory: 1 << 30, PIDs: 64},
		Keys:       []Key{{KeyName: KeyName{"r1", "k1"}, Secret: "{one}"}, {KeyName: KeyName{"r2", "k1"}, SecretFile: "/two"}},
		DefaultKey: &KeyName{"r2", "k1"},
		Streams: []Stream{
			{
				ID: "news", Sources: []string{"https://{host}/news.m3u8", "test:"},
				Renditions: []Rendition{{Name: "source", Copy: true}, {Name: "480p", VideoBitrate: 1_200_000}},
				Segment:    caddy.Duration(4 * time.Second), LongestGOP: caddy.Duration(1920 * time.Millisecond), Window: 10,
			},
			{ID: "sport", Sources: []string{"test:"}},
		},
	}
	a.setDefaults()
	return a
}

func TestDocument(t *testing.T) {
	got, err := testApp().document(testValues)
	if err != nil {
		t.Fatal(err)
	}
	all := snapshot.Grant{Show: []string{"news", "sport"}, Publish: []string{"news", "sport"}}
	limits := snapshot.Limits{CPU: 1.5, Memory: 1 << 30, PIDs: 64}
	want := &snapshot.Document{
		Group: "default",
		Edges: []snapshot.Edge{{ID: "edge-7", URL: "https://edge-7.example"}},
		Keys: []snapshot.Key{
			{Reseller: "r1", KeyID: "k1", Secret: testValues["{one}"]},
			{Reseller: "r2", KeyID: "k1", Secret: testValues["/two"]},
		},
		Grants: map[string]snapshot.Grant{"r1": all, "r2": all},
		Streams: []snapshot.Stream{
			{
				ID: "news", Primary: "edge-7", Sources: []string{"https://origin.example/news.m3u8", "test:"},
				Renditions: []snapshot.Rendition{
					{Name: "source", Copy: true}, {Name: "480p", Height: 480, VideoBitrate: 1_200_000, AudioBitrate: 128_000},
				},
				SegmentSeconds: 4, LongestGOPSeconds: 1.92, Window: 10, Limits: limits, ReturnAfterSeconds: 10,
			},
			{
				ID: "sport", Primary: "edge-7", Sources: []string{"test:"},
				Renditions:     []snapshot.Rendition{{Name: "source", Copy: true}},
				SegmentSeconds: 2, LongestGOPSeconds: 2, Window: 8, Limits: limits, ReturnAfterSeconds: 10,
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
}

func TestStreamSpecs(t *testing.T) {
	doc, err := testApp().document(testValues)
	if err != nil {
		t.Fatal(err)
	}
	doc.Streams[0].MinMSN, doc.Streams[0].MinDiscontinuity = 7, 3
	doc.Streams[1].Primary = "edge-8" // not ours to package
	got, err := streamSpecs(doc, "edge-7")
	if err != nil {
		t.Fatal(err)
	}
	want := []ingest.StreamSpec{{
		ID: "news", Sources: []source.Source{parse(t, "https://origin.example/news.m3u8"), parse(t, "test:")},
		Renditions: []ffmpeg.Rendition{
			{Name: "source", Copy: true}, {Name: "480p", Height: 480, VideoBitrate: 1_200_000, AudioBitrate: 128_000},
		},
		SegmentDuration: 4 * time.Second, LongestGOP: 1920 * time.Millisecond, Window: 10, MinMSN: 7, MinDiscontinuity: 3,
		ReturnAfter: 10 * time.Second, Limits: cgroup.Limits{CPU: 1.5, Memory: 1 << 30, PIDs: 64},
	}}
	same := cmp.Comparer(func(a, b source.Source) bool { return a == b })
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("specs (-want +got):\n%s", diff)
	}
}

func parse(t *testing.T, text string) source.Source {
	t.Helper()
	s, err := source.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The engine must see no change where the configuration has none: seconds go
// through a JSON number on their way.
func TestSegmentDurationsSurviveTheDocument(t *testing.T) {
	for _, d := range []time.Duration{
		2 * time.Second, 1920 * time.Millisecond, 2002 * time.Millisecond, 3_003_333 * time.Microsecond, 19_999_999 * time.Microsecond,
	} {
		t.Run(d.String(), func(t *testing.T) {
			s := Stream{Segment: caddy.Duration(d)}
			if got := seconds(s.document(nil).SegmentSeconds); got != d {
				t.Errorf("got %s, want %s", got, d)
			}
		})
	}
}

func TestTokenConfig(t *testing.T) {
	a := testApp()
	doc, err := a.document(testValues)
	if err != nil {
		t.Fatal(err)
	}
	doc.Keys[0].NotAfter = 99
	doc.Denied = []snapshot.Denial{{Reseller: "r1", User: "u1", Until: 5}}
	got := tokenConfig(doc, a.defaultKey(), 42)
	all := token.Grant{Show: []string{"news", "sport"}, Publish: []string{"news", "sport"}}
	want := token.Config{
		Keys: []token.Key{
			{KeyRef: token.KeyRef{Reseller: "r1", Kid: "k1"}, Secret: testValues["{one}"], NotAfter: 99},
			{KeyRef: token.KeyRef{Reseller: "r2", Kid: "k1"}, Secret: testValues["/two"]},
		},
		DefaultKey: token.KeyRef{Reseller: "r2", Kid: "k1"},
		Grants:     map[string]token.Grant{"r1": all, "r2": all},
		Denied:     []token.Denial{{Reseller: "r1", User: "u1", Until: 5}},
		Now:        42,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("token configuration (-want +got):\n%s", diff)
	}
}

func TestDocumentInForceHasNoSecrets(t *testing.T) {
	a := testApp()
	doc, err := a.document(testValues)
	if err != nil {
		t.Fatal(err)
	}
	shown := withoutSecrets(doc)
	if shown.Keys[0].Secret != "" || shown.Streams[0].Sources != nil {
		t.Errorf("got %+v, want no secrets and no sources", shown)
	}
	if doc.Keys[0].Secret == "" || doc.Streams[0].Sources == nil {
		t.Error("the document itself was changed")
	}
}

func TestDefaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		stream Stream
		want   Stream
	}{
		{"nothing given", Stream{}, Stream{
			Renditions: []Rendition{{Name: "source", Copy: true}},
			Segment:    caddy.Duration(2 * time.Second), LongestGOP: caddy.Duration(2 * time.Second), Window: 8,
		}},
		{"longest GOP follows the segment", Stream{Segment: caddy.Duration(6 * time.Second)}, Stream{
			Renditions: []Rendition{{Name: "source", Copy: true}},
			Segment:    caddy.Duration(6 * time.Second), LongestGOP: caddy.Duration(6 * time.Second), Window: 8,
		}},
		{"window holds three target durations", Stream{LongestGOP: caddy.Duration(10 * time.Second)}, Stream{
			Renditions: []Rendition{{Name: "source", Copy: true}},
			Segment:    caddy.Duration(2 * time.Second), LongestGOP: caddy.Duration(10 * time.Second), Window: 18,
		}},
		{"heights come from names", Stream{Renditions: []Rendition{
			{Name: "480p"}, {Name: "720p50"}, {Name: "1080p", Height: 1088}, {Name: "wide"}, {Name: "p"}, {Name: "480px"}, {Name: "source", Copy: true},
		}}, Stream{
			Renditions: []Rendition{
				{Name: "480p", Height: 480, AudioBitrate: 128_000},
				{Name: "720p50", Height: 720, AudioBitrate: 128_000},
				{Name: "1080p", Height: 1088, AudioBitrate: 128_000},
				{Name: "wide", AudioBitrate: 128_000},
				{Name: "p", AudioBitrate: 128_000},
				{Name: "480px", AudioBitrate: 128_000},
				{Name: "source", Copy: true},
			},
			Segment: caddy.Duration(2 * time.Second), LongestGOP: caddy.Duration(2 * time.Second), Window: 8,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.stream
			got.setDefaults()
			tt.want.ReturnAfter = caddy.Duration(10 * time.Second) // in all cases
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
