package vectors

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/headrace/headrace/controlapi/token"
)

// Result is what became of one case. Got and Want are equal where the verifier
// agrees, else they say what differs first: the verdict, the reference check's
// answer, or a claim.
type Result struct {
	Case      string
	Got, Want string
}

// Agrees reports whether the verifier did as the case says.
func (r Result) Agrees() bool { return r.Got == r.Want }

// Check runs every case, valid ones first. An error means that the document
// itself is wrong, and names what is.
func (d *Document) Check() ([]Result, error) {
	results := make([]Result, 0, len(d.Valid)+len(d.Invalid))
	for i, cases := range [][]Case{d.Valid, d.Invalid} {
		for _, c := range cases {
			if c.Expect == nil {
				c.Expect = &Expect{OK: i == 0}
			}
			if err := c.checkExpect(i == 0); err != nil {
				return nil, fmt.Errorf("case %q: %w", c.Name, err)
			}
			got, want, err := d.run(c)
			if err != nil {
				return nil, fmt.Errorf("case %q: %w", c.Name, err)
			}
			results = append(results, Result{c.Name, got, want})
		}
	}
	return results, nil
}

// checkExpect reports a verdict that contradicts itself or the list it is in.
func (c Case) checkExpect(valid bool) error {
	e := c.Expect
	isReason := func(r token.Reason) bool { return r != token.Accepted && r.String() == e.Reason }
	switch {
	case e.OK != valid:
		return fmt.Errorf("expect.ok is %v: put accepted tokens under valid, refused ones under invalid", e.OK)
	case e.OK && e.Reason != "":
		return errors.New("expect.reason is for refused tokens: leave it out")
	case !e.OK && e.Claims != nil:
		return errors.New("expect.claims is for accepted tokens: leave it out")
	case e.Reason != "" && !slices.ContainsFunc(token.Reasons(), isReason):
		return fmt.Errorf("expect.reason is %q: must be one of %v", e.Reason, token.Reasons()[1:])
	}
	return nil
}

func (d *Document) run(c Case) (got, want string, err error) {
	tok, err := octets(c.Token)
	if err != nil {
		return "", "", err
	}
	v, err := d.verifier(c)
	if err != nil {
		return "", "", err
	}
	request, err := d.request(c.Request)
	if err != nil {
		return "", "", err
	}
	reference, err := d.reference(c, tok)
	if err != nil {
		return "", "", err
	}
	claims, reason := v.Verify(tok, request)
	if reason == token.Accepted && !claims.WithinMax(c.Request.Sessions) {
		reason = token.TooManyConnections
	}
	got, want = c.compare(reason, reference, claims)
	return got, want, nil
}

// compare returns the first difference, or the verdict twice.
func (c Case) compare(reason token.Reason, reference bool, claims token.Claims) (got, want string) {
	got = reason.String()
	switch e := c.Expect; {
	case e.OK:
		want = token.Accepted.String()
	case e.Reason != "":
		want = e.Reason
	case reason == token.Accepted:
		want = "refused"
	default:
		want = got
	}
	if got != want {
		return got, want
	}
	if c.Reference != nil && *c.Reference != reference {
		return fmt.Sprintf("reference %v", reference), fmt.Sprintf("reference %v", *c.Reference)
	}
	// The compatibility law, where the case names the secret but not its answer.
	if c.Reference == nil && c.Secret != nil && reason == token.Accepted && !reference {
		return "reference false", "reference true"
	}
	if c.Expect.Claims != nil {
		if name, is, should := difference(claimsOf(claims), *c.Expect.Claims); name != "" {
			return name + " " + is, name + " " + should
		}
	}
	return got, want
}

// octets turns characters U+0000 to U+00FF into the octets that they stand for.
func octets(text string) (string, error) {
	b := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return "", fmt.Errorf("token has the character %U: write each octet as one of U+0000 to U+00FF", r)
		}
		b = append(b, byte(r)) //nolint:gosec // r is at most 0xff
	}
	return string(b), nil
}

// verifier makes the edge that the case asks.
func (d *Document) verifier(c Case) (*token.Verifier, error) {
	edge, err := d.Edge.replacedBy(c.Edge).edge()
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	config := token.Config{
		Now:             d.Now,
		Grants:          make(map[string]token.Grant, len(d.Grants)),
		SegmentGrace:    seconds(edge.SegmentGrace),
		NotBeforeLeeway: seconds(edge.NBFLeeway),
	}
	if edge.DefaultKey != nil {
		config.DefaultKey = token.KeyRef(*edge.DefaultKey)
	}
	if config.Keys, err = d.keys(edge.Group); err != nil {
		return nil, err
	}
	for reseller, g := range d.Grants {
		config.Grants[reseller] = token.Grant(g)
	}
	for _, u := range d.Denied {
		config.Denied = append(config.Denied, token.Denial(u))
	}
	return token.NewVerifier(config)
}

