// Package auditor watches the playlists of one stream over HTTP for as long as
// it is let, and reports every rule of live HLS that the server breaks over time
// (RFC 8216bis §6.2, and the numbering rules of this project): what a single look
// at a playlist cannot show.
//
// It plays the strictest of players at once: it remembers every entry, fetches
// every segment when it is listed, when it leaves the list and at the end of the
// time for which it must still be served, and compares renditions and edges
// number by number. It is given faults beforehand (Expect, ExpectColdRestart), so
// that the hole which a fault may cost is judged by that fault's budget and
// everything else still holds.
package auditor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/headrace/headrace/ingest/playlist"
)

// Options says how to watch.
type Options struct {
	// Client makes the requests; nil means http.DefaultClient.
	Client *http.Client
	// Interval is the time from one look at a media playlist to the next, and so
	// the precision of every hole. Default 500 ms.
	Interval time.Duration
	// Timeout bounds one request. Default 10 s.
	Timeout time.Duration
	// FetchSegments makes the auditor fetch every segment three times: when it
	// is first listed, when it leaves the list, and shortly before the server
	// may forget it. Without it only playlists are watched.
	FetchSegments bool
	// Logger, if set, is told each violation when it is first seen. It fits the
	// Logf method of a test.
	Logger func(format string, args ...any)
}

// Auditor watches one stream. It is made by New. Its methods may be called from any goroutine.
type Auditor struct {
	url     string
	options Options

	mu           sync.Mutex
	report       Report // Violations and open holes are added by Report
	violations   map[violationKey]*Violation
	order        []violationKey
	expectations []expectation
	renditions   []*rendition
	shared       map[int64]identity // by MSN: what all renditions must agree on
	digests      map[digestKey]digest
	target       int // TARGETDURATION in seconds; 0 until a list was seen
	highest      number
}

// number is the highest pair of numbers that any rendition ever listed.
type number struct{ msn, discontinuity int64 }

// expectation is a declared fault: a new segment must be listed by its end.
type expectation struct {
	fault      string
	start, end time.Time
}

// identity is what a media sequence number means on all renditions and edges.
type identity struct {
	discontinuity int64
	date          time.Time
}

// memory is how many numbers back identities and digests are kept.
const memory = 1024

// New returns an auditor of the stream that multivariantURL names.
func New(multivariantURL string, options Options) *Auditor {
	if options.Client == nil {
		options.Client = http.DefaultClient
	}
	if options.Interval <= 0 {
		options.Interval = 500 * time.Millisecond
	}
	if options.Timeout <= 0 {
		options.Timeout = 10 * time.Second
	}
	return &Auditor{
		url:        multivariantURL,
		options:    options,
		violations: map[violationKey]*Violation{},
		shared:     map[int64]identity{},
		digests:    map[digestKey]digest{},
		report:     Report{NonOK: map[int]int{}},
		highest:    number{-1, -1},
	}
}

// Run watches until the context ends, and then returns nil. It returns an error
// only if the multivariant playlist cannot be had at the start. Call it once.
func (a *Auditor) Run(ctx context.Context) error {
	names, variants, err := a.multivariant(ctx)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	a.mu.Lock()
	for i, u := range variants {
		r := newRendition(a, names[i], u)
		a.renditions = append(a.renditions, r)
		wg.Go(func() { r.watch(ctx) })
		if a.options.FetchSegments {
			wg.Go(func() { r.fetch(ctx) })
		}
	}
	a.mu.Unlock()
	wg.Go(func() { a.watchMultivariant(ctx, names) })
	wg.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Stopped = time.Now()
	return nil
}

// Expect declares a fault that is about to be made. Every rendition must list a
// new segment at most maxHole from now; a hole that reaches into this time is
// recorded under the fault's name and excused if it ends within it. So that every
// fault gets its figure, a discontinuity within it is recorded as a hole however
// short it is.
func (a *Auditor) Expect(fault string, maxHole time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.expectations = append(a.expectations, expectation{fault, now, now.Add(maxHole)})
}

// ExpectColdRestart declares that the serving process is about to die and to come
// back with nothing but its remembered numbers. Until a rendition's new list
// appears, failed requests and answers of 5xx are excused. The new list needs no
// entry in common with the old one, but its numbers must be above all that were
// ever listed. How long it may take is a matter of Expect. Call it while Run is
// watching, before the process dies.
func (a *Auditor) ExpectColdRestart() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.renditions {
		r.restart = &restart{above: a.highest}
	}
}

// multivariant fetches the stream's renditions: their names for people and the
// addresses of their media playlists.
func (a *Auditor) multivariant(ctx context.Context) ([]string, []*url.URL, error) {
	ans, err := a.get(ctx, a.url, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("fetching the multivariant playlist: %w", err)
	}
	if ans.status != http.StatusOK {
		if !a.restarting() {
			a.judge("", ans.checkFailure())
		}
		return nil, nil, fmt.Errorf("fetching the multivariant playlist: status %d; is the token valid and the stream running?", ans.status)
	}
	m, err := playlist.ParseMultivariant(ans.body)
	if err != nil {
		return nil, nil, err
	}
	a.judge("", ans.checkMultivariant())
	var names []string
	var variants []*url.URL
	for _, v := range m.Variants {
		u, err := ans.base.Parse(v.URI)
		if err != nil {
			return nil, nil, fmt.Errorf("a variant's URI cannot be resolved: %w", bare(err))
		}
		name := path.Base(path.Dir(u.Path))
		if v.PathwayID != "" {
			name += "@" + v.PathwayID
		}
		if !slices.Contains(names, name) {
			names, variants = append(names, name), append(variants, u)
		}
	}
	if len(variants) == 0 {
		return nil, nil, fmt.Errorf("the multivariant playlist has no variants; is the stream running?")
	}
	return names, variants, nil
}

