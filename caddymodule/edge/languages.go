package edge

import (
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// ownName is what a language calls itself, "Deutsch" for deu; one that nobody
// knows keeps its code.
func ownName(code string) string {
	tag, err := language.Parse(code)
	if err != nil {
		return code
	}
	if name := display.Self.Name(tag); name != "" {
		return name
	}
	return code
}

// languageTag is the tag that playlists use, the shortest one of the language
// (RFC 5646 §2.2.1): "de" for deu.
func languageTag(code string) string {
	tag, err := language.Parse(code)
	if err != nil {
		return code
	}
	return tag.String()
}
