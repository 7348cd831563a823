package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// Codecs of a recipe. The zero values of Recipe's fields stand for the usual ones.
const (
	H264  = "libx264"
	HEVC  = "libx265"
	MPEG2 = "mpeg2video"
	AAC   = "aac"
	MP2   = "mp2"
	None  = "none"
)

// Duration is the length of every loop. Pictures at 25 per second, AAC frames of
// 1024 samples at 48 kHz and GOPs of 1, 2, 4 and 8 s all fit into it a whole number
// of times, so that nothing is cut at the seam.
const Duration = 16 * time.Second

const frameRate = 25

// Recipe says what FFmpeg is to make. It is comparable: equal recipes are made once.
type Recipe struct {
	// GOP is the distance of keyframes; 0 means 2 s. Duration means that only the
	// loop's first picture is one.
	GOP time.Duration
	// Bitrate of the video in bits per second, kept constant; 0 means 400,000.
	Bitrate int
	// Height of the picture in pixels, 16:9; 0 means 180.
	Height int
	// Video is the encoder of the pictures: H264 (""), HEVC, MPEG2 or None.
	Video string
	// Audio is the encoder of the sound: AAC (""), MP2 or None.
	Audio string
}

func (r Recipe) withDefaults() Recipe {
	if r.GOP == 0 {
		r.GOP = 2 * time.Second
	}
	if r.Bitrate == 0 {
		r.Bitrate = 400_000
	}
	if r.Height == 0 {
		r.Height = 180
	}
	if r.Video == "" {
		r.Video = H264
	}
	if r.Audio == "" {
		r.Audio = AAC
	}
	return r
}

// check tells what Make cannot do. Every loop has an entry at each multiple of its GOP.
func (r Recipe) check() error {
	switch {
	case r.Video == None && r.Audio == None:
		return errors.New("a recipe has neither video nor audio; leave one of them out")
	case r.GOP < time.Second || Duration%r.GOP != 0 || r.GOP%time.Second != 0:
		return fmt.Errorf("a GOP of %v does not fit into %v; choose 1, 2, 4, 8 or 16 s", r.GOP, Duration)
	}
	return nil
}

// Make has FFmpeg encode one loop. It takes about a second.
func Make(ctx context.Context, r Recipe) (*Loop, error) {
	r = r.withDefaults()
	if err := r.check(); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "ffmpeg", r.args()...)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("making a loop of %+v with ffmpeg: %w: %s", r, err, bytes.TrimSpace(words.Bytes()))
	}
	return NewLoop(out.Bytes(), Duration)
}

func (r Recipe) args() []string {
	seconds := strconv.Itoa(int(Duration.Seconds()))
	args := []string{"-nostdin", "-hide_banner", "-loglevel", "error"}
	if r.Video != None {
		width := (r.Height*16/9 + 1) / 2 * 2
		args = append(args, "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%dx%d:rate=%d", width, r.Height, frameRate))
	}
	if r.Audio != None {
		args = append(args, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000")
	}
	args = append(args, "-t", seconds)
	if r.Video != None {
		args = append(args, r.video()...)
	}
	if r.Audio != None {
		args = append(args, "-c:a", r.Audio, "-b:a", "64k", "-ac", "2", "-ar", "48000")
	}
	// One audio frame in each PES: the loop's end can be cut to the frame.
	return append(args, "-f", "mpegts", "-pes_payload_size", "0", "-muxdelay", "0", "-muxpreload", "0", "pipe:1")
}

func (r Recipe) video() []string {
	rate := strconv.Itoa(r.Bitrate)
	gop := strconv.Itoa(int(r.GOP.Seconds()) * frameRate)
	args := []string{
		"-c:v", r.Video, "-pix_fmt", "yuv420p", "-g", gop, "-bf", "0",
		"-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate,
	}
	switch r.Video {
	case H264:
		return append(args, "-preset", "ultrafast", "-sc_threshold", "0", "-keyint_min", gop, "-x264-params", "nal-hrd=cbr")
	case HEVC:
		return append(args, "-preset", "ultrafast", "-x265-params", "log-level=error:scenecut=0:open-gop=0:min-keyint="+gop+":keyint="+gop)
	}
	return append(args, "-sc_threshold", "1000000000")
}
