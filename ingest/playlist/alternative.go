package playlist

// AlternativeType is the TYPE of an EXT-X-MEDIA.
type AlternativeType string

// The types that this package writes.
const (
	Audio          AlternativeType = "AUDIO"
	ClosedCaptions AlternativeType = "CLOSED-CAPTIONS"
)

// Alternative is one EXT-X-MEDIA (RFC 8216 §4.3.4.1): a language that a viewer may
// choose. A field's zero value leaves its attribute out.
type Alternative struct {
	Type AlternativeType
	// GroupID is the group that variants name.
	GroupID string
	// Name is what a player's menu shows; unique within the group.
	Name string
	// Language is a tag of RFC 5646, "de".
	Language string
	// Default marks the one that plays unless the viewer chooses; it is also chosen
	// automatically where the viewer's own language is not there.
	Default bool
	// URI is its media playlist; none means that it is in the variants themselves.
	URI string
	// InstreamID tells captions apart within the video: CC1 to CC4, SERVICE1 to
	// SERVICE63.
	InstreamID string
}

// appendText appends the tag and its line end.
func (a *Alternative) appendText(dst []byte) []byte {
	dst = append(dst, "#EXT-X-MEDIA:TYPE="...)
	dst = append(dst, a.Type...)
	dst = appendString(dst, ",GROUP-ID=", a.GroupID)
	dst = appendString(dst, ",NAME=", a.Name)
	dst = appendString(dst, ",LANGUAGE=", a.Language)
	if a.Default {
		dst = append(dst, ",DEFAULT=YES"...)
	}
	dst = append(dst, ",AUTOSELECT=YES"...)
	dst = appendString(dst, ",INSTREAM-ID=", a.InstreamID)
	dst = appendString(dst, ",URI=", a.URI)
	return append(dst, '\n')
}