func (d *Document) keys(group string) (keys []token.Key, err error) {
	for _, k := range d.Keys {
		if k.Group != group {
			continue
		}
		secret, ok := d.Secrets[k.Secret]
		if !ok {
			return nil, fmt.Errorf("key %s/%s: there is no secret named %q: add it to secrets", k.Reseller, k.Kid, k.Secret)
		}
		ref := token.KeyRef{Reseller: k.Reseller, Kid: k.Kid}
		keys = append(keys, token.Key{KeyRef: ref, Secret: secret, NotAfter: k.NotAfter})
	}
	return keys, nil
}

// seconds makes the format's zero, none, into the configuration's.
func seconds(n *int64) time.Duration {
	switch {
	case n == nil:
		return 0
	case *n <= 0:
		return -1
	}
	return time.Duration(*n) * time.Second
}

func (d *Document) request(r Request) (made token.Request, err error) {
	made = token.Request{Stream: r.Stream, Now: d.Now}
	var ok bool
	if made.Operation, ok = operation(cmp.Or(r.Op, "p")); !ok {
		return made, fmt.Errorf("request.op is %q: must be p, w, r or c", r.Op)
	}
	switch r.Kind {
	case "segment":
		made.Kind = token.Segment
	case "playlist", "":
		made.Kind = token.Playlist
	default:
		return made, fmt.Errorf("request.kind is %q: must be playlist or segment", r.Kind)
	}
	if r.ClientIP != "" {
		if made.Client, err = netip.ParseAddr(r.ClientIP); err != nil {
			return made, fmt.Errorf("request.client_ip: %w", err)
		}
	}
	return made, nil
}

// reference asks the reference check, which knows nothing but a secret.
func (d *Document) reference(c Case, tok string) (bool, error) {
	if c.Secret == nil {
		return false, nil
	}
	secret, ok := d.Secrets[*c.Secret]
	if !ok {
		return false, fmt.Errorf("there is no secret named %q: add it to secrets, or write null", *c.Secret)
	}
	return token.ValidateStreamToken(tok, []byte(secret)), nil
}

// The format's words, by the token package's numbers.
var (
	operationLetters = []string{token.Play: "p", token.Publish: "w", token.Relay: "r", token.CatchUp: "c"}
	scopeWords       = []string{token.OneStream: "stream", token.OneBouquet: "bouquet", token.AllStreams: "all"}
)

func operation(letter string) (token.Operation, bool) {
	for o := token.Play; o <= token.CatchUp; o++ {
		if operationLetters[o] == letter {
			return o, true
		}
	}
	return token.Play, false
}

func claimsOf(c token.Claims) Claims {
	made := Claims{
		Form: "long", Kid: c.Kid, Reseller: c.Reseller, User: c.User, Scope: scopeWords[c.Scope], ID: c.ID, Max: c.Max,
		Op: operationLetters[c.Operation], NBF: c.NotBefore, Exp: c.Expires, Session: c.Session,
	}
	if c.Short {
		made.Form = "short"
	}
	if c.Network.IsValid() {
		made.Network = c.Network.String()
	}
	return made
}

// difference names the first claim in which the two differ, and its values.
func difference(is, should Claims) (name, got, want string) {
	if prefix, err := netip.ParsePrefix(should.Network); err == nil {
		should.Network = prefix.String() // IPv6 has many spellings
	}
	for _, claim := range []struct{ name, got, want string }{
		{"form", is.Form, should.Form},
		{"kid", is.Kid, should.Kid},
		{"reseller", is.Reseller, should.Reseller},
		{"user", is.User, should.User},
		{"scope", is.Scope, should.Scope},
		{"id", is.ID, should.ID},
		{"max", strconv.Itoa(is.Max), strconv.Itoa(should.Max)},
		{"network", is.Network, should.Network},
		{"op", is.Op, should.Op},
		{"nbf", strconv.FormatInt(is.NBF, 10), strconv.FormatInt(should.NBF, 10)},
		{"exp", strconv.FormatInt(is.Exp, 10), strconv.FormatInt(should.Exp, 10)},
		{"session", is.Session, should.Session},
	} {
		if claim.got != claim.want {
			return claim.name, strconv.Quote(claim.got), strconv.Quote(claim.want)
		}
	}
	return "", "", ""
}
