package playlist

import (
	"slices"
	"strings"
)

// attribute is one NAME=VALUE of an attribute list.
type attribute struct {
	name   string
	value  string // without the quotes
	quoted bool
}

// parseAttributes reads an attribute list (RFC 8216 §4.2) and calls yield for
// each attribute in order. It returns false if the list is malformed or names an
// attribute twice. Commas inside quoted strings do not separate.
func parseAttributes(s string, yield func(attribute)) bool {
	var names []string
	for {
		name, rest, ok := strings.Cut(s, "=")
		if !ok || !attributeName(name) || slices.Contains(names, name) {
			return false
		}
		names = append(names, name)
		a := attribute{name: name}
		if strings.HasPrefix(rest, `"`) {
			a.quoted = true
			if a.value, rest, ok = strings.Cut(rest[1:], `"`); !ok {
				return false
			}
		} else {
			end := strings.IndexByte(rest, ',')
			if end < 0 {
				end = len(rest)
			}
			if a.value, rest = rest[:end], rest[end:]; a.value == "" || strings.Contains(a.value, `"`) {
				return false
			}
		}
		yield(a)
		if rest == "" {
			return true
		}
		if s, ok = strings.CutPrefix(rest, ","); !ok {
			return false
		}
	}
}

// attributeName reports whether s is made of the characters of an attribute name.
func attributeName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != ""
}
