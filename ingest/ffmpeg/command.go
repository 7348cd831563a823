// Package ffmpeg turns a stream's renditions into an FFmpeg command line, and
// FFmpeg's progress and log lines into events. It starts nothing: it is pure.
package ffmpeg

import (
	"fmt"
	"strconv"
	"time"
)

// ProgressFD is the child's file descriptor that carries progress reports; the
// renditions follow from FirstRenditionFD on, in their order.
const (
	ProgressFD       = 3
	FirstRenditionFD = 4
)

// Input is what one FFmpeg reads. Its options are made by typed code only, never
// from raw text of an operator.
type Input struct {
	// Options ends with "-i" and its argument.
	Options []string
	// Generated marks pictures and sound that are made, not decoded: there is
	// nothing to copy, so that a copy rendition is encoded as well.
	Generated bool
	// Opus marks sound in Opus, which HLS players do not take in MPEG-TS: a copy
	// rendition encodes the sound and copies the pictures.
	Opus bool
}

// Rendition is one output: a rung of the ladder.
type Rendition struct {
	// Name is the rendition's path segment.
	Name string
	// Copy passes video and audio on without touching them.
	Copy bool
	// Height of the picture in pixels; 0 keeps the source's.
	Height int
	// VideoBitrate and AudioBitrate are in bits per second.
	VideoBitrate, AudioBitrate int
	// AudioOnly leaves the pictures out.
	AudioOnly bool
	// Track is the language of the source's audio track that it has, as the source
	// writes it ("deu", ISO 639-2 in MPEG-TS); empty: the first track.
	Track string
}

// Job is one FFmpeg process: an input and the renditions made from it.
type Job struct {
	Input      Input
	Renditions []Rendition
	// Keyframes is the distance of keyframes in renditions that are encoded and
	// have no copy beside them whose keyframes they must share.
	Keyframes time.Duration
	// Encoding is how it encodes.
	Encoding Encoding
}

// What a copy rendition becomes where there is nothing to copy.
const (
	generatedVideoBitrate = 800_000
	generatedAudioBitrate = 96_000
)

// opusAudioBitrate is what Opus becomes in AAC where the rest is copied.
const opusAudioBitrate = 160_000

// maxAlloc is the largest piece of memory that FFmpeg asks for at a time, in bytes.
const maxAlloc = "268435456"

// Args is the argument list, without the program's name. Each rendition is an
// MPEG-TS on its own pipe; no segment is made by FFmpeg.
//
// -copyts keeps the source's clock, so that a restart continues the timeline and
// the cutter sees a jump as one. avoid_negative_ts would shift each output by
// an amount of its own and pull the renditions' keyframes apart.
func (j Job) Args() []string {
	args := []string{
		"-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+warning", "-max_alloc", maxAlloc,
		"-stats_period", "0.5", "-progress", "pipe:" + strconv.Itoa(ProgressFD), "-copyts",
	}
	if j.NeedsEncoder() {
		args = append(args, j.Encoding.Hardware.open()...)
	}
	args = append(args, j.Input.Options...)
	for i, r := range j.Renditions {
		args = append(args, j.rendition(r)...)
		args = append(args,
			"-max_interleave_delta", "1000000", "-avoid_negative_ts", "disabled",
			"-f", "mpegts", "-mpegts_copyts", "1", "-muxdelay", "0", "-muxpreload", "0", "-flush_packets", "1",
			"pipe:"+strconv.Itoa(FirstRenditionFD+i))
	}
	return args
}

func (j Job) rendition(r Rendition) []string {
	var args []string
	if !r.AudioOnly {
		args = append(args, "-map", "0:v:0?")
	}
	args = append(args, "-map", j.track(r))
	if r.Copy && !j.Input.Generated {
		if j.Input.Opus {
			return append(append(args, "-c:v", "copy"), j.Encoding.audio(opusAudioBitrate)...)
		}
		return append(args, "-c", "copy")
	}
	if r.Copy {
		r.VideoBitrate, r.AudioBitrate = generatedVideoBitrate, generatedAudioBitrate
	}
	if !r.AudioOnly {
		args = append(args, j.Encoding.video(r, j.keyframes(), j.preset())...)
	}
	return append(args, j.Encoding.audio(r.AudioBitrate)...)
}

// track selects the sound. One that is asked for by name must be there; a source
// without any sound is one without.
func (j Job) track(r Rendition) string {
	switch {
	case r.Track != "" && !j.Input.Generated:
		return "0:a:m:language:" + r.Track
	case r.AudioOnly:
		return "0:a:0"
	}
	return "0:a:0?"
}

// preset favours a small machine where the picture is only a test pattern.
func (j Job) preset() string {
	if j.Input.Generated {
		return "ultrafast"
	}
	return "veryfast"
}

// keyframes places the keyframes of encoded renditions: where the source has them
// if a rendition copies it, else at the first frame at or after the distance since
// the last one. A grid counted from the first frame would make some distances a
// frame too short, and a segment is never shorter than T.
func (j Job) keyframes() string {
	for _, r := range j.Renditions {
		if r.Copy && !j.Input.Generated {
			return "source"
		}
	}
	// A microsecond forgives the fractions that timestamps in seconds carry.
	return fmt.Sprintf("expr:if(isnan(prev_forced_t),1,gte(t+0.000001,prev_forced_t+%g))", j.Keyframes.Seconds())
}

// NeedsEncoder tells whether any rendition is encoded.
func (j Job) NeedsEncoder() bool {
	for _, r := range j.Renditions {
		if !r.Copy || j.Input.Generated {
			return true
		}
	}
	return false
}
