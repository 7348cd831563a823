package snapshot

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
)

// Bounds of what a document may ask for.
const (
	// MaxSources bounds the order of preference of one stream.
	MaxSources = 8
	// MaxRenditions bounds one ladder.
	MaxRenditions = 12
	// MinWindow is the least number of segments in a playlist (HLS authoring specification, item 8.11).
	MinWindow = 6
	// MaxWindow keeps a ring, which holds 2 × window + 1 segments, within reason.
	MaxWindow = 120
)

// Check tells the first thing in the document that no edge could carry out.
// The error names the item.
func (d *Document) Check() error {
	if d.Epoch < 0 || d.Version < 0 || d.IssuedAt < 0 {
		return errors.New("epoch, version and issued_at cannot be negative")
	}
	if err := checkID("group", d.Group); err != nil {
		return err
	}
	edges := make(map[string]bool, len(d.Edges))
	for _, e := range d.Edges {
		if err := checkID("edge", e.ID); err != nil {
			return err
		}
		if edges[e.ID] {
			return fmt.Errorf("edge %q is listed twice", e.ID)
		}
		edges[e.ID] = true
	}
	streams := make(map[string]bool, len(d.Streams))
	for i := range d.Streams {
		s := &d.Streams[i]
		if err := s.check(edges); err != nil {
			return fmt.Errorf("stream %q: %w", s.ID, err)
		}
		if streams[s.ID] {
			return fmt.Errorf("stream %q is listed twice", s.ID)
		}
		streams[s.ID] = true
	}
	for reseller, g := range d.Grants {
		if err := g.check(streams); err != nil {
			return fmt.Errorf("grants of reseller %q: %w", reseller, err)
		}
	}
	return nil
}

// check makes sure that the grant is about streams of the document.
func (g Grant) check(streams map[string]bool) error {
	for _, list := range [][]string{g.Show, g.Publish, g.Relay} {
		if err := checkStreams(list, streams); err != nil {
			return err
		}
	}
	for name, list := range g.Bouquets {
		if err := checkStreams(list, streams); err != nil {
			return fmt.Errorf("bouquet %q: %w", name, err)
		}
	}
	return nil
}

func checkStreams(ids []string, streams map[string]bool) error {
	for _, id := range ids {
		if !streams[id] {
			return fmt.Errorf("stream %q is not in the document", id)
		}
	}
	return nil
}

func (s *Stream) check(edges map[string]bool) error {
	if err := checkID("stream", s.ID); err != nil {
		return err
	}
	for _, id := range append([]string{s.Primary}, s.Relays...) {
		if id != "" && !edges[id] {
			return fmt.Errorf("it is assigned to edge %q, which the document does not list", id)
		}
	}
	if len(s.Sources) == 0 {
		return errors.New("it has no source; name at least one")
	}
	if len(s.Sources) > MaxSources {
		return fmt.Errorf("it has %d sources; %d are allowed", len(s.Sources), MaxSources)
	}
	if err := s.checkSources(); err != nil {
		return err
	}
	if err := checkLadder(s.Renditions); err != nil {
		return err
	}
	if err := s.checkTracks(); err != nil {
		return err
	}
	if s.OnDemand && !(s.IdleSeconds >= 1 && s.IdleSeconds <= 86_400) {
		return fmt.Errorf("on demand, it is to stop after %g s without viewers; choose 1 s to 24 h", s.IdleSeconds)
	}
	return s.checkTiming()
}

func (s *Stream) checkSources() error {
	pushed := 0
	for i, src := range s.Sources {
		if err := CheckSource(src); err != nil {
			return fmt.Errorf("source %d: %w", i+1, err)
		}
		if strings.HasPrefix(src, "slate:") && i < len(s.Sources)-1 {
			return fmt.Errorf("source %d is a slate, which never fails: what stands behind it would never be used; make it the last", i+1)
		}
		if src == "push:" {
			pushed++
		}
	}
	if pushed > 1 {
		return errors.New("it has the source push: more than once; a stream has one publisher")
	}
	if !(s.ReturnAfterSeconds >= 0 && s.ReturnAfterSeconds <= 3600) {
		return fmt.Errorf("a return to the preferred source after %g s; choose 0 s to 1 h", s.ReturnAfterSeconds)
	}
	return nil
}

func (s *Stream) checkTiming() error {
	switch {
	case math.IsNaN(s.SegmentSeconds), s.SegmentSeconds < 1, s.SegmentSeconds > 20:
		return fmt.Errorf("segments of %g s; choose 1 to 20 s", s.SegmentSeconds)
	case math.IsNaN(s.LongestGOPSeconds), s.LongestGOPSeconds < 0.1, s.LongestGOPSeconds > 30:
		return fmt.Errorf("a longest GOP of %g s; choose 0.1 to 30 s", s.LongestGOPSeconds)
	case s.Window < MinWindow, s.Window > MaxWindow:
		return fmt.Errorf("a window of %d segments; choose %d to %d", s.Window, MinWindow, MaxWindow)
	case float64(s.Window)*s.SegmentSeconds < 3*float64(s.TargetSeconds()):
		// RFC 8216bis §6.2.2: a live playlist holds at least three target durations.
		return fmt.Errorf("a window of %d segments is shorter than three target durations of %d s; raise the window to %d or lower the longest GOP",
			s.Window, s.TargetSeconds(), s.LeastWindow())
	case s.MinMSN < 0, s.MinDiscontinuity < 0:
		return errors.New("min_msn and min_discontinuity cannot be negative")
	}
	return nil
}

