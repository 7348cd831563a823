package playlist

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SyntaxError says which line of a playlist cannot be read and what belongs
// there. It never quotes the line: names in a playlist may hold a viewer's token.
type SyntaxError struct {
	// Line counts from 1.
	Line int
	// Reason names the tag and what it must look like.
	Reason string
}

// Error returns the reason with its line.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
}

// lines hands out the lines of a playlist one by one.
type lines struct {
	rest   string
	number int // of the line that next returned, from 1
}

// next returns the next line that is neither blank nor a comment, without its
// line break, and false after the last one. Blank lines and comments mean
// nothing (RFC 8216 §4.1); control characters and broken UTF-8 are refused.
func (l *lines) next() (string, bool, error) {
	for l.rest != "" {
		var line string
		line, l.rest, _ = strings.Cut(l.rest, "\n")
		l.number++
		line = strings.TrimSuffix(line, "\r")
		if !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) {
			return "", false, l.errorf("control characters and bytes that are not UTF-8 are not allowed in a playlist")
		}
		if line != "" && (line[0] != '#' || strings.HasPrefix(line, "#EXT")) {
			return line, true, nil
		}
	}
	return "", false, nil
}

// header consumes the first line, which must be EXTM3U and nothing else: a byte
// order mark in front of it is refused (RFC 8216 §4.1, §4.3.1.1).
func (l *lines) header() error {
	line, rest, _ := strings.Cut(l.rest, "\n")
	l.number = 1
	if strings.TrimSuffix(line, "\r") != "#EXTM3U" {
		return l.errorf("a playlist begins with #EXTM3U, without a byte order mark")
	}
	l.rest = rest
	return nil
}

// errorf returns a SyntaxError for the line that next returned.
func (l *lines) errorf(format string, args ...any) error {
	return &SyntaxError{Line: l.number, Reason: fmt.Sprintf(format, args...)}
}

// tag splits a line into a tag's name, without "#", and its value. A URI line
// has no tag: name is empty.
func tag(line string) (name, value string) {
	if line[0] != '#' {
		return "", line
	}
	name, value, _ = strings.Cut(line[1:], ":")
	return name, value
}
