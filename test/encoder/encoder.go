// Package encoder is an encoder as tests need it: it publishes a loop of media by
// RTMP, at the pace of time, in codecs that FFmpeg's own publisher may not know. It
// is not the library's server turned round: what it sends was made by FFmpeg.
package encoder

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/bluenviron/gortmplib"
	rtmpcodecs "github.com/bluenviron/gortmplib/pkg/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
)

// Encoders of a Recipe.
const (
	H264 = "libx264"
	HEVC = "libx265"
	AAC  = "aac"
	Opus = "libopus"
)

// length of a loop, which holds whole GOPs and whole frames of AAC and Opus.
const length = 8 * time.Second

// Recipe says what is published. Empty fields stand for H.264 and AAC.
type Recipe struct {
	Video, Audio string
	// Height of the picture, 16:9; 0 means 180.
	Height int
}

// Loop is media to publish.
type Loop struct {
	tracks []*gortmplib.Track
	units  []unit
}

// unit is one access unit.
type unit struct {
	at    time.Duration // its DTS
	write func(w *gortmplib.Writer, shift time.Duration) error
}

// Make has FFmpeg encode a loop: GOPs of a second, pictures at 25 per second.
func Make(ctx context.Context, r Recipe) (*Loop, error) {
	if r.Video == "" {
		r.Video = H264
	}
	if r.Audio == "" {
		r.Audio = AAC
	}
	if r.Height == 0 {
		r.Height = 180
	}
	args := []string{
		"-nostdin", "-v", "error", "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%dx%d:rate=25", (r.Height*16/9+1)/2*2, r.Height),
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", strconv.Itoa(int(length.Seconds())),
		"-c:v", r.Video, "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-keyint_min", "25", "-bf", "0", "-b:v", "400k",
		"-c:a", r.Audio, "-b:a", "64k", "-ac", "2", "-ar", "48000",
	}
	if r.Video == HEVC {
		args = append(args, "-x265-params", "log-level=error:scenecut=0:open-gop=0:keyint=25:min-keyint=25")
	}
	cmd := exec.CommandContext(ctx, "ffmpeg", append(args, "-f", "mpegts", "-pes_payload_size", "0", "-muxdelay", "0", "-muxpreload", "0", "pipe:1")...)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("making a loop of %+v: %w: %s", r, err, bytes.TrimSpace(words.Bytes()))
	}
	return read(&out)
}

