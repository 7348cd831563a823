package auditor

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/headrace/headrace/ingest/playlist"
)

// rendition is one media playlist under watch. What is not fixed belongs to the
// auditor's lock.
type rendition struct {
	auditor *Auditor
	name    string
	address *url.URL
	since   time.Time // start of the watch
	wake    chan struct{}

	// Only the watching goroutine touches these.
	text []byte // the last list, and the ETag it had
	etag string

	history     history
	restart     *restart // a declared cold restart whose new list has not come
	generation  int      // counts cold restarts: what is older is not asked for again
	tasks       []task
	listedUntil time.Time // when the last list was asked for
}

// restart is a declared cold restart.
type restart struct {
	above number // the numbers that the new list must exceed
	down  bool   // a request failed since
}

func newRendition(a *Auditor, name string, address *url.URL) *rendition {
	return &rendition{auditor: a, name: name, address: address, since: time.Now(), wake: make(chan struct{}, 1)}
}

// watch looks at the list again and again until the context ends.
func (r *rendition) watch(ctx context.Context) {
	ticker := time.NewTicker(r.auditor.options.Interval)
	defer ticker.Stop()
	for {
		r.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look fetches the list once and, when it is new, tries its other spellings.
func (r *rendition) look(ctx context.Context) {
	ans, ok := r.get(ctx, nil)
	if !ok {
		return
	}
	if ans.status != http.StatusOK {
		r.refused(ans)
		return
	}
	m, err := playlist.ParseMedia(ans.body)
	if err != nil {
		r.auditor.judge(r.name, []finding{{RuleSyntax, noMSN, err.Error()}})
		return
	}
	found := append(checkLive(ans.body), ans.checkMedia(m.TargetDuration)...)
	etag, same := ans.header.Get("ETag"), bytes.Equal(ans.body, r.text)
	if etag != "" && etag == r.etag && !same {
		found = append(found, finding{RuleConditional, noMSN, "the list changed and kept its ETag"})
	}
	r.auditor.judge(r.name, found)
	r.text, r.etag = ans.body, etag
	r.observe(m, ans)
	if !same {
		r.tryConditional(ctx, etag)
		r.tryGzip(ctx)
	}
}

// get asks for the list. It returns false if there is no answer, which is a
// violation unless the process is known to be dying.
func (r *rendition) get(ctx context.Context, header http.Header) (*answer, bool) {
	ans, err := r.auditor.get(ctx, r.address.String(), header)
	if err == nil {
		return ans, true
	}
	a := r.auditor
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case ctx.Err() != nil: // our own end
	case r.restart != nil:
		r.restart.down = true
	default:
		a.add(r.name, []finding{{RuleUnavailable, noMSN, "playlist: " + err.Error()}})
	}
	return nil, false
}

// refused judges a list that was answered with another status than 200.
func (r *rendition) refused(ans *answer) {
	a := r.auditor
	a.mu.Lock()
	defer a.mu.Unlock()
	found := ans.checkFailure()
	if r.restart != nil && ans.status >= 500 {
		r.restart.down = true
		found = slices.DeleteFunc(found, func(f finding) bool { return f.rule == RuleServerError })
	} else {
		found = append(found, finding{RuleUnavailable, noMSN, fmt.Sprintf("playlist: status %d", ans.status)})
	}
	a.add(r.name, found)
}

// checkLive: a live list names neither a type nor an end.
func checkLive(text []byte) (found []finding) {
	for _, tag := range []string{"#EXT-X-ENDLIST", "#EXT-X-PLAYLIST-TYPE"} {
		if bytes.Contains(text, []byte("\n"+tag)) {
			found = append(found, finding{RuleLive, noMSN, tag + " in a live list"})
		}
	}
	return found
}

// observe judges the list against what was listed before and elsewhere, and
// plans what is to be fetched.
func (r *rendition) observe(m *playlist.Media, ans *answer) {
	a := r.auditor
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case r.restart == nil:
	case len(m.Segments) == 0:
		return // the new process has nothing yet
	case !r.history.continues(m):
		a.add(r.name, r.restarted(m))
	case r.restart.down:
		r.restart = nil // back already, and it got its window from a peer
	}
	since := r.history.newestAt
	n := r.history.observe(m, ans.sent, ans.received)
	a.report.Lists++
	a.report.Segments += len(n.fresh)
	a.add(r.name, n.found)
	a.add(r.name, a.sameTarget(m.TargetDuration))
	a.add(r.name, a.agree(n.fresh))
	a.raise(n.fresh)
	if len(n.fresh) > 0 && !since.IsZero() {
		r.closeHole(since, ans.received, n.fresh, m.TargetDuration)
	}
	if a.options.FetchSegments {
		r.plan(n, ans)
	}
}

