package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/playlist"
)

// makeMedia executes FFmpeg to make what a test needs.
func makeMedia(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-nostdin", "-hide_banner", "-loglevel", "error", "-y"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// captioned puts an SEI message with CEA-608 captions before the first slice of
// each picture of an H.264 stream in Annex B form.
func captioned(stream []byte) []byte {
	cc := append([]byte{0xb5, 0x00, 0x31}, "GA94\x03"...)
	cc = append(cc, 0x41, 0xff, 0xfc, 0x94, 0x2c, 0xff)
	sei := append([]byte{0, 0, 0, 1, 6, 4, byte(len(cc))}, append(cc, 0x80)...)
	var out []byte
	for i := 0; i < len(stream); i++ {
		if i+4 < len(stream) && stream[i] == 0 && stream[i+1] == 0 && stream[i+2] == 1 {
			// A slice begins with first_mb_in_slice: a first bit of 1 means 0.
			if kind := stream[i+3] & 0x1f; (kind == 1 || kind == 5) && stream[i+4]&0x80 != 0 {
				out = append(bytes.TrimSuffix(out, []byte{0}), sei...)
				out = append(out, 0)
			}
		}
		out = append(out, stream[i])
	}
	return out
}

// bilingual makes a transport stream with German and English sound and captions.
func bilingual(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	raw, marked, ts := filepath.Join(dir, "raw.h264"), filepath.Join(dir, "marked.h264"), filepath.Join(dir, "bilingual.ts")
	makeMedia(t, "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-t", "8", "-c:v", "libx264", "-preset", "ultrafast",
		"-g", "25", "-keyint_min", "25", "-sc_threshold", "0", "-bf", "0", "-f", "h264", raw)
	stream, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(marked, captioned(stream), 0o600); err != nil {
		t.Fatal(err)
	}
	makeMedia(t, "-framerate", "25", "-f", "h264", "-i", marked, "-f", "lavfi", "-i", "sine=frequency=300:sample_rate=48000", "-f", "lavfi", "-i", "sine=frequency=900:sample_rate=48000",
		"-t", "8", "-map", "0", "-map", "1", "-map", "2", "-c:v", "copy", "-c:a", "aac", "-ac", "2", "-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=eng", "-f", "mpegts", ts)
	return ts
}

// kinds are the codec types of a segment's streams.
func kinds(t *testing.T, segment []byte) (types []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_streams", "-of", "json", "-f", "mpegts", "-")
	cmd.Stdin = bytes.NewReader(segment)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffprobe: %v", err)
	}
	var found struct {
		Streams []struct {
			Type string `json:"codec_type"`
		} `json:"streams"`
	}
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	for _, s := range found.Streams {
		types = append(types, s.Type)
	}
	slices.Sort(types)
	return types
}

func TestLanguagesAndCaptions(t *testing.T) {
	e := newEngine(t, t.TempDir())
	s := spec(t, "bilingual", "file:"+bilingual(t))
	s.Renditions = []ffmpeg.Rendition{
		{Name: "source", Copy: true, Track: "deu"},
		{Name: "low", Height: 90, VideoBitrate: 100_000, AudioBitrate: 64_000, Track: "deu"},
		{Name: "radio", AudioOnly: true, AudioBitrate: 48_000, Track: "deu"},
		{Name: "audio-eng", AudioOnly: true, Copy: true, Track: "eng"},
	}
	s.Encoding = ffmpeg.Encoding{Preset: "ultrafast", Deinterlace: true, Loudness: -23}
	s.Audio = []AudioTrack{{Language: "de", Label: "Deutsch"}, {Language: "en", Label: "English", Rendition: "audio-eng"}}
	s.Captions = []CaptionTrack{{InstreamID: "CC1", Language: "en", Label: "English"}}
	if err := e.Apply([]StreamSpec{s}); err != nil {
		t.Fatal(err)
	}
	stream := e.Lookup("bilingual")
	first := waitFor(t, stream, 0).LastMSN()
	v := waitFor(t, stream, first+2)

	m, err := playlist.ParseMultivariant(v.Multivariant().Plain)
	if err != nil {
		t.Fatal(err)
	}
	want := []playlist.Alternative{
		{Type: playlist.Audio, GroupID: "audio", Name: "Deutsch", Language: "de", Default: true},
		{Type: playlist.Audio, GroupID: "audio", Name: "English", Language: "en", URI: "audio-eng/index.m3u8"},
		{Type: playlist.ClosedCaptions, GroupID: "captions", Name: "English", Language: "en", InstreamID: "CC1", Default: true},
	}
	if diff := cmp.Diff(want, m.Alternatives); diff != "" {
		t.Errorf("alternatives (-want +got):\n%s", diff)
	}
	var names []string
	for _, variant := range m.Variants {
		names = append(names, variant.StableVariantID)
		if variant.Audio != "audio" || variant.ClosedCaptions != "captions" {
			t.Errorf("variant %s has groups %q and %q, want both", variant.StableVariantID, variant.Audio, variant.ClosedCaptions)
		}
	}
	if diff := cmp.Diff([]string{"source", "low", "radio"}, names); diff != "" {
		t.Errorf("variants (-want +got):\n%s", diff)
	}
	for _, tt := range []struct {
		rendition string
		kinds     []string
		captions  bool
	}{
		{"source", []string{"audio", "video"}, true},
		{"low", []string{"audio", "video"}, true},
		{"radio", []string{"audio"}, false},
		{"audio-eng", []string{"audio"}, false},
	} {
		seg := v.Rendition(tt.rendition).Segment(first + 1)
		if seg == nil {
			t.Errorf("rendition %s has no segment %d", tt.rendition, first+1)
			continue
		}
		if diff := cmp.Diff(tt.kinds, kinds(t, seg.Bytes())); diff != "" {
			t.Errorf("rendition %s (-want +got):\n%s", tt.rendition, diff)
		}
		if got := bytes.Contains(seg.Bytes(), []byte("GA94\x03")); got != tt.captions {
			t.Errorf("rendition %s: captions %v, want %v", tt.rendition, got, tt.captions)
		}
		seg.Release()
	}
}

func TestLanguageThatIsMissing(t *testing.T) {
	e := newEngine(t, t.TempDir())
	s := spec(t, "monolingual", "file:"+bilingual(t))
	s.Renditions = []ffmpeg.Rendition{{Name: "source", Copy: true, Track: "fra"}}
	if err := e.Apply([]StreamSpec{s}); err != nil {
		t.Fatal(err)
	}
	stream := e.Lookup("monolingual")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for stream.Status().Restarts[ReasonNoTrack] == 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("got %+v, want the reason %s", stream.Status(), ReasonNoTrack)
		}
	}
}

func TestHardwareThatIsMissing(t *testing.T) {
	for _, kind := range ffmpeg.HardwareKinds() {
		h := ffmpeg.Hardware{Kind: kind, Device: "/dev/dri/nowhere"}
		if kind == ffmpeg.NVENC {
			if _, err := os.Stat("/dev/nvidia0"); err == nil {
				t.Log("this machine has an Nvidia card")
				continue
			}
		}
		_, err := New(Options{StateDir: t.TempDir(), Hardware: h})
		if err == nil || !strings.Contains(err.Error(), "hwaccel "+string(kind)) || !strings.Contains(err.Error(), h.Encoder()) {
			t.Errorf("%s: got %v, want to hear that it does not work here", kind, err)
		}
	}
}