// read takes an MPEG-TS apart.
func read(ts io.Reader) (*Loop, error) {
	r := &mpegts.Reader{R: ts}
	if err := r.Initialize(); err != nil {
		return nil, err
	}
	l := &Loop{}
	for _, t := range r.Tracks() {
		if err := l.add(r, t); err != nil {
			return nil, err
		}
	}
	for {
		if err := r.Read(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(l.units, func(a, b unit) int { return int(a.at - b.at) })
	return l, nil
}

func (l *Loop) add(r *mpegts.Reader, t *mpegts.Track) error {
	track := &gortmplib.Track{}
	l.tracks = append(l.tracks, track)
	put := func(dts int64, write func(w *gortmplib.Writer, shift time.Duration) error) {
		l.units = append(l.units, unit{duration(dts), write})
	}
	switch c := t.Codec.(type) {
	case *codecs.H264:
		parameters := &rtmpcodecs.H264{}
		track.Codec = parameters
		r.OnDataH264(t, func(pts, dts int64, au [][]byte) error {
			for _, nalu := range au {
				switch h264.NALUType(nalu[0] & 0x1f) {
				case h264.NALUTypeSPS:
					parameters.SPS = nalu
				case h264.NALUTypePPS:
					parameters.PPS = nalu
				}
			}
			put(dts, func(w *gortmplib.Writer, s time.Duration) error {
				return w.WriteH264(track, duration(pts)+s, duration(dts)+s, bare(au, func(n []byte) bool {
					typ := h264.NALUType(n[0] & 0x1f)
					return typ == h264.NALUTypeSPS || typ == h264.NALUTypePPS || typ == h264.NALUTypeAccessUnitDelimiter
				}))
			})
			return nil
		})
	case *codecs.H265:
		parameters := &rtmpcodecs.H265{}
		track.Codec = parameters
		r.OnDataH265(t, func(pts, dts int64, au [][]byte) error {
			for _, nalu := range au {
				switch h265.NALUType(nalu[0] >> 1 & 0x3f) {
				case h265.NALUType_VPS_NUT:
					parameters.VPS = nalu
				case h265.NALUType_SPS_NUT:
					parameters.SPS = nalu
				case h265.NALUType_PPS_NUT:
					parameters.PPS = nalu
				}
			}
			put(dts, func(w *gortmplib.Writer, s time.Duration) error {
				return w.WriteH265(track, duration(pts)+s, duration(dts)+s, bare(au, func(n []byte) bool {
					typ := h265.NALUType(n[0] >> 1 & 0x3f)
					return typ >= h265.NALUType_VPS_NUT && typ <= h265.NALUType_AUD_NUT
				}))
			})
			return nil
		})
	case *codecs.MPEG4Audio:
		config := c.Config
		track.Codec = &rtmpcodecs.MPEG4Audio{Config: &config}
		r.OnDataMPEG4Audio(t, func(pts int64, aus [][]byte) error {
			for i, au := range aus {
				at := pts + int64(i)*1920 // 1024 samples at 48 kHz
				put(at, func(w *gortmplib.Writer, s time.Duration) error { return w.WriteMPEG4Audio(track, duration(at)+s, au) })
			}
			return nil
		})
	case *codecs.Opus:
		track.Codec = &rtmpcodecs.Opus{IDHeader: &opus.IDHeader{Version: 1, ChannelCount: 2, PreSkip: 312, InputSampleRate: 48_000}}
		r.OnDataOpus(t, func(pts int64, packets [][]byte) error {
			for i, packet := range packets {
				at := pts + int64(i)*1800 // 20 ms
				put(at, func(w *gortmplib.Writer, s time.Duration) error { return w.WriteOpus(track, duration(at)+s, packet) })
			}
			return nil
		})
	default:
		return fmt.Errorf("a loop in %T cannot be published", t.Codec)
	}
	return nil
}

// bare leaves parameters out: in RTMP they are sent once.
func bare(au [][]byte, isParameter func([]byte) bool) [][]byte {
	return slices.DeleteFunc(slices.Clone(au), isParameter)
}

func duration(ticks int64) time.Duration { return time.Duration(ticks) * time.Second / 90_000 }

// Publish connects to an RTMP URL, rtmp://host/live/key, and sends the loop again and
// again until ctx is done, which is no error, or the server ends it.
func (l *Loop) Publish(ctx context.Context, to string) error {
	u, err := split(to)
	if err != nil {
		return err
	}
	c := &gortmplib.Client{URL: u, Publish: true, TLSConfig: &tls.Config{InsecureSkipVerify: true}}
	if err := c.Initialize(ctx); err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, c.Close)
	defer stop()
	w := &gortmplib.Writer{Conn: c, Tracks: l.tracks}
	if err := w.Initialize(); err != nil {
		return ended(ctx, err)
	}
	// What the server says is read, as encoders do, or its refusal would never be seen.
	refused := make(chan error, 1)
	go func() {
		for {
			if _, err := c.Read(); err != nil {
				refused <- err
				return
			}
		}
	}()
	return ended(ctx, l.play(ctx, w, refused))
}

// play writes the units when they are due.
func (l *Loop) play(ctx context.Context, w *gortmplib.Writer, refused <-chan error) error {
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for shift := -l.units[0].at; ; shift += length {
		for _, u := range l.units {
			timer.Reset(time.Until(began.Add(u.at + shift)))
			select {
			case <-timer.C:
			case err := <-refused:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := u.write(w, shift); err != nil {
				return err
			}
		}
	}
}

func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// split makes the stream key the fragment, where the library wants it.
func split(to string) (*url.URL, error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	rest, ok := cutApplication(u.Path)
	if !ok {
		return nil, fmt.Errorf("%s is no place to publish to: write rtmp://host/live/key", u.Redacted())
	}
	if u.RawQuery != "" {
		rest += "?" + u.RawQuery
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/live", Fragment: rest}, nil
}

func cutApplication(path string) (key string, ok bool) {
	const application = "/live/"
	if len(path) <= len(application) || path[:len(application)] != application {
		return "", false
	}
	return path[len(application):], true
}

// Serve plays the loop to a player that connected by RTMP, until it leaves or ctx is
// done, and tells which URL it asked for.
func (l *Loop) Serve(ctx context.Context, player net.Conn) (*url.URL, error) {
	stop := context.AfterFunc(ctx, func() { _ = player.Close() })
	defer stop()
	c := &gortmplib.ServerConn{RW: player}
	if err := c.Initialize(); err != nil {
		return nil, err
	}
	if err := c.Accept(); err != nil {
		return nil, err
	}
	if c.Publish {
		return c.URL, errors.New("it came to publish, not to play")
	}
	w := &gortmplib.Writer{Conn: c, Tracks: l.tracks}
	if err := w.Initialize(); err != nil {
		return c.URL, err
	}
	return c.URL, ended(ctx, l.play(ctx, w, nil))
}
