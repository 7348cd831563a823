// Package probe is how a control instance and an edge prove to each other who they are
// when the health document is asked for. Nothing that crosses the wire can be used again.
//
// Both know the edge's credential, and derive the same [Key] from it. The question
// carries, in the header [Header], a nonce and a time under HMAC-SHA256; the answer
// carries, in a header of the same name, a signature over that nonce and the body:
//
//	question   v1 <edge id> <milliseconds> <nonce> <signature>
//	answer     v1 <milliseconds> <signature>
//
// What is signed is a list of lines, and the first of them says which way it goes:
//
//	headrace probe question v1    headrace probe answer v1
//	<edge id>                     <edge id>
//	<milliseconds>                <milliseconds of the question>
//	<nonce>                       <nonce of the question>
//	                              <status code>
//	                              <milliseconds of the answer>
//	                              <SHA-256 of the body>
//
// Times are UNIX milliseconds by the edge's clock. An asker whose clock is off, or who
// asks an edge that has just started, gets a signed 401 with the edge's time, and asks
// again by that: an edge whose clock is wrong can be probed, and its error is known.
//
// The package is a leaf: the control plane asks with it, edges answer with it.
package probe

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// Header is the name of the HTTP header of question and answer.
const Header = "Headrace-Probe"

// version begins each header, so that another way of signing can follow.
const version = "v1"

// Key signs questions and answers about one edge.
type Key [sha256.Size]byte

// DeriveKey gives the key that belongs to an edge's credential. The credential cannot be
// found from it, so the control plane need not keep that.
func DeriveKey(credential string) Key {
	return sha256.Sum256([]byte("headrace probe v1\x00" + credential))
}

// Format prints nothing of the key, whatever the verb.
func (Key) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, "probe key") }

// sign is the signature over lines, in lowercase hexadecimal. No line holds a line break.
func (k Key) sign(lines ...string) string {
	mac := hmac.New(sha256.New, k[:])
	_, _ = io.WriteString(mac, strings.Join(lines, "\n"))
	return hex.EncodeToString(mac.Sum(nil))
}

// equal compares two signatures in constant time.
func equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }
