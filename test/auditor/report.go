package auditor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Violation is one broken rule, however often it was seen.
type Violation struct {
	Rule Rule
	// Rendition is the rendition's name, with "@pathway" behind it if the stream
	// has pathways; empty for the multivariant playlist.
	Rendition string
	// MSN is the media sequence number of the segment in question, or -1.
	MSN int64
	// Detail says what was seen and what should have been.
	Detail string
	// Count is how often it was seen, from First to Last.
	Count       int
	First, Last time.Time
}

// violationKey tells violations apart.
type violationKey struct {
	rendition string
	finding   finding
}

// String returns the violation in one line.
func (v Violation) String() string {
	where := v.Rendition
	if where == "" {
		where = "multivariant"
	}
	if v.MSN != noMSN {
		where += fmt.Sprintf(" %d", v.MSN)
	}
	times := ""
	if v.Count > 1 {
		times = fmt.Sprintf(" (%d times until %s)", v.Count, v.Last.UTC().Format("15:04:05.000"))
	}
	return fmt.Sprintf("%s %s: %s: %s%s", v.First.UTC().Format("15:04:05.000"), v.Rule, where, v.Detail, times)
}

// Hole is a time in which a rendition listed no new segment: either one longer
// than 1.5 target durations, or the seam of a declared fault.
type Hole struct {
	Rendition string
	// MSN is the first new segment after the hole, or -1 while it is open.
	MSN int64
	// Start is when the last segment before it was first seen.
	Start time.Time
	// Length is the time from then until the next new segment was first seen.
	Length time.Duration
	// Fault is the declared fault that excuses it, if any; SinceFault is the time
	// from the declaration until the new segment, Budget what was allowed.
	Fault      string
	SinceFault time.Duration
	Budget     time.Duration
	// Open says that no new segment has come yet.
	Open bool
}

// Report is what was seen. It shares nothing with the auditor.
type Report struct {
	// Violations in the order in which they were first seen.
	Violations []Violation
	// Holes in the order in which they ended, open ones last.
	Holes []Hole
	// Lists counts media playlists that were read, Segments the entries that
	// appeared in them, over all renditions.
	Lists, Segments int
	// Fetches counts segments fetched whole; Late the checks of removed segments
	// that were left out because the auditor was too late to judge them.
	Fetches, Late int
	// Requests counts requests, Errors those without an answer, and NonOK the
	// answers by status, 200 and 304 left out.
	Requests, Errors int
	NonOK            map[int]int
	// Stopped is when Run returned; zero while it runs.
	Stopped time.Time
}

// Report returns what was seen so far. Holes that are still open are judged as
// if they ended now.
func (a *Auditor) Report() Report {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.report.Stopped
	if now.IsZero() {
		now = time.Now()
	}
	report := a.report
	report.Holes = slices.Clone(a.report.Holes)
	report.NonOK = map[int]int{}
	for status, n := range a.report.NonOK {
		report.NonOK[status] = n
	}
	for _, key := range a.order {
		report.Violations = append(report.Violations, *a.violations[key])
	}
	for _, r := range a.renditions {
		a.openHole(&report, r, now)
	}
	return report
}

// openHole adds the hole that a rendition is in, if it is one.
func (a *Auditor) openHole(report *Report, r *rendition, now time.Time) {
	since := r.history.newestAt
	if since.IsZero() {
		since = r.since
	}
	h, found, ok := a.hole(Hole{Rendition: r.name, MSN: noMSN, Start: since, Length: now.Sub(since), Open: true}, max(a.target, 1), false)
	if !ok {
		return
	}
	report.Holes = append(report.Holes, h)
	for _, f := range found {
		report.Violations = append(report.Violations, Violation{
			Rule: f.rule, Rendition: r.name, MSN: f.msn, Detail: f.detail, Count: 1, First: now, Last: now,
		})
	}
}

// String returns the report as a text for people: one line of counts, then a
// line for each violation and each hole.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d violations, %d holes; %d lists, %d segments, %d fetches (%d too late to judge); %d requests, %d errors",
		len(r.Violations), len(r.Holes), r.Lists, r.Segments, r.Fetches, r.Late, r.Requests, r.Errors)
	if len(r.NonOK) > 0 {
		fmt.Fprintf(&b, ", other answers %v", r.NonOK)
	}
	for _, v := range r.Violations {
		fmt.Fprintf(&b, "\n%v", v)
	}
	for _, h := range r.Holes {
		fmt.Fprintf(&b, "\n%v", h)
	}
	return b.String()
}

// String returns the hole in one line.
func (h Hole) String() string {
	end := fmt.Sprintf("until %d", h.MSN)
	if h.Open {
		end = "still open"
	}
	fault := ""
	if h.Fault != "" {
		fault = fmt.Sprintf(", %v after %q (allowed %v)", round(h.SinceFault), h.Fault, h.Budget)
	}
	return fmt.Sprintf("%s hole: %s: %v %s%s", h.Start.UTC().Format("15:04:05.000"), h.Rendition, round(h.Length), end, fault)
}
