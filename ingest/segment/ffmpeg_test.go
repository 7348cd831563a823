package segment

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCutterCutsWhatFFmpegWrites(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		format Format
		pieces int // of 11 s
		length time.Duration
	}{
		{
			name:   "h264 and aac",
			args:   join(pictures("320x180", "25", 11), "-c:v libx264 -preset ultrafast -g 50 -bf 0 -c:a aac", mpegts+"OUT"),
			format: Format{Codecs: "avc1.42c00c,mp4a.40.2", Width: 320, Height: 180, FrameRate: 25, HasVideo: true, HasAudio: true},
			pieces: 5, length: 2 * time.Second,
		},
		{
			name:   "B-frames at a film rate",
			args:   join(pictures("320x180", "24000/1001", 11), "-c:v libx264 -preset veryfast -g 48 -bf 3 -sc_threshold 0 -c:a aac", mpegts+"OUT"),
			format: Format{Codecs: "avc1.64000c,mp4a.40.2", Width: 320, Height: 180, FrameRate: 23.976, HasVideo: true, HasAudio: true},
			pieces: 5, length: 2002 * time.Millisecond,
		},
		{
			name:   "hevc and ac-3",
			args:   join(pictures("320x180", "25", 11), "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=50:min-keyint=50:scenecut=0 -c:a ac3", mpegts+"OUT"),
			format: Format{Codecs: "hvc1.1.6.L60.90,ac-3", Width: 320, Height: 180, FrameRate: 25, HasVideo: true, HasAudio: true},
			pieces: 5, length: 2 * time.Second,
		},
		{
			name:   "mpeg-2 and mp2",
			args:   join(pictures("320x192", "25", 11), "-c:v mpeg2video -g 25 -bf 0 -sc_threshold 1000000000 -c:a mp2", mpegts+"OUT"),
			format: Format{Codecs: "mp4v.61,mp4a.40.33", Width: 320, Height: 192, FrameRate: 25, HasVideo: true, HasAudio: true},
			pieces: 5, length: 2 * time.Second,
		},
		{
			name:   "two audio tracks of one codec, and opus",
			args:   join(pictures("320x180", "25", 11), "-map 0:v -map 1:a -map 1:a -map 1:a -c:v libx264 -preset ultrafast -g 50 -bf 0 -c:a:0 aac -c:a:1 aac -c:a:2 libopus", mpegts+"OUT"),
			format: Format{Codecs: "avc1.42c00c,mp4a.40.2,opus", Width: 320, Height: 180, FrameRate: 25, HasVideo: true, HasAudio: true},
			pieces: 5, length: 2 * time.Second,
		},
		{
			name:   "video only with a keyframe every 3 s",
			args:   join(pictures("320x180", "50", 11), "-an -c:v libx264 -preset ultrafast -g 150", mpegts+"OUT"),
			format: Format{Codecs: "avc1.42c015", Width: 320, Height: 180, FrameRate: 50, HasVideo: true},
			pieces: 3, length: 3 * time.Second,
		},
		{
			name:   "aac only",
			args:   join(pictures("320x180", "25", 11), "-vn -c:a aac -b:a 64k", mpegts+"OUT"),
			format: Format{Codecs: "mp4a.40.2", HasAudio: true},
			pieces: 5,
		},
		{
			name:   "timestamps that wrap",
			args:   join(pictures("320x180", "25", 11), "-output_ts_offset 95440.7 -c:v libx264 -preset ultrafast -g 50 -c:a aac", mpegts+"OUT"),
			format: Format{Codecs: "avc1.42c00c,mp4a.40.2", Width: 320, Height: 180, FrameRate: 25, HasVideo: true, HasAudio: true},
			pieces: 5, length: 2 * time.Second,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := ffmpeg(t, tt.args...)
			counters := &Counters{}
			c := newCutter(t, CutterOptions{Counters: counters})
			pieces := cutAll(t, c, in)
			checkPieces(t, pieces, target, limit)
			if len(pieces) != tt.pieces {
				t.Errorf("got %d pieces, want %d", len(pieces), tt.pieces)
			}
			for i, p := range pieces {
				if p.Index != i || p.Void != "" || p.Break {
					t.Errorf("piece %d: got index %d, void %q, break %v", i, p.Index, p.Void, p.Break)
				}
				if tt.length != 0 && p.Duration != tt.length {
					t.Errorf("piece %d lasts %v, want %v", i, p.Duration, tt.length)
				}
				if diff := cmp.Diff(p.Format, tt.format); diff != "" {
					t.Errorf("format of piece %d (-got +want):\n%s", i, diff)
				}
				if i > 0 && span(p.Start-pieces[i-1].Start) != pieces[i-1].Duration {
					t.Errorf("piece %d starts %d ticks after the one before, which lasts %v", i, p.Start-pieces[i-1].Start, pieces[i-1].Duration)
				}
			}
			// A second run goes on with the same counters: still one clean stream.
			c.Close()
			again := cutAll(t, newCutter(t, CutterOptions{Counters: counters}), in)
			if got := counterErrors(t, concat(pieces, again)); len(got) > 0 {
				t.Errorf("counters break: %v", got)
			}
			if got := decode(t, concat(pieces)); got != "" {
				t.Errorf("decoding the pieces in a row:\n%s", got)
			}
		})
	}
}

