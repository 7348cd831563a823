package guard

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Bounds of a playlist.
const (
	maxPlaylist = 1 << 20 // bytes
	maxListed   = 48      // playlists that a multivariant playlist lists
	maxLine     = 4000    // bytes; FFmpeg cuts lines at 4096
)

// firstTag is what makes a playlist one, for FFmpeg as well.
const firstTag = "#EXTM3U"

// kept are the tags that are handed on as they are. None of them holds an address.
var kept = map[string]bool{
	firstTag: true, "#EXT-X-VERSION": true, "#EXT-X-INDEPENDENT-SEGMENTS": true, "#EXT-X-START": true,
	"#EXT-X-TARGETDURATION": true, "#EXT-X-MEDIA-SEQUENCE": true, "#EXT-X-DISCONTINUITY-SEQUENCE": true,
	"#EXT-X-PLAYLIST-TYPE": true, "#EXT-X-ENDLIST": true, "#EXTINF": true, "#EXT-X-BYTERANGE": true,
	"#EXT-X-DISCONTINUITY": true, "#EXT-X-PROGRAM-DATE-TIME": true, "#EXT-X-GAP": true, "#EXT-X-STREAM-INF": true,
}

// addressed are the tags whose attribute URI is an address, and what is there.
var addressed = map[string]role{"#EXT-X-KEY": media, "#EXT-X-MAP": media, "#EXT-X-MEDIA": playlist}

// rewriting is a playlist on its way to the child. FFmpeg's parser opens whatever it
// takes for an address, tcp:// included, so that nothing is handed on that this one
// has not understood: lines end where FFmpeg ends them, unknown tags and comments are
// left out, and addresses are replaced by surrogates.
type rewriting struct {
	base *url.URL
	out  bytes.Buffer
	// What the next address is, as the tags before it said.
	variant, segment bool
	listed, segments int
}

// rewrite gives a playlist as the child may see it. base is where it came from; as
// says what it was asked for.
func rewrite(text []byte, base *url.URL, as role) ([]byte, error) {
	w := rewriting{base: base}
	for line := range bytes.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' || r == 0 }) {
		if err := w.line(strings.TrimRight(string(line), " \t\v\f")); err != nil {
			return nil, err
		}
	}
	switch {
	case w.listed > 0 && w.segments > 0:
		return nil, invalid(errors.New("the playlist lists playlists and segments"))
	case w.listed > 0 && as != whole:
		return nil, invalid(errors.New("a playlist that is listed in one lists playlists itself"))
	case w.listed > maxListed:
		return nil, invalid(fmt.Errorf("the playlist lists %d playlists; %d are allowed", w.listed, maxListed))
	}
	return w.out.Bytes(), nil
}

func (w *rewriting) line(line string) error {
	if !strings.HasPrefix(line, "#") {
		return w.address(line)
	}
	tag, value, _ := strings.Cut(line, ":")
	if to, ok := addressed[tag]; ok {
		return w.tag(tag, value, to)
	}
	if !kept[tag] {
		return nil
	}
	w.variant = w.variant || tag == "#EXT-X-STREAM-INF"
	w.segment = w.segment || tag == "#EXTINF"
	return w.write(line)
}

// address hands an address on that stands on a line of its own.
func (w *rewriting) address(line string) error {
	as := media
	switch {
	case line == "" || !w.variant && !w.segment:
		return nil
	case w.variant && w.segment:
		return invalid(errors.New("the playlist takes one address for a playlist and a segment"))
	case w.variant:
		as = playlist
		w.listed++
	default:
		w.segments++
	}
	w.variant, w.segment = false, false
	text, err := w.surrogate(as, line)
	if err != nil {
		return err
	}
	return w.write(text)
}

// tag hands a tag on whose attributes hold an address.
func (w *rewriting) tag(tag, value string, to role) error {
	list := attributes(value)
	for i, a := range list {
		if a.name != "URI" {
			continue
		}
		if to == playlist {
			w.listed++
		}
		text, err := w.surrogate(to, a.value)
		if err != nil {
			return err
		}
		list[i] = attribute{a.name, text, true}
	}
	return w.write(tag + ":" + join(list))
}

func (w *rewriting) surrogate(as role, text string) (string, error) {
	ref, err := url.Parse(text)
	if err != nil {
		return "", invalid(errors.New("the playlist names an address that is none"))
	}
	u := w.base.ResolveReference(ref)
	if err := checkURL(u); err != nil {
		return "", err
	}
	return surrogate(as, u), nil
}

func (w *rewriting) write(line string) error {
	if len(line) > maxLine {
		return invalid(fmt.Errorf("the playlist has a line of more than %d bytes", maxLine))
	}
	w.out.WriteString(line)
	w.out.WriteByte('\n')
	return nil
}

// attribute is one of a tag's list.
type attribute struct {
	name, value string
	quoted      bool
}

// attributes reads a list as FFmpeg does (ff_parse_key_value of libavformat), which
// forgives more than RFC 8216. What could be read in two ways once it is written
// again is left out: names that are none, values with a quote in them.
func attributes(text string) []attribute {
	var list []attribute
	for {
		text = strings.TrimLeft(text, " \t\v\f,")
		name, rest, found := strings.Cut(text, "=")
		if !found {
			return list
		}
		a := attribute{name: name}
		a.value, a.quoted, text = value(rest)
		if isName(name) && !strings.ContainsAny(a.value, `"\`) {
			list = append(list, a)
		}
	}
}

func isName(text string) bool {
	return text != "" && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
}

// value reads the value that text begins with.
func value(text string) (value string, quoted bool, rest string) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, " \t\v\f,")
		if end < 0 {
			end = len(text)
		}
		return text[:end], false, text[end:]
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return b.String(), true, text[i+1:]
		case text[i] == '\\' && i+1 < len(text):
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String(), true, ""
}

func join(list []attribute) string {
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = a.name + "=" + a.value
		if a.quoted {
			texts[i] = a.name + `="` + a.value + `"`
		}
	}
	return strings.Join(texts, ",")
}
