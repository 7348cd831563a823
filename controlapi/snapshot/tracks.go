package snapshot

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Presets are those of libx264 that a live stream has a use for, from the one that
// costs least to the one that looks best.
var Presets = []string{"ultrafast", "superfast", "veryfast", "faster", "fast", "medium"}

// Loudness to which sound may be brought, in LUFS: what FFmpeg's loudnorm takes.
const (
	minLoudness = -70
	maxLoudness = -5
)

// maxLabel bounds what a player's menu shows, in bytes.
const maxLabel = 64

// checkTracks looks at how the stream is encoded, and at its languages.
func (s *Stream) checkTracks() error {
	e := s.Encoding
	switch {
	case e.Preset != "" && !slices.Contains(Presets, e.Preset):
		return fmt.Errorf("preset %q is not known; choose one of %s", e.Preset, strings.Join(Presets, ", "))
	case e.Loudness != 0 && !(e.Loudness >= minLoudness && e.Loudness <= maxLoudness), math.IsNaN(e.Loudness):
		return fmt.Errorf("a loudness of %g LUFS; choose %d to %d, or leave it out", e.Loudness, minLoudness, maxLoudness)
	}
	var languages, labels, captions []string
	for _, a := range s.Audio {
		if err := checkTrack(a.Language, a.Label, &labels); err != nil {
			return fmt.Errorf("audio %q: %w", a.Language, err)
		}
		if slices.Contains(languages, a.Language) {
			return fmt.Errorf("audio %q is listed twice", a.Language)
		}
		languages = append(languages, a.Language)
		if name := "audio-" + a.Language; slices.ContainsFunc(s.Renditions, func(r Rendition) bool { return r.Name == name }) {
			return fmt.Errorf("rendition %q has the name that the sound in that language gets; give it another one", name)
		}
	}
	labels = nil
	for _, c := range s.Captions {
		if !isInstreamID(c.InstreamID) {
			return fmt.Errorf("captions %q: write CC1 to CC4 or SERVICE1 to SERVICE63", c.InstreamID)
		}
		if err := checkTrack(c.Language, c.Label, &labels); err != nil {
			return fmt.Errorf("captions %q: %w", c.InstreamID, err)
		}
		if slices.Contains(captions, c.InstreamID) {
			return fmt.Errorf("captions %q are listed twice", c.InstreamID)
		}
		captions = append(captions, c.InstreamID)
	}
	if n := len(s.Renditions) + max(0, len(s.Audio)-1); n > MaxRenditions {
		return fmt.Errorf("its renditions and further languages are %d; %d are allowed", n, MaxRenditions)
	}
	return nil
}

// checkTrack looks at a language and its label, which no other of the group may have.
func checkTrack(language, label string, labels *[]string) error {
	letters := strings.IndexFunc(language, func(r rune) bool { return r < 'a' || r > 'z' }) < 0
	switch {
	case !letters || len(language) < 2 || len(language) > 3:
		return errors.New("a language has two or three small letters, as the source writes it: deu, eng")
	case label == "" || len(label) > maxLabel || strings.ContainsFunc(label, unicode.IsControl):
		return fmt.Errorf("its label needs 1 to %d characters that can be shown", maxLabel)
	case slices.Contains(*labels, label):
		return fmt.Errorf("its label %q is another one's, too", label)
	}
	*labels = append(*labels, label)
	return nil
}

// isInstreamID follows RFC 8216 §4.3.4.1, INSTREAM-ID.
func isInstreamID(id string) bool {
	if rest, ok := strings.CutPrefix(id, "SERVICE"); ok {
		n, err := strconv.Atoi(rest)
		return err == nil && n >= 1 && n <= 63 && strconv.Itoa(n) == rest
	}
	return id == "CC1" || id == "CC2" || id == "CC3" || id == "CC4"
}
