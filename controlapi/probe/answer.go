package probe

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Answer signs the answer of the edge to a question: its status code and body, and what
// its clock shows. It gives the header's value.
func (q Question) Answer(key Key, status int, at time.Time, body []byte) string {
	now := strconv.FormatInt(at.UnixMilli(), 10)
	return strings.Join([]string{version, now, q.signAnswer(key, status, now, body)}, " ")
}

func (q Question) signAnswer(key Key, status int, now string, body []byte) string {
	digest := sha256.Sum256(body)
	return key.sign("headrace probe answer v1", q.edge, q.time(), q.nonce, strconv.Itoa(status), now, hex.EncodeToString(digest[:]))
}

// Verify checks that the edge which was asked gave this status code and body in answer to
// this very question, and gives what its clock showed. The error is ErrMalformed or
// ErrForged.
func (q Question) Verify(key Key, header string, status int, body []byte) (time.Time, error) {
	parts, err := split(header, 3)
	if err != nil {
		return time.Time{}, err
	}
	at, err := milliseconds(parts[1])
	if err != nil {
		return time.Time{}, err
	}
	if !equal(parts[2], q.signAnswer(key, status, parts[1], body)) {
		return time.Time{}, ErrForged
	}
	return time.UnixMilli(at), nil
}
