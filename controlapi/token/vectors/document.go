package vectors

import "encoding/json"

// Document is a file of test vectors: what an edge knows, and cases.
type Document struct {
	About   []string          `json:"about"`
	Now     int64             `json:"now"` // the edge's clock, UNIX seconds
	Edge    Members           `json:"edge"`
	Secrets map[string]string `json:"secrets"` // by name
	Keys    []Key             `json:"keys"`
	Grants  map[string]Grant  `json:"grants"` // by reseller
	Denied  []Denial          `json:"denied"`
	Valid   []Case            `json:"valid"`
	Invalid []Case            `json:"invalid"`
}

// Members are an object's members as they stand in the file. A case's Edge
// replaces members of the document's.
type Members map[string]json.RawMessage

// Edge is the configuration of an edge.
type Edge struct {
	Group        string  `json:"group"`         // only this group's keys count
	DefaultKey   *KeyRef `json:"default_key"`   // of the short form; null for none
	SegmentGrace *int64  `json:"segment_grace"` // seconds
	NBFLeeway    *int64  `json:"nbf_leeway"`    // seconds
}

// KeyRef names a key.
type KeyRef struct {
	Reseller string `json:"reseller"`
	Kid      string `json:"kid"`
}

// Key is a key of an edge group.
type Key struct {
	Group    string `json:"group"`
	Reseller string `json:"reseller"`
	Kid      string `json:"kid"`
	NotAfter int64  `json:"not_after"` // UNIX second; 0 is no end
	Secret   string `json:"secret"`    // a name in Document.Secrets
}

// Grant is what a reseller may do with which streams.
type Grant struct {
	Show     []string            `json:"show"`
	Publish  []string            `json:"publish"`
	Relay    []string            `json:"relay"`
	Bouquets map[string][]string `json:"bouquets"`
}

// Denial is a user who is cut off through a UNIX second.
type Denial struct {
	Reseller string `json:"reseller"`
	User     string `json:"user"`
	Until    int64  `json:"until"`
}

// Case is a token, a request, and what a verifier must make of them.
type Case struct {
	Name      string  `json:"name"`
	Token     string  `json:"token"`     // each character is an octet, U+0000 to U+00FF
	Secret    *string `json:"secret"`    // the name of the secret that signed; null for none of them
	Reference *bool   `json:"reference"` // what the reference check says with that secret; left out: not asked
	Request   Request `json:"request"`
	Expect    *Expect `json:"expect"` // left out: acceptance under valid, any refusal under invalid
	Edge      Members `json:"edge"`
}

// Request is what is asked of the edge.
type Request struct {
	Stream   string `json:"stream"`
	Op       string `json:"op"` // p, w, r or c
	ClientIP string `json:"client_ip"`
	Kind     string `json:"kind"`     // playlist or segment
	Sessions int    `json:"sessions"` // others that the user has open
}

// Expect is a verdict.
type Expect struct {
	OK     bool    `json:"ok"`
	Reason string  `json:"reason"` // of a refusal; left out: any
	Claims *Claims `json:"claims"` // of an accepted token; left out: not compared
}

// Claims is what an accepted token says, with the names that the format uses.
type Claims struct {
	Form     string `json:"form"` // short or long
	Kid      string `json:"kid"`
	Reseller string `json:"reseller"`
	User     string `json:"user"`
	Scope    string `json:"scope"` // stream, bouquet or all
	ID       string `json:"id"`
	Max      int    `json:"max"`
	Network  string `json:"network"` // 203.0.113.0/24, or nothing
	Op       string `json:"op"`
	NBF      int64  `json:"nbf"`
	Exp      int64  `json:"exp"`
	Session  string `json:"session"`
}
