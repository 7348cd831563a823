package hls

import (
	"math"
	"net/http"
	"strconv"
	"strings"
)

// byteRange is a part of a segment: from start up to, not including, end.
type byteRange struct{ start, end int }

// contentRange is the value of the header field of that name.
func (b byteRange) contentRange(size int) string {
	return "bytes " + strconv.Itoa(b.start) + "-" + strconv.Itoa(b.end-1) + "/" + strconv.Itoa(size)
}

type rangeResult uint8

const (
	rangeNone          rangeResult = iota // send all of it
	rangePart                             // send that part
	rangeUnsatisfiable                    // there is no such part
)

// askedRange reads which part the request asks for. Only GET knows ranges, and
// If-Range cannot be true where there are no validators (RFC 9110 §13.1.5, §14.2).
func (a *answer) askedRange(size int) (byteRange, rangeResult) {
	asked := a.r.Header["Range"]
	if len(asked) != 1 || a.r.Method != http.MethodGet || len(a.r.Header["If-Range"]) > 0 {
		return byteRange{}, rangeNone
	}
	return parseRange(asked[0], size)
}

// parseRange reads the value of a Range header for a resource that is not empty.
// Several ranges at once are answered by the whole, which a server may do
// (RFC 9110 §14.2), and so is what cannot be read.
func parseRange(text string, size int) (byteRange, rangeResult) {
	const unit = "bytes="
	if len(text) < len(unit) || !strings.EqualFold(text[:len(unit)], unit) {
		return byteRange{}, rangeNone
	}
	first, last, ok := strings.Cut(strings.Trim(text[len(unit):], " \t"), "-")
	if !ok || !isDigits(first) || !isDigits(last) || first == "" && last == "" {
		return byteRange{}, rangeNone
	}
	if first == "" {
		length := min(number(last), size)
		if length == 0 {
			return byteRange{}, rangeUnsatisfiable
		}
		return byteRange{size - length, size}, rangePart
	}
	start, end := number(first), size
	if last != "" {
		if number(last) < start {
			return byteRange{}, rangeNone
		}
		end = min(number(last), size-1) + 1
	}
	if start >= size {
		return byteRange{}, rangeUnsatisfiable
	}
	return byteRange{start, end}, rangePart
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// number reads digits; what is too large for a number is larger than any segment.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return math.MaxInt
	}
	return n
}
