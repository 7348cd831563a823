package snapshot

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// MaxBytes bounds an encoded document, compressed or not.
const MaxBytes = 64 << 20

// The checksum is the last member of an encoded document: the lowercase hex SHA-256
// of the octets before it, from the opening brace on, and a closing brace. So it also
// covers members that a reader does not know.
const (
	checksumStart = `,"checksum":"`
	checksumEnd   = `"}`
	checksumTail  = len(checksumStart) + 2*sha256.Size + len(checksumEnd)
)

var (
	// ErrTooLarge says that a document has more than MaxBytes.
	ErrTooLarge = fmt.Errorf("the document is larger than %d MiB", MaxBytes>>20)
	// ErrChecksum says that a document is not what its checksum was made of: it was
	// cut short, or changed on its way or on the disk.
	ErrChecksum = errors.New("the checksum does not match the document")

	errNotJSON = errors.New("the document is no JSON object")
)

// Encode writes a document down in its canonical form: one line of JSON, the members in
// the order of the types, lists that have no order of their own sorted, empty ones
// written as such, the checksum last. Equal documents have equal octets, whoever
// builds them.
func Encode(d *Document) ([]byte, error) {
	b, err := json.Marshal(canonical(d))
	if err != nil {
		return nil, fmt.Errorf("encoding %v: %w", d, err)
	}
	if len(b)-1+checksumTail > MaxBytes {
		return nil, fmt.Errorf("encoding %v: %w", d, ErrTooLarge)
	}
	sum := sha256.Sum256(b)
	b = append(b[:len(b)-1], checksumStart...)
	b = hex.AppendEncode(b, sum[:])
	return append(b, checksumEnd...), nil
}

// Decode reads an encoded document and makes sure that it is whole: its checksum is
// right, no member is missing or null (but those that the types tag omitempty), and
// Check finds nothing wrong. Members that are not known are ignored. Errors hold nothing
// secret.
func Decode(b []byte) (*Document, error) {
	if len(b) > MaxBytes {
		return nil, ErrTooLarge
	}
	if err := verify(b); err != nil {
		return nil, err
	}
	if err := checkMembers(b); err != nil {
		return nil, err
	}
	d := new(Document)
	if err := json.Unmarshal(b, d); err != nil {
		return nil, mistyped(err)
	}
	if err := d.Check(); err != nil {
		return nil, err
	}
	return d, nil
}

// verify compares the checksum.
func verify(b []byte) error {
	body := len(b) - checksumTail
	if body < 1 || b[0] != '{' {
		return ErrChecksum
	}
	tail := b[body:]
	given, startOK := bytes.CutPrefix(tail, []byte(checksumStart))
	given, endOK := bytes.CutSuffix(given, []byte(checksumEnd))
	h := sha256.New()
	h.Write(b[:body])
	h.Write([]byte{'}'})
	if !startOK || !endOK || hex.EncodeToString(h.Sum(nil)) != string(given) {
		return ErrChecksum
	}
	return nil
}

// mistyped tells what is wrong with JSON without quoting it: a value can be a secret.
func mistyped(err error) error {
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		return fmt.Errorf("member %q: a %s stands where a %s belongs", typed.Field, kind(typed.Value), typed.Type)
	}
	return errNotJSON
}

// kind is the first word of what encoding/json found: "number 7" tells the value.
func kind(value string) string {
	word, _, _ := bytes.Cut([]byte(value), []byte(" "))
	return string(word)
}

// canonical is a copy whose lists are sorted where their order means nothing, and
// are there where they are empty.
func canonical(d *Document) *Document {
	c := *d
	c.Edges = sorted(d.Edges, func(a, b Edge) int { return cmp.Compare(a.ID, b.ID) })
	c.Keys = sorted(d.Keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Reseller, b.Reseller), cmp.Compare(a.KeyID, b.KeyID))
	})
	c.Denied = sorted(d.Denied, func(a, b Denial) int {
		return cmp.Or(cmp.Compare(a.Reseller, b.Reseller), cmp.Compare(a.User, b.User), cmp.Compare(a.Until, b.Until))
	})
	c.Streams = sorted(d.Streams, func(a, b Stream) int { return cmp.Compare(a.ID, b.ID) })
	for i := range c.Streams {
		s := &c.Streams[i]
		s.Relays, s.Sources, s.Renditions = whole(s.Relays), whole(s.Sources), whole(s.Renditions)
		s.Audio, s.Captions = whole(s.Audio), whole(s.Captions)
	}
	c.Grants = make(map[string]Grant, len(d.Grants))
	for reseller, g := range d.Grants {
		bouquets := make(map[string][]string, len(g.Bouquets))
		for name, streams := range g.Bouquets {
			bouquets[name] = sorted(streams, cmp.Compare[string])
		}
		c.Grants[reseller] = Grant{
			Show: sorted(g.Show, cmp.Compare[string]), Publish: sorted(g.Publish, cmp.Compare[string]),
			Relay: sorted(g.Relay, cmp.Compare[string]), Bouquets: bouquets,
		}
	}
	return &c
}

func sorted[T any](list []T, order func(a, b T) int) []T {
	c := whole(slices.Clone(list))
	slices.SortStableFunc(c, order)
	return c
}

// whole is the list itself, or an empty one for none.
func whole[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