// restarted starts a new history above the old one.
func (r *rendition) restarted(m *playlist.Media) (found []finding) {
	above := r.restart.above
	first := numberAll(m)[0]
	if first.msn <= above.msn {
		found = append(found, finding{RuleRestart, first.msn, fmt.Sprintf("the restarted list must be above %d", above.msn)})
	}
	if first.discontinuity <= above.discontinuity {
		found = append(found, finding{RuleRestart, first.msn, fmt.Sprintf(
			"the restarted list has discontinuity number %d, must be above %d", first.discontinuity, above.discontinuity)})
	}
	if len(r.history.list) > 0 {
		if end := r.history.list[len(r.history.list)-1].end(); first.ProgramDateTime.Before(end.Add(-tolerance)) {
			found = append(found, finding{RuleDateTime, first.msn, fmt.Sprintf(
				"starts %v before the end of the list before the restart", end.Sub(first.ProgramDateTime))})
		}
	}
	// Only the time of the last segment lives on: the hole is not forgiven.
	r.history = history{newestAt: r.history.newestAt}
	r.restart, r.tasks = nil, nil
	r.generation++
	return found
}

// closeHole judges the time before fresh segments came.
func (r *rendition) closeHole(since, now time.Time, fresh []numbered, target int) {
	discontinuous := slices.ContainsFunc(fresh, func(s numbered) bool { return s.Discontinuity })
	h, found, ok := r.auditor.hole(Hole{Rendition: r.name, MSN: fresh[0].msn, Start: since, Length: now.Sub(since)}, target, discontinuous)
	if ok {
		r.auditor.report.Holes = append(r.auditor.report.Holes, h)
	}
	r.auditor.add(r.name, found)
}

// tryConditional asks for the list that we already have. It may have moved on
// meanwhile, then it has another ETag.
func (r *rendition) tryConditional(ctx context.Context, etag string) {
	if etag == "" {
		return
	}
	ans, ok := r.get(ctx, http.Header{"If-None-Match": {etag}})
	if !ok {
		return
	}
	var found []finding
	switch {
	case ans.status == http.StatusNotModified:
		found = ans.checkCORS()
		if ans.header.Get("ETag") != etag {
			found = append(found, finding{RuleConditional, noMSN, "an answer of 304 does not repeat the ETag"})
		}
	case ans.status == http.StatusOK && ans.header.Get("ETag") == etag:
		found = []finding{{RuleConditional, noMSN, "If-None-Match with the current ETag is answered with 200, must be 304"}}
	case ans.status != http.StatusOK:
		r.refused(ans)
		return
	}
	r.auditor.judge(r.name, found)
}

// tryGzip asks for the compressed list and compares it with the plain one. The
// list may move on in between, so it must equal the plain one before or after.
func (r *rendition) tryGzip(ctx context.Context) {
	ans, ok := r.get(ctx, http.Header{"Accept-Encoding": {"gzip"}})
	if !ok {
		return
	}
	if ans.status != http.StatusOK {
		r.refused(ans)
		return
	}
	text, packed, err := ans.plain()
	if err != nil {
		r.auditor.judge(r.name, []finding{{RuleGzip, noMSN, "cannot be unpacked: " + err.Error()}})
		return
	}
	found := ans.checkCORS()
	// Short lists need not gain from compression.
	if !packed && len(text) > 1<<10 {
		found = append(found, finding{RuleGzip, noMSN, "a playlist above 1 KiB is not sent compressed"})
	}
	if packed && !listed(ans.header, "Vary", "Accept-Encoding") {
		found = append(found, finding{RuleHeaders, noMSN, "a compressed playlist lacks Vary: Accept-Encoding"})
	}
	if !bytes.Equal(text, r.text) {
		after, ok := r.get(ctx, nil)
		if ok && after.status == http.StatusOK && !bytes.Equal(text, after.body) && bytes.Equal(r.text, after.body) {
			found = append(found, finding{RuleGzip, noMSN, "the compressed list differs from the plain one"})
		}
	}
	r.auditor.judge(r.name, found)
}