func TestCutterLinesUpALadder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// Without an offset FFmpeg shifts each output by its own first negative DTS.
	args := join("-copyts", pictures("640x360", "30000/1001", 13),
		"-filter_complex [0:v]split=2[a][b];[b]scale=-2:180[c]",
		"-map [a] -map 1:a -c:v libx264 -preset ultrafast -sc_threshold 0 -g 60 -c:a aac -output_ts_offset 10 -mpegts_copyts 1", mpegts+dir+"/0.ts",
		"-map [c] -map 1:a -c:v libx264 -preset ultrafast -bf 2 -sc_threshold 0 -g 60 -c:a aac -output_ts_offset 10 -mpegts_copyts 1", mpegts+"OUT")
	low := ffmpeg(t, args...)
	high, err := os.ReadFile(filepath.Join(dir, "0.ts"))
	if err != nil {
		t.Fatal(err)
	}
	rs := renditions(t, NewTimeline(target, limit), high, low)
	step(t, rs, len(high)/4)
	type at struct {
		Index    int
		Start    int64
		Duration time.Duration
	}
	var cuts [2][]at
	for i, r := range rs {
		checkPieces(t, r.pieces, target, limit)
		for _, p := range published(r.pieces) {
			cuts[i] = append(cuts[i], at{p.Index, p.Start, p.Duration})
		}
	}
	if len(cuts[0]) < 6 {
		t.Errorf("got %d pieces of 13 s, want 6", len(cuts[0]))
	}
	if diff := cmp.Diff(cuts[0], cuts[1]); diff != "" {
		t.Errorf("cuts of the renditions differ:\n%s", diff)
	}
}

func TestCutterFollowsAChangeOfResolution(t *testing.T) {
	t.Parallel()
	encode := func(size, offset string) []byte {
		return ffmpeg(t, join(pictures(size, "25", 7), "-output_ts_offset "+offset+" -c:v libx264 -preset ultrafast -bf 2 -g 50 -c:a aac", mpegts+"OUT")...)
	}
	in := append(encode("320x180", "0"), encode("640x360", "7")...)
	pieces := cutAll(t, newCutter(t, CutterOptions{}), in)
	checkPieces(t, pieces, target, limit)
	var got []string
	for _, p := range pieces {
		got = append(got, fmt.Sprintf("%d %s %v %d", p.Index, p.Void, p.Break, p.Format.Width))
	}
	want := []string{"0  false 320", "1  false 320", "2  false 320", "3 format_change false 0", "4  true 640", "5  false 640", "6  false 640"}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("pieces (-got +want):\n%s", diff)
	}
	if broken := counterErrors(t, concat(pieces)); len(broken) > 0 {
		t.Errorf("counters break: %v", broken)
	}
	if msg := decode(t, concat(pieces)); msg != "" {
		t.Errorf("decoding:\n%s", msg)
	}
}
