package token

import (
	"errors"
	"fmt"
	"time"
)

const (
	defaultSegmentGrace    = 60 * time.Second
	defaultNotBeforeLeeway = 60 * time.Second
	liveKeys               = 2 // the current and the previous one
)

// Config is what an edge knows about tokens: the keys, grants and denied users
// of its group. A Verifier copies what it needs.
type Config struct {
	Keys       []Key
	DefaultKey KeyRef           // signs the short form; the zero KeyRef, or one without a live key, refuses that form
	Grants     map[string]Grant // by reseller; one without an entry may do nothing
	Denied     []Denial

	// Now is the UNIX second at which a reseller's live keys are counted. Zero
	// counts all keys as live.
	Now int64

	// SegmentGrace is how long after the expiry segments are still served, so
	// that a viewer ends cleanly. Default 60 s; less than zero is none.
	SegmentGrace time.Duration

	// NotBeforeLeeway is how long before its lower bound a token is accepted,
	// because clocks differ. Default 60 s; less than zero is none.
	NotBeforeLeeway time.Duration
}

// Grant is what a reseller may do, whatever its tokens say: they sign, the
// grant decides. The lists hold stream ids.
type Grant struct {
	Show     []string            // to play and to catch up
	Publish  []string            // to feed
	Relay    []string            // to pull to another edge; for EdgeReseller alone
	Bouquets map[string][]string // names for sets of streams; a bouquet grants nothing by itself
}

// Denial cuts off a reseller's user through the UNIX second Until.
type Denial struct {
	Reseller string
	User     string
	Until    int64
}

// check reports what in the configuration breaks the grammar or the rules of
// the contract. Text that might be a misplaced secret is not repeated.
func (c Config) check() error {
	if err := c.checkKeys(); err != nil {
		return err
	}
	if c.DefaultKey != (KeyRef{}) && !c.DefaultKey.wellFormed() {
		return errors.New("default key: name a reseller of 1 to 32 of A-Za-z0-9_- and a key id of 1 to 8 of 0-9a-z")
	}
	for reseller, grant := range c.Grants {
		if !isID(reseller) {
			return fmt.Errorf("grants of reseller %q: %w", reseller, errID)
		}
		if err := grant.check(); err != nil {
			return fmt.Errorf("grants of reseller %q: %w", reseller, err)
		}
		if len(grant.Relay) > 0 && reseller != EdgeReseller {
			return fmt.Errorf("grants of reseller %q: only reseller %q may relay", reseller, EdgeReseller)
		}
	}
	for _, d := range c.Denied {
		if !isID(d.Reseller) || !isID(d.User) {
			return fmt.Errorf("denied user %q of reseller %q: %w", d.User, d.Reseller, errID)
		}
	}
	return nil
}

func (c Config) checkKeys() error {
	seen := make(map[KeyRef]bool, len(c.Keys))
	live := make(map[string]int, len(c.Keys))
	for i, k := range c.Keys {
		if !k.wellFormed() {
			return fmt.Errorf("key %d of %d: its reseller must be 1 to 32 of A-Za-z0-9_-, its id 1 to 8 of 0-9a-z", i+1, len(c.Keys))
		}
		if err := checkSecret(k.Secret); err != nil {
			return fmt.Errorf("%v: %w", k, err)
		}
		if seen[k.KeyRef] {
			return fmt.Errorf("%v: given twice: every secret needs a key id of its own", k)
		}
		seen[k.KeyRef] = true
		if c.Now > k.lastSecond() {
			continue
		}
		if live[k.Reseller]++; live[k.Reseller] > liveKeys {
			return fmt.Errorf("%v: a third live key of that reseller: end one of the others first", k)
		}
	}
	return nil
}

var errID = errors.New("an id is 1 to 32 of A-Za-z0-9_-")

func (g Grant) check() error {
	for name, streams := range g.Bouquets {
		if err := checkIDs("bouquet", name); err != nil {
			return err
		}
		if err := checkIDs("stream", streams...); err != nil {
			return fmt.Errorf("bouquet %q: %w", name, err)
		}
	}
	for _, streams := range [][]string{g.Show, g.Publish, g.Relay} {
		if err := checkIDs("stream", streams...); err != nil {
			return err
		}
	}
	return nil
}

func checkIDs(what string, ids ...string) error {
	for _, id := range ids {
		if !isID(id) {
			return fmt.Errorf("%s %q: %w", what, id, errID)
		}
	}
	return nil
}

// checkSecret never repeats the secret, nor any part of it.
func checkSecret(secret string) error {
	if len(secret) < shortestSecret || len(secret) > longestSecret || !isText(secret, longestSecret, idAlphabet) {
		return fmt.Errorf("the secret must be %d to %d characters of A-Za-z0-9_- (this one has %d)", shortestSecret, longestSecret, len(secret))
	}
	return nil
}
