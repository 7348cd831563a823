package ingest

import (
	"regexp"
	"slices"
	"strings"

	"github.com/headrace/headrace/ingest/process"
)

// What of a URL may be secret, whatever its host: FFmpeg prints addresses that a
// playlist or a redirect gave it.
var (
	userInfo = regexp.MustCompile(`://[^\s/?#'"]*@`)
	query    = regexp.MustCompile(`(://[^\s?'"]*)\?[^\s'"]*`)
)

const redacted = "[redacted]"

// redact gives lines without a source's secrets, and without user, password and
// query of any URL.
func redact(lines []process.Line, secrets []string) []LogLine {
	secrets = slices.Clone(secrets)
	// The longest first: a secret may be part of another.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	out := make([]LogLine, len(lines))
	for i, l := range lines {
		text := l.Text
		for _, s := range secrets {
			text = strings.ReplaceAll(text, s, redacted)
		}
		text = userInfo.ReplaceAllString(text, "://"+redacted+"@")
		text = query.ReplaceAllString(text, "${1}?"+redacted)
		out[i] = LogLine{Time: l.Time, Text: text}
	}
	return out
}
