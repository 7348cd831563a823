package streamtoken

import (
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/headrace/headrace/caddymodule/edge"
)

// Prefix is where everything lives that takes a token:
//
//	/live/<token>/<stream>/index.m3u8
//	/live/<token>/<stream>/<rendition>/index.m3u8
//	/live/<token>/<stream>/<rendition>/<msn>.ts
//	/live/<token>/<stream>/<rendition>/live.ts
const Prefix = "/live/"

// Guards reports whether a path, decoded once, is under [Prefix], also in a
// spelling that a file server or a proxy would take for that. Such a path is
// answered to the bearer of a token or to nobody.
func Guards(p string) bool {
	if strings.HasPrefix(p, Prefix) {
		return true
	}
	if !strings.ContainsAny(p, `\`) && !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return false // nearly always
	}
	return strings.HasPrefix(path.Clean("/"+strings.ReplaceAll(p, `\`, "/"))+"/", Prefix)
}

// Holds reports whether a request target has what looks like the end of a token, a
// colon, also an escaped one, and a signature: it may be one in a wrong place.
func Holds(target string) bool {
	run := 0
	for i := len(target) - 1; i >= 0; i-- {
		c := target[i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' {
			run++
			continue
		}
		// Of an escaped colon, "%3A", the two digits are part of the run.
		if run >= signatureDigits && (c == ':' || c == '%' && run >= signatureDigits+2) {
			return true
		}
		run = 0
	}
	return false
}

// signatureDigits is the length of a token's signature.
const signatureDigits = 64

// target is what a path asks for. Its strings are slices of the path.
type target struct {
	token     string
	stream    string
	rendition string // of a playlist, a segment, live.ts; else empty
	msn       int64  // of a segment
	kind      edge.RequestKind
}

// parsePath takes a path under Prefix apart. It is false for what no player and no
// playlist of ours would ask for: handlers behind the matcher may decode or clean
// a path again, and must not come to another stream by that.
func parsePath(u *url.URL) (t target, ok bool) {
	rest := u.Path[len(Prefix):]
	if !isPlain(rest) || hidesSlash(u.RawPath) {
		return target{}, false
	}
	t.token, rest, _ = strings.Cut(rest, "/")
	t.stream, rest, _ = strings.Cut(rest, "/")
	t.resource(rest)
	return t, t.stream != ""
}

// resource reads what follows the stream.
func (t *target) resource(rest string) {
	rendition, file, inside := strings.Cut(rest, "/")
	switch {
	case !inside && rest == "index.m3u8":
		t.kind = edge.KindMultivariant
		return
	case !inside:
		return
	case file == "index.m3u8":
		t.kind = edge.KindPlaylist
	case file == "live.ts":
		t.kind = edge.KindLive
	default:
		msn, ok := parseMSN(file)
		if !ok {
			return
		}
		t.kind, t.msn = edge.KindSegment, msn
	}
	t.rendition = rendition
}

// parseMSN reads a segment's file name. A number has one spelling.
func parseMSN(file string) (int64, bool) {
	digits, ok := strings.CutSuffix(file, ".ts")
	if !ok || digits == "" || digits[0] < '1' || digits[0] > '9' {
		return 0, false // the error of ParseInt would allocate
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
	}
	const most = len("9223372036854775807") - 1 // whatever has so many digits fits
	if len(digits) > most {
		return 0, false
	}
	msn, err := strconv.ParseInt(digits, 10, 64)
	return msn, err == nil
}

// isPlain reports whether a relative path means the same to everyone who reads it:
// no empty, "." or ".." segment but an empty last one, no backslash, no control
// character, and no "%", which somebody else might decode a second time.
func isPlain(p string) bool {
	start := 0
	for i := range len(p) {
		switch c := p[i]; {
		case c < ' ' || c == 0x7f || c == '\\' || c == '%':
			return false
		case c == '/':
			if !isPlainSegment(p[start:i]) {
				return false
			}
			start = i + 1
		}
	}
	return start == len(p) || isPlainSegment(p[start:])
}

func isPlainSegment(s string) bool { return s != "" && s != "." && s != ".." }

// hidesSlash reports whether a slash was escaped in the path as it came: the
// decoded path has more segments than the one that a proxy in front has seen.
func hidesSlash(rawPath string) bool {
	for i := 0; i+2 < len(rawPath); i++ {
		if rawPath[i] == '%' && rawPath[i+1] == '2' && rawPath[i+2]|0x20 == 'f' {
			return true
		}
	}
	return false
}
