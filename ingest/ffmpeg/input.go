package ffmpeg

import (
	"fmt"
	"strings"
	"time"
)

// networkTimeout bounds each read of a network input. The watchdog on output
// decides; this only frees a child that nobody watches any more.
const networkTimeout = "10000000" // µs

// bounds keep FFmpeg from reading seconds of a live source before it starts, and
// from what hostile media can make it do: thousands of streams, pictures without
// end, decoders that hardly anybody has looked at. They are no boundary, what
// confines the process is; they are where most attempts end.
var bounds = []string{
	"-probesize", "2000000", "-analyzeduration", "1500000", "-max_streams", "64", "-max_pixels", "33554432",
	"-codec_whitelist", "h264,hevc,mpeg1video,mpeg2video,mpeg4,aac,aac_latm,mp1float,mp1,mp2float,mp2,mp3float,mp3,ac3,eac3,opus,libopus",
}

// What is read as media, and as what an HLS playlist may list.
const (
	mediaFormats    = "mpegts,mov,flv,aac,mp3,hls"
	playlistFormats = "hls,mpegts,mov,aac,mp3,ac3,eac3,webvtt"
)

// HTTPInput reads a URL by plain http, through the proxy that the child's
// environment names: it needs no other protocol. playlist says that HLS is there.
func HTTPInput(url string, playlist bool) Input {
	in := append([]string{"-protocol_whitelist", "http,tcp,crypto", "-rw_timeout", networkTimeout}, bounds...)
	if !playlist {
		return Input{Options: append(in, "-format_whitelist", mediaFormats, "-i", url)}
	}
	// -re: an HLS source comes in bursts of whole files, which would look like a
	// stall between two of them.
	in = append(in, "-format_whitelist", playlistFormats, "-re", "-f", "hls", "-http_persistent", "0", "-max_reload", "10", "-m3u8_hold_counters", "30")
	return Input{Options: append(in, "-i", url)}
}

// FeedInput reads MPEG-TS on the standard input: the child itself reaches for nothing.
func FeedInput() Input {
	in := append([]string{"-protocol_whitelist", "pipe", "-format_whitelist", "mpegts", "-f", "mpegts"}, bounds...)
	return Input{Options: append(in, "-i", "pipe:0")}
}

// How long a loop's list may become.
const (
	maxLoops     = 10_000
	maxListBytes = 1 << 20
)

// Loop is a list that names a local file again and again, for FileInput.
//
// It stands in for -stream_loop, which seeks back and in a transport stream lands
// behind the first keyframe: each round would begin with a GOP that nobody can
// decode. When the list ends, so does FFmpeg, and it is started anew.
func Loop(path string) string {
	line := "file 'file:" + strings.ReplaceAll(path, "'", `'\''`) + "'\n"
	return "ffconcat version 1.0\n" + strings.Repeat(line, max(1, min(maxLoops, maxListBytes/len(line))))
}

// FileInput reads the files of a list at their own pace. list is its path.
func FileInput(list string) Input {
	return Input{Options: []string{"-protocol_whitelist", "file", "-re", "-f", "concat", "-safe", "0", "-i", "file:" + list}}
}

// TestInput is a test pattern: colour bars that move, the time of day, the
// stream's name, and a tone of 440 Hz.
//
// Its timeline starts at the given offset, in whole seconds: where the clock
// stands, a restart goes on like a real source would. The offset is part of the
// graph, because FFmpeg's own (-itsoffset) would be waited for under -re.
func TestInput(name string, height int, offset time.Duration) Input {
	width := (height*16/9 + 15) / 16 * 16
	graph := fmt.Sprintf("smptebars=size=%[1]dx%[2]d:rate=25,scroll=horizontal=0.004,"+
		"drawtext=text='%[3]s':x=(w-tw)/2:y=h*0.12:fontsize=h/9:fontcolor=white:box=1:boxcolor=black@0.6:boxborderw=8,"+
		"drawtext=text='%%{localtime\\:%%T}':x=(w-tw)/2:y=h*0.72:fontsize=h/7:fontcolor=white:box=1:boxcolor=black@0.6:boxborderw=8,"+
		"setpts=PTS+%[4]d/TB[out0];sine=frequency=440:sample_rate=48000,volume=0.2,asetpts=PTS+%[4]d/TB[out1]",
		width, height, escapeDrawtext(name), int(offset.Seconds()))
	return Input{Generated: true, Options: []string{"-re", "-f", "lavfi", "-i", graph}}
}

// Card is the size of a slate's picture and what stands on it.
type Card struct {
	// Name is the stream's.
	Name string
	// Height is the picture's, in pixels; it is 16:9.
	Height int
	// Picture is the path of an image that takes the name's place; empty: none.
	Picture string
}

// SlateInput is a card that stands still, with silence. Its timeline starts at the
// given offset, as TestInput's does.
func SlateInput(c Card, offset time.Duration) Input {
	width := (c.Height*16/9 + 15) / 16 * 16
	picture := fmt.Sprintf("color=c=0x1b2430:size=%dx%d:rate=25,drawtext=text='%s':x=(w-tw)/2:y=(h-th)/2:fontsize=h/8:fontcolor=0xd8dee6",
		width, c.Height, escapeDrawtext(c.Name))
	if c.Picture != "" {
		picture = fmt.Sprintf("movie=filename='%[3]s',loop=loop=-1:size=1:start=0,setpts=N/25/TB,fps=25,"+
			"scale=%[1]d:%[2]d:force_original_aspect_ratio=decrease,pad=%[1]d:%[2]d:(ow-iw)/2:(oh-ih)/2,setsar=1", width, c.Height, c.Picture)
	}
	graph := fmt.Sprintf("%s,format=yuv420p,setpts=PTS+%[2]d/TB[out0];anullsrc=r=48000:cl=stereo,asetpts=PTS+%[2]d/TB[out1]", picture, int(offset.Seconds()))
	return Input{Generated: true, Options: []string{"-re", "-f", "lavfi", "-i", graph}}
}

// IsPicture tells whether SlateInput can be given this path of an image: what could
// end the graph's text is not escaped, but refused.
func IsPicture(path string) bool {
	plain := func(r rune) bool {
		return strings.ContainsRune("/._- ", r) || (r >= '0' && r <= '9') || (r >= 'A' && r <= 'Z') || (r >= 'a' && r <= 'z')
	}
	return IsPictureName(path[max(0, strings.LastIndexByte(path, '.')):]) && strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0
}

// IsPictureName tells whether an image has this extension, ".png".
func IsPictureName(extension string) bool {
	switch strings.ToLower(extension) {
	case ".png", ".jpg", ".jpeg", ".bmp", ".webp":
		return true
	}
	return false
}

// escapeDrawtext keeps what a stream id may hold and drops everything else, so
// that nothing in a name can end the filter's text.
func escapeDrawtext(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || (r >= '0' && r <= '9') || (r >= 'A' && r <= 'Z') || (r >= 'a' && r <= 'z') {
			return r
		}
		return -1
	}, name)
}
