package ingest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/source"
)

// MinWindow is the least number of segments that a media playlist lists once the
// stream has run for a while (HLS authoring specification, item 8.11).
const MinWindow = 6

// StreamSpec is one stream that this edge must carry.
type StreamSpec struct {
	// ID names the stream in paths, tokens, logs and the state folder.
	ID string
	// Sources in order of preference.
	Sources []source.Source
	// Renditions is the ladder in the order in which the multivariant playlist lists it.
	Renditions []ffmpeg.Rendition
	// Encoding is how the renditions that are not copied are encoded.
	Encoding ffmpeg.Encoding
	// Audio are the languages that viewers may choose from; none: what the source has
	// first, and no choice.
	Audio []AudioTrack
	// Captions name the captions that the pictures carry; none: they are named CC1.
	Captions []CaptionTrack
	// SegmentDuration is T: no segment is shorter.
	SegmentDuration time.Duration
	// LongestGOP is the longest distance of keyframes that the stream may have.
	LongestGOP time.Duration
	// Window is the number of segments in a media playlist.
	Window int
	// IdleAfter makes the stream one on demand: it starts with its first viewer and
	// stops when it had none for so long. 0: it always runs.
	IdleAfter time.Duration
	// ReturnAfter is how long a more preferred source must have delivered beside a
	// running backup until the stream returns to it.
	ReturnAfter time.Duration
	// Limits is what its child may use, as far as the machine enforces it.
	Limits Limits
	// MinMSN and MinDiscontinuity are the lowest numbers that a packager without a
	// window may use: one above what any edge ever reported.
	MinMSN, MinDiscontinuity int64
}

// AudioTrack is a language that viewers may choose.
type AudioTrack struct {
	// Language is a tag of RFC 5646, "de"; Label what a player's menu shows.
	Language, Label string
	// Rendition is the one that holds it; empty: the renditions with pictures.
	Rendition string
}

// CaptionTrack is CEA-608 or CEA-708 captions within the pictures.
type CaptionTrack struct {
	// InstreamID is CC1 to CC4 or SERVICE1 to SERVICE63.
	InstreamID string
	// Language is a tag of RFC 5646, "de"; Label what a player's menu shows.
	Language, Label string
}

// TargetDuration is EXT-X-TARGETDURATION in seconds: ceil(T + longest GOP). It is
// fixed for the life of the stream (RFC 8216bis §6.2.1).
func (s *StreamSpec) TargetDuration() int {
	return int(math.Ceil((s.SegmentDuration + s.LongestGOP).Seconds()))
}

// Equal tells whether both ask for the same child and the same playlists. The
// numbers to start from are left out: they matter to a cold start only.
func (s *StreamSpec) Equal(o *StreamSpec) bool {
	return s.ID == o.ID && s.IdleAfter == o.IdleAfter && s.ReturnAfter == o.ReturnAfter && s.sameMedia(o)
}

// sameMedia tells whether one child and its segments serve both.
func (s *StreamSpec) sameMedia(o *StreamSpec) bool {
	return slices.Equal(s.Sources, o.Sources) && slices.Equal(s.Renditions, o.Renditions) && s.Limits == o.Limits && s.Encoding == o.Encoding &&
		slices.Equal(s.Audio, o.Audio) && slices.Equal(s.Captions, o.Captions) && s.sameTiming(o)
}

// sameTiming tells whether both can share one playlist: TARGETDURATION never changes.
func (s *StreamSpec) sameTiming(o *StreamSpec) bool {
	return s.SegmentDuration == o.SegmentDuration && s.LongestGOP == o.LongestGOP && s.Window == o.Window
}

func (s *StreamSpec) check() error {
	switch {
	case s.ID == "":
		return errors.New("a stream has no id")
	case len(s.Sources) == 0:
		return fmt.Errorf("stream %q has no source; name at least one", s.ID)
	case len(s.Renditions) == 0:
		return fmt.Errorf("stream %q has no rendition; name at least one", s.ID)
	case s.IdleAfter < 0:
		return fmt.Errorf("stream %q is to stop after %s without viewers; give a time above 0", s.ID, s.IdleAfter)
	case s.SegmentDuration < time.Second || s.LongestGOP <= 0:
		return fmt.Errorf("stream %q: segments of %s with GOPs of up to %s; segments last at least 1 s", s.ID, s.SegmentDuration, s.LongestGOP)
	case s.Window < MinWindow, time.Duration(s.Window)*s.SegmentDuration < 3*time.Duration(s.TargetDuration())*time.Second:
		return fmt.Errorf("stream %q: a window of %d segments is less than %d segments or three target durations of %d s", s.ID, s.Window, MinWindow, s.TargetDuration())
	}
	return nil
}

// job is the FFmpeg process that makes the stream from one of its sources.
// at says what the source needs to know; the stream's own part of it is filled in.
func (s *StreamSpec) job(index int, at source.Place) ffmpeg.Job {
	at.Stream, at.Height = s.ID, s.tallest()
	return ffmpeg.Job{
		Input:      s.Sources[index].Input(at),
		Renditions: s.Renditions,
		Keyframes:  s.SegmentDuration,
		Encoding:   s.Encoding,
	}
}

// Cores estimates how many processor cores the stream's child keeps busy.
func (s *StreamSpec) Cores() float64 { return s.job(0, source.Place{}).Cores() }

// tallest is the picture height that a generated source is made with.
func (s *StreamSpec) tallest() int {
	height := 0
	for _, r := range s.Renditions {
		height = max(height, r.Height)
	}
	if height == 0 {
		return 360
	}
	return height
}
