// Package vectors reads files in the format of the stream token's test
// vectors, token_vectors.json, and tells where a verifier disagrees with them.
// People who mint tokens in another language write such a file to test
// themselves.
package vectors

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
)

// world is what the edge of the published vectors knows: their file without
// its cases.
//
//go:embed world.json
var world []byte

// Read reads a file of test vectors. What a file leaves out is as in the
// published vectors, so a file may hold no more than cases, for tokens signed
// with the published secrets; secrets of its own are added to those. Members
// that the format does not have are errors.
func Read(r io.Reader) (*Document, error) {
	var d, published Document
	if err := decode(world, &published); err != nil {
		return nil, fmt.Errorf("reading the published vectors' world: %w", err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("reading test vectors: %w", err)
	}
	if err := decode(text, &d); err != nil {
		return nil, fmt.Errorf("reading test vectors: %w", located(err, text))
	}
	d.complete(published)
	if len(d.Valid)+len(d.Invalid) == 0 {
		return nil, errors.New("reading test vectors: there are no cases: give some under valid or invalid")
	}
	return &d, nil
}

// complete fills in what d leaves out.
func (d *Document) complete(from Document) {
	if d.Now == 0 {
		d.Now = from.Now
	}
	if d.Keys == nil {
		d.Keys = from.Keys
	}
	if d.Grants == nil {
		d.Grants = from.Grants
	}
	if d.Denied == nil {
		d.Denied = from.Denied
	}
	d.Edge = from.Edge.replacedBy(d.Edge)
	maps.Copy(from.Secrets, d.Secrets)
	d.Secrets = from.Secrets
}

// replacedBy returns m with the members of other in the place of its own.
func (m Members) replacedBy(other Members) Members {
	both := maps.Clone(m)
	maps.Copy(both, other)
	return both
}

// edge reads the members as an edge's configuration.
func (m Members) edge() (e Edge, err error) {
	text, err := json.Marshal(m)
	if err == nil {
		err = decode(text, &e)
	}
	return e, err
}

// decode reads one JSON document strictly.
func decode(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows the document: a file holds one")
	}
	return nil
}

// located adds the line to an error of the decoder, where the decoder knows it.
func located(err error, text []byte) error {
	offset := int64(-1)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = syntax.Offset
	} else if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = mismatch.Offset
	}
	if offset < 0 || offset > int64(len(text)) {
		return err
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(text[:offset], []byte("\n")), err)
}
