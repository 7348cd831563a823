package hls

import "strings"

// acceptsGzip reads the Accept-Encoding lines of a request (RFC 9110 §12.5.3). What
// names gzip counts for more than the asterisk; a weight of zero means "not that".
func acceptsGzip(lines []string) bool {
	star := false
	for _, line := range lines {
		for line != "" {
			var item string
			item, line, _ = strings.Cut(line, ",")
			coding, weight, _ := strings.Cut(item, ";")
			coding = strings.TrimSpace(coding)
			switch {
			case strings.EqualFold(coding, "gzip"), strings.EqualFold(coding, "x-gzip"):
				return !isZeroWeight(weight)
			case coding == "*":
				star = !isZeroWeight(weight)
			}
		}
	}
	return star
}

// isZeroWeight reports whether parameters say q=0, in any of its spellings
// (RFC 9110 §12.4.2).
func isZeroWeight(parameters string) bool {
	name, value, _ := strings.Cut(strings.TrimSpace(parameters), "=")
	if !strings.EqualFold(strings.TrimSpace(name), "q") {
		return false
	}
	value = strings.TrimSpace(value)
	return value != "" && strings.Trim(value, "0.") == ""
}
