package ingest

import "github.com/headrace/headrace/ingest/playlist"

// The groups of EXT-X-MEDIA. A stream has one of each kind.
const (
	audioGroup    = "audio"
	captionsGroup = "captions"
)

// isAlternative tells whether a rendition is a language to choose, not a variant.
func (s *StreamSpec) isAlternative(rendition string) bool {
	for _, a := range s.Audio {
		if a.Rendition == rendition {
			return true
		}
	}
	return false
}

// addAlternatives lists the languages of sound and captions, and binds all
// variants to them. captions tells whether the pictures carry any.
func (s *StreamSpec) addAlternatives(m *playlist.Multivariant, captions bool) {
	for _, a := range s.Audio {
		alternative := playlist.Alternative{
			Type: playlist.Audio, GroupID: audioGroup, Name: a.Label, Language: a.Language, Default: a.Rendition == "",
		}
		if a.Rendition != "" {
			alternative.URI = a.Rendition + "/index.m3u8"
		}
		m.Alternatives = append(m.Alternatives, alternative)
	}
	tracks := s.Captions
	if captions && len(tracks) == 0 {
		tracks = []CaptionTrack{{InstreamID: "CC1", Label: "CC1"}}
	}
	if captions {
		for i, c := range tracks {
			m.Alternatives = append(m.Alternatives, playlist.Alternative{
				Type: playlist.ClosedCaptions, GroupID: captionsGroup, Name: c.Label, Language: c.Language, InstreamID: c.InstreamID, Default: i == 0,
			})
		}
	}
	for i := range m.Variants {
		if len(s.Audio) > 0 {
			m.Variants[i].Audio = audioGroup
		}
		if captions {
			m.Variants[i].ClosedCaptions = captionsGroup
		}
	}
}
