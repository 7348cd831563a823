package probe

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// ErrMalformed says that a header is none of this package's.
var ErrMalformed = errors.New("the probe header is malformed")

// ErrForged says that a question or an answer was not signed with the edge's key, or was
// changed on its way.
var ErrForged = errors.New("the probe was not signed with the key of this edge")

const (
	nonceSize     = 16
	longestHeader = 256
	longestID     = 32
	// lastMillisecond keeps times within thirteen digits, year 2286.
	lastMillisecond = 9_999_999_999_999
)

// Question is one request for the health of an edge. Make it with Ask.
type Question struct {
	edge  string
	at    int64  // milliseconds
	nonce string // hexadecimal
}

// Ask makes a question to an edge. The time should be what the edge's clock shows.
func Ask(edge string, at time.Time) Question {
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // never fails, by its contract
	return Question{edge: edge, at: at.UnixMilli(), nonce: hex.EncodeToString(nonce[:])}
}

// Header signs the question and gives the header's value.
func (q Question) Header(key Key) string {
	return strings.Join([]string{version, q.edge, q.time(), q.nonce, q.sign(key)}, " ")
}

func (q Question) time() string { return strconv.FormatInt(q.at, 10) }

func (q Question) sign(key Key) string {
	return key.sign("headrace probe question v1", q.edge, q.time(), q.nonce)
}

// parseQuestion reads a header and checks its signature. A signature over what is not
// well-formed is never computed.
func parseQuestion(key Key, header string) (Question, error) {
	parts, err := split(header, 5)
	if err != nil {
		return Question{}, err
	}
	at, err := milliseconds(parts[2])
	if err != nil || parts[1] == "" || len(parts[1]) > longestID || !isHex(parts[3], nonceSize) {
		return Question{}, ErrMalformed
	}
	q := Question{edge: parts[1], at: at, nonce: parts[3]}
	if !equal(parts[4], q.sign(key)) {
		return Question{}, ErrForged
	}
	return q, nil
}

// split gives the parts of a header of this version.
func split(header string, n int) ([]string, error) {
	if len(header) > longestHeader {
		return nil, ErrMalformed
	}
	parts := strings.Split(header, " ")
	if len(parts) != n || parts[0] != version {
		return nil, ErrMalformed
	}
	return parts, nil
}

// milliseconds reads a time in its one spelling.
func milliseconds(text string) (int64, error) {
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil || at < 0 || at > lastMillisecond || strconv.FormatInt(at, 10) != text {
		return 0, ErrMalformed
	}
	return at, nil
}

func isHex(text string, size int) bool {
	if len(text) != 2*size || strings.ToLower(text) != text {
		return false
	}
	_, err := hex.DecodeString(text)
	return err == nil
}
