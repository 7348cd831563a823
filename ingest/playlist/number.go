package playlist

import (
	"strconv"
	"strings"
	"time"
)

// longest is the longest segment or target duration that is read. Nothing live
// comes near a day; the limit keeps every sum of durations far from overflow.
const longest = 24 * time.Hour

// parseDecimal reads a decimal integer in [0, limit]. Signs, blanks and other
// bases, which strconv would accept, are not decimal integers (RFC 8216 §4.2).
func parseDecimal(s string, limit int64) (int64, bool) {
	if !digits(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n <= limit
}

// parseSeconds reads a non-negative decimal number of seconds, exact to the
// nanosecond; further decimals are cut off.
func parseSeconds(s string) (time.Duration, bool) {
	whole, fraction, point := strings.Cut(s, ".")
	n, ok := parseDecimal(whole, int64(longest/time.Second))
	if !ok || point && !digits(fraction) {
		return 0, false
	}
	const zeros = "000000000"
	nanos, _ := parseDecimal((fraction + zeros)[:len(zeros)], int64(time.Second))
	d := time.Duration(n)*time.Second + time.Duration(nanos)
	return d, d <= longest
}

// digits reports whether s is a non-empty run of ASCII digits.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