// watchMultivariant looks again, as often as the playlist may be cached, whether
// the renditions are still served and still the same.
func (a *Auditor) watchMultivariant(ctx context.Context, want []string) {
	ticker := time.NewTicker(30 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		got, _, err := a.multivariant(ctx)
		switch {
		case ctx.Err() != nil || err != nil && a.restarting():
		case err != nil:
			a.judge("", []finding{{RuleUnavailable, noMSN, err.Error()}})
		case !sameSet(got, want):
			a.judge("", []finding{{RuleRenditions, noMSN, fmt.Sprintf("the renditions were %v, are now %v", want, got)}})
		}
	}
}

// sameSet reports whether both name the same renditions, in whatever order.
func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// restarting reports whether any rendition's list is still awaited after a
// declared cold restart.
func (a *Auditor) restarting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.renditions, func(r *rendition) bool { return r.restart != nil })
}

// judge takes findings into the report.
func (a *Auditor) judge(rendition string, found []finding) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.add(rendition, found)
}

// add is judge under the lock. Equal findings are counted, not repeated.
func (a *Auditor) add(rendition string, found []finding) {
	now := time.Now()
	for _, f := range found {
		key := violationKey{rendition, f}
		v, ok := a.violations[key]
		if !ok {
			v = &Violation{Rule: f.rule, Rendition: rendition, MSN: f.msn, Detail: f.detail, First: now}
			a.violations[key] = v
			a.order = append(a.order, key)
			if a.options.Logger != nil {
				a.options.Logger("auditor: %v", *v)
			}
		}
		v.Count++
		v.Last = now
	}
}

// agree compares segments that a rendition newly lists with what the others said
// under the same numbers.
func (a *Auditor) agree(fresh []numbered) (found []finding) {
	for _, s := range fresh {
		is := identity{s.discontinuity, s.ProgramDateTime}
		was, ok := a.shared[s.msn]
		if !ok {
			a.shared[s.msn] = is
			continue
		}
		if is.discontinuity != was.discontinuity {
			found = append(found, finding{RuleRenditions, s.msn, fmt.Sprintf(
				"discontinuity number %d, was listed with %d here or elsewhere", is.discontinuity, was.discontinuity)})
		}
		if off := is.date.Sub(was.date); off.Abs() > tolerance {
			found = append(found, finding{RuleRenditions, s.msn, fmt.Sprintf("starts %v away from where it was listed here or elsewhere", off)})
		}
	}
	return found
}

// sameTarget compares a list's TARGETDURATION with the other renditions'.
func (a *Auditor) sameTarget(target int) []finding {
	if a.target == 0 {
		a.target = target
	}
	if a.target == target {
		return nil
	}
	return []finding{{RuleRenditions, noMSN, fmt.Sprintf("TARGETDURATION is %d, the stream began with %d", target, a.target)}}
}

// raise remembers the highest numbers and forgets what is far below them.
func (a *Auditor) raise(fresh []numbered) {
	for _, s := range fresh {
		a.highest.msn = max(a.highest.msn, s.msn)
		a.highest.discontinuity = max(a.highest.discontinuity, s.discontinuity)
	}
	least := a.highest.msn - memory
	if len(a.shared) > 2*memory {
		for msn := range a.shared {
			if msn < least {
				delete(a.shared, msn)
			}
		}
	}
	if len(a.digests) > 2*memory*len(a.renditions) {
		for key := range a.digests {
			if key.msn < least {
				delete(a.digests, key)
			}
		}
	}
}

// hole judges the time from since until now in which a rendition got no new
// segment. Brief ones count only if they show a declared fault: discontinuous.
func (a *Auditor) hole(h Hole, target int, discontinuous bool) (Hole, []finding, bool) {
	now := h.Start.Add(h.Length)
	limit := time.Duration(target) * time.Second * 3 / 2
	late := h.Length-a.options.Interval > limit
	var by *expectation
	for i := range a.expectations {
		e := &a.expectations[i]
		if !e.start.After(now) && e.end.After(h.Start) && (by == nil || e.end.After(by.end)) {
			by = e
		}
	}
	if by == nil {
		if !late {
			return h, nil, false
		}
		return h, []finding{{RuleCadence, h.MSN, fmt.Sprintf("no new segment for %v, %v are allowed", round(h.Length), limit)}}, true
	}
	h.Fault, h.SinceFault, h.Budget = by.fault, now.Sub(by.start), by.end.Sub(by.start)
	if h.SinceFault-a.options.Interval > h.Budget && late {
		return h, []finding{{RuleCadence, h.MSN, fmt.Sprintf("no new segment until %v after %q, %v are allowed",
			round(h.SinceFault), h.Fault, h.Budget)}}, true
	}
	return h, nil, late || discontinuous
}

// round makes a measured time readable.
func round(d time.Duration) time.Duration {
	return d.Round(time.Millisecond)
}