// TargetSeconds is the stream's TARGETDURATION: segment duration plus longest GOP, rounded up.
func (s *Stream) TargetSeconds() int {
	// A nanosecond absorbs what binary fractions add to a sum that is whole.
	return int(math.Ceil(s.SegmentSeconds + s.LongestGOPSeconds - 1e-9))
}

// LeastWindow is the smallest window that holds three target durations.
func (s *Stream) LeastWindow() int {
	return max(MinWindow, int(math.Ceil(3*float64(s.TargetSeconds())/s.SegmentSeconds)))
}

func checkLadder(ladder []Rendition) error {
	if len(ladder) == 0 {
		return errors.New("it has no rendition; name at least one")
	}
	if len(ladder) > MaxRenditions {
		return fmt.Errorf("it has %d renditions; %d are allowed", len(ladder), MaxRenditions)
	}
	seen := make([]string, 0, len(ladder))
	for _, r := range ladder {
		if err := checkID("rendition", r.Name); err != nil {
			return err
		}
		if slices.Contains(seen, r.Name) {
			return fmt.Errorf("rendition %q is listed twice", r.Name)
		}
		seen = append(seen, r.Name)
		if err := r.check(); err != nil {
			return fmt.Errorf("rendition %q: %w", r.Name, err)
		}
	}
	return nil
}

func (r Rendition) check() error {
	switch {
	case r.AudioOnly && (r.Height != 0 || r.VideoBitrate != 0):
		return errors.New("it is sound only; leave height and video bit rate out")
	case r.Copy && (r.Height != 0 || r.VideoBitrate != 0 || r.AudioBitrate != 0):
		return errors.New("a copy has the source's size and bit rate; leave them out")
	case r.Copy:
		return nil
	case r.Height != 0 && (r.Height < 64 || r.Height > 4320 || r.Height%2 != 0):
		return fmt.Errorf("a height of %d; choose an even number from 64 to 4320", r.Height)
	case !r.AudioOnly && (r.VideoBitrate < 50_000 || r.VideoBitrate > 100_000_000):
		return fmt.Errorf("a video bit rate of %d bit/s; choose 50k to 100m", r.VideoBitrate)
	case r.AudioBitrate < 16_000, r.AudioBitrate > 512_000:
		return fmt.Errorf("an audio bit rate of %d bit/s; choose 16k to 512k", r.AudioBitrate)
	}
	return nil
}

// CheckSource tells whether text is a source that an edge may be given: an
// http, https, rtmp, rtmps, srt or udp URL, "file:" with a path, "push:" (what an
// encoder sends to the edge), "test:", or "slate:" with nothing or a path behind it.
// Whether its address may be reached is decided where the connection is made.
// The error never holds the text, which may carry a password.
func CheckSource(text string) error {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("the URL holds a control character")
	}
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("it is not a URL; write one as https://host/path")
	}
	switch u.Scheme {
	case "http", "https", "rtmp", "rtmps", "srt", "udp":
		if u.Hostname() == "" {
			return fmt.Errorf("the %s URL names no host", u.Scheme)
		}
		return nil
	case "file":
		if strings.TrimPrefix(text, "file:") == "" {
			return errors.New("file: names no file; write file:/path/to/media")
		}
		return nil
	case "test":
		if text != "test:" {
			return errors.New("the test pattern is written test: with nothing behind it")
		}
		return nil
	case "push":
		if text != "push:" {
			return errors.New("what an encoder pushes is written push: with nothing behind it")
		}
		return nil
	case "slate":
		if path := strings.TrimPrefix(text, "slate:"); path != "" && !strings.HasPrefix(path, "/") {
			return errors.New("the slate's file needs its whole path, as in slate:/path/to/card.png")
		}
		return nil
	case "":
		return errors.New("it has no scheme; write http, https, rtmp, rtmps, srt, udp, push, file or test in front of a colon")
	}
	return fmt.Errorf("scheme %q is not supported; use http, https, rtmp, rtmps, srt, udp, push, file or test", u.Scheme)
}

// checkID holds ids to the alphabet that tokens and paths share (contracts of the
// stream token: id = 1*32(ALPHA / DIGIT / "-" / "_")).
func checkID(what, id string) error {
	if id == "" {
		return fmt.Errorf("a %s has no id", what)
	}
	bad := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_'
	}
	if len(id) > 32 || strings.ContainsFunc(id, bad) {
		return fmt.Errorf("%s %q: an id has 1 to 32 characters of A-Z a-z 0-9 - _", what, id)
	}
	return nil
}
