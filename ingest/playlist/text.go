package playlist

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// appendQuoted appends s as a quoted string. A quoted string has no escapes and
// holds neither a quote nor a line break (RFC 8216 §4.2); those bytes are
// percent-encoded, which means the same where the string is a URI and cannot
// break out of the attribute where it is not.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	dst = appendEncoded(dst, s)
	return append(dst, '"')
}

// appendURILine appends a URI that has a line to itself. A leading "#" would
// turn the line into a comment.
func appendURILine(dst []byte, s string) []byte {
	if strings.HasPrefix(s, "#") {
		dst = append(dst, "%23"...)
		s = s[1:]
	}
	return appendEncoded(dst, s)
}

// appendEncoded appends s with every byte that a playlist may not hold
// percent-encoded: quotes, control characters and what is not UTF-8
// (RFC 8216 §4.1).
func appendEncoded(dst []byte, s string) []byte {
	for i, r := range s {
		size := utf8.RuneLen(r)
		invalid := r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError))
		if invalid {
			size = 1
		}
		if !invalid && r != '"' && !unicode.IsControl(r) {
			dst = append(dst, s[i:i+size]...)
			continue
		}
		for _, b := range []byte(s[i : i+size]) {
			const hex = "0123456789ABCDEF"
			dst = append(dst, '%', hex[b>>4], hex[b&15])
		}
	}
	return dst
}
