package auditor

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// digest is what is kept of a segment's bytes.
type digest [sha256.Size]byte

// digestKey names bytes that are the same on every edge: without the pathway.
type digestKey struct {
	rendition string
	msn       int64
}

// moment is when in its life a segment is fetched.
type moment string

const (
	whenListed  moment = "when listed"
	whenRemoved moment = "when it left the list"
	whenOld     moment = "at the end of the time for which it must be served"
)

// task is one fetch to be made.
type task struct {
	moment
	due        time.Time
	latest     time.Time // after which it proves nothing; zero if it always does
	segment    numbered
	address    string
	generation int
}

// margin is how long before the end of a segment's retention it is asked for.
const margin = 250 * time.Millisecond

// plan queues the fetches that a list asks for.
func (r *rendition) plan(n news, ans *answer) {
	for _, s := range n.fresh {
		r.queue(task{moment: whenListed, due: ans.received, segment: s}, ans.base)
	}
	for _, s := range n.gone {
		if s.Gap {
			continue // there was nothing to keep
		}
		r.queue(task{moment: whenRemoved, due: ans.received, segment: s}, ans.base)
		// It was still listed when the list before was asked for, so it cannot have
		// been removed earlier than that.
		latest := r.listedUntil.Add(s.Duration + s.longest)
		r.queue(task{moment: whenOld, due: latest.Add(-margin), latest: latest, segment: s}, ans.base)
	}
	r.listedUntil = ans.sent
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// queue adds a fetch.
func (r *rendition) queue(t task, base *url.URL) {
	u, err := base.Parse(t.segment.URI)
	if err != nil {
		r.auditor.add(r.name, []finding{{RuleUnavailable, t.segment.msn, "the name cannot be resolved"}})
		return
	}
	t.address, t.generation = u.String(), r.generation
	r.tasks = append(r.tasks, t)
}

// fetch makes the planned fetches when they are due, until the context ends.
func (r *rendition) fetch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t, wait, ok := r.due()
		if ok && wait <= 0 {
			r.try(ctx, t)
			continue
		}
		var alarm <-chan time.Time
		if ok {
			timer.Reset(wait)
			alarm = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-alarm:
		}
	}
}

// due takes the next task out of the queue if its time has come; otherwise it
// returns how long that will be.
func (r *rendition) due() (t task, wait time.Duration, ok bool) {
	r.auditor.mu.Lock()
	defer r.auditor.mu.Unlock()
	if len(r.tasks) == 0 {
		return task{}, 0, false
	}
	first := 0
	for i := range r.tasks {
		if r.tasks[i].due.Before(r.tasks[first].due) {
			first = i
		}
	}
	t = r.tasks[first]
	if wait = time.Until(t.due); wait <= 0 {
		r.tasks = append(r.tasks[:first], r.tasks[first+1:]...)
	}
	return t, wait, true
}

// try makes one fetch and judges it.
func (r *rendition) try(ctx context.Context, t task) {
	if !t.latest.IsZero() && time.Now().After(t.latest) {
		r.auditor.mu.Lock()
		defer r.auditor.mu.Unlock()
		r.auditor.report.Late++
		return
	}
	body := reading{hash: sha256.New()}
	ans, err := r.auditor.exchange(ctx, t.address, nil, body.from)
	a := r.auditor
	a.mu.Lock()
	defer a.mu.Unlock()
	if ctx.Err() != nil || t.generation != r.generation || r.restart != nil && (err != nil || ans.status != http.StatusOK) {
		return // the process that listed it is gone, or going
	}
	if err != nil {
		a.add(r.name, []finding{{t.rule(), t.segment.msn, fmt.Sprintf("%s: %v", t.moment, err)}})
		return
	}
	a.add(r.name, r.checkAnswer(t, ans, &body))
}

// rule is what is broken if the segment cannot be had.
func (t task) rule() Rule {
	if t.moment == whenListed {
		return RuleUnavailable
	}
	return RuleRetention
}

// checkAnswer judges a segment's answer.
func (r *rendition) checkAnswer(t task, ans *answer, body *reading) []finding {
	if ans.status != http.StatusOK {
		found := ans.checkFailure()
		return append(found, finding{t.rule(), t.segment.msn, fmt.Sprintf("%s: status %d", t.moment, ans.status)})
	}
	r.auditor.report.Fetches++
	found := append(ans.checkCORS(), ans.checkSegment(t.segment.Gap)...)
	bad := func(rule Rule, format string, args ...any) {
		found = append(found, finding{rule, t.segment.msn, fmt.Sprintf(format, args...)})
	}
	if ans.length != body.length {
		bad(RuleContent, "Content-Length is %d, the body has %d bytes", ans.length, body.length)
	}
	if !body.startsWithPAT() {
		bad(RuleContent, "does not begin with the PAT of whole TS packets")
	}
	if t.segment.Gap {
		return found
	}
	if took := ans.received.Sub(ans.sent); took > t.segment.Duration {
		bad(RuleUnavailable, "%s: took %v for %v of media", t.moment, round(took), t.segment.Duration)
	}
	variant, _, _ := strings.Cut(r.name, "@")
	key, sum := digestKey{variant, t.segment.msn}, digest(body.hash.Sum(nil))
	if was, ok := r.auditor.digests[key]; ok && was != sum {
		bad(RuleBytes, "%s: other bytes than before", t.moment)
	}
	r.auditor.digests[key] = sum
	return found
}

// checkSegment judges the headers of a segment, or of what stands for a gap.
func (ans *answer) checkSegment(gap bool) (found []finding) {
	bad := func(format string, args ...any) {
		found = append(found, finding{RuleHeaders, noMSN, fmt.Sprintf(format, args...)})
	}
	if got, _, _ := mime.ParseMediaType(ans.header.Get("Content-Type")); got != "video/mp2t" {
		found = append(found, finding{RuleContent, noMSN, fmt.Sprintf("a segment has the Content-Type %q, must have video/mp2t", got)})
	}
	if ans.header.Get("Content-Encoding") != "" {
		bad("a segment is compressed")
	}
	want := []string{"public", "max-age=3600", "immutable"}
	if gap {
		want = []string{"no-store"}
	}
	for _, directive := range want {
		if !listed(ans.header, "Cache-Control", directive) {
			bad("Cache-Control of a segment is %q, lacks %s", ans.header.Get("Cache-Control"), directive)
		}
	}
	if !gap && !listed(ans.header, "Accept-Ranges", "bytes") {
		bad("a segment lacks Accept-Ranges: bytes")
	}
	return found
}

// reading is what is kept of a body that is read and thrown away.
type reading struct {
	hash   hash.Hash
	length int64
	head   [3]byte
}

// from reads the body to its end.
func (b *reading) from(r io.Reader) error {
	n, err := io.ReadFull(r, b.head[:])
	b.hash.Write(b.head[:n])
	b.length = int64(n)
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil // shorter than a packet: judged by startsWithPAT
		}
		return err
	}
	rest, err := io.Copy(b.hash, r)
	b.length += rest
	return err
}

// startsWithPAT reports whether the body is whole TS packets, the first of PID 0
// (ISO/IEC 13818-1 §2.4.4.3).
func (b *reading) startsWithPAT() bool {
	return b.length > 0 && b.length%188 == 0 && b.head[0] == 0x47 && b.head[1]&0x1f == 0 && b.head[2] == 0
}
