package auditor

import (
	"fmt"
	"time"

	"github.com/headrace/headrace/ingest/playlist"
)

// tolerance is how far two dates that mean the same instant may lie apart: a
// frame at 25 per second and some rounding.
const tolerance = 50 * time.Millisecond

// numbered is a playlist entry with the numbers that its place gives it.
type numbered struct {
	playlist.Segment
	msn, discontinuity int64
	longest            time.Duration // of the lists that held it
}

// end is the date at which the segment's media end.
func (s numbered) end() time.Time { return s.ProgramDateTime.Add(s.Duration) }

// length is how long a list plays.
func length(m *playlist.Media) (d time.Duration) {
	for _, s := range m.Segments {
		d += s.Duration
	}
	return d
}

// numberAll gives every entry of a list its numbers (RFC 8216 §6.2.1, §6.2.2).
func numberAll(m *playlist.Media) []numbered {
	list := make([]numbered, len(m.Segments))
	discontinuity, length := m.DiscontinuitySequence, length(m)
	for i, s := range m.Segments {
		if s.Discontinuity {
			discontinuity++
		}
		list[i] = numbered{s, m.MediaSequence + int64(i), discontinuity, length}
	}
	return list
}

// history is what one rendition has listed so far, and judges each new list
// against it. It does no I/O and reads no clock.
type history struct {
	media    *playlist.Media // the last list; nil before the first
	list     []numbered      // its entries
	sent     time.Time       // when it was asked for
	long     bool            // a list was once at least 3 target durations long
	newestAt time.Time       // when the newest segment was first seen
}

// news is what a list brought.
type news struct {
	found []finding
	fresh []numbered // listed for the first time
	gone  []numbered // no longer listed
}

// observe judges the next list, asked for at sent and had at received.
func (h *history) observe(m *playlist.Media, sent, received time.Time) news {
	list := numberAll(m)
	var n news
	if h.media != nil {
		n.found = append(n.found, h.checkSequence(m, sent)...)
		n.found = append(n.found, h.checkDiscontinuitySequence(m)...)
		n.found = append(n.found, h.checkEntries(m)...)
		if m.TargetDuration != h.media.TargetDuration {
			n.found = append(n.found, finding{
				RuleTargetDuration, noMSN,
				fmt.Sprintf("changed from %d to %d", h.media.TargetDuration, m.TargetDuration),
			})
		}
	}
	for i, s := range list {
		if was, ok := h.at(s.msn); ok {
			list[i].longest = max(s.longest, was.longest)
		}
		if h.media == nil || s.msn >= h.next() {
			n.fresh = append(n.fresh, s)
			n.found = append(n.found, checkSegment(s, m.TargetDuration)...)
			n.found = append(n.found, h.checkDate(list, i)...)
		}
	}
	n.found = append(n.found, h.checkWindow(m)...)
	for _, s := range h.list {
		if s.msn < m.MediaSequence {
			n.gone = append(n.gone, s)
		}
	}
	if h.newestAt.IsZero() || len(n.fresh) > 0 {
		h.newestAt = received
	}
	h.media, h.list, h.sent = m, list, sent
	return n
}

// next is the number after the last list's newest.
func (h *history) next() int64 { return h.media.MediaSequence + int64(len(h.list)) }

// at returns the last list's entry of a number.
func (h *history) at(msn int64) (s numbered, ok bool) {
	if h.media == nil || msn < h.media.MediaSequence || msn >= h.next() {
		return numbered{}, false
	}
	return h.list[msn-h.media.MediaSequence], true
}

// continues reports whether a list goes on from the last one: they share
// entries, and all shared ones are equal.
func (h *history) continues(m *playlist.Media) bool {
	if h.media == nil {
		return true
	}
	next := m.MediaSequence + int64(len(m.Segments))
	return m.MediaSequence >= h.media.MediaSequence && m.MediaSequence < h.next() && next >= h.next() && len(h.checkEntries(m)) == 0
}

// checkSequence: MEDIA-SEQUENCE never goes back, nor does the end of the list,
// and no number passes by unlisted.
func (h *history) checkSequence(m *playlist.Media, sent time.Time) []finding {
	next := m.MediaSequence + int64(len(m.Segments))
	// A segment stays listed for a window, so one that was never seen between
	// two looks closer than the shortest legal window was never listed.
	soon := sent.Sub(h.sent) < 3*time.Duration(m.TargetDuration)*time.Second
	switch {
	case m.MediaSequence < h.media.MediaSequence:
		return []finding{{RuleMediaSequence, noMSN, fmt.Sprintf("went back from %d to %d", h.media.MediaSequence, m.MediaSequence)}}
	case next < h.next():
		return []finding{{RuleMediaSequence, noMSN, fmt.Sprintf("the list ended with %d, now with %d", h.next()-1, next-1)}}
	case m.MediaSequence > h.next() && soon:
		return []finding{{RuleMediaSequence, noMSN, fmt.Sprintf("jumped to %d, %d was not listed", m.MediaSequence, h.next())}}
	}
	return nil
}

// checkDiscontinuitySequence: it moves by exactly the tags that left the list.
func (h *history) checkDiscontinuitySequence(m *playlist.Media) []finding {
	if m.MediaSequence < h.media.MediaSequence {
		return nil // the list itself went back: nothing to count from
	}
	want := h.media.DiscontinuitySequence
	for _, s := range h.list {
		if s.msn < m.MediaSequence && s.Discontinuity {
			want++
		}
	}
	got := m.DiscontinuitySequence
	// Behind the end of the last list there may have been tags that nobody saw.
	if got == want || got > want && m.MediaSequence > h.next() {
		return nil
	}
	return []finding{{RuleDiscontinuitySequence, noMSN, fmt.Sprintf("is %d at MEDIA-SEQUENCE %d, must be %d", got, m.MediaSequence, want)}}
}

// checkEntries: what is listed under a number never changes.
func (h *history) checkEntries(m *playlist.Media) (found []finding) {
	for i, s := range m.Segments {
		msn := m.MediaSequence + int64(i)
		if was, ok := h.at(msn); ok && s != was.Segment {
			found = append(found, finding{RuleRewritten, msn, fmt.Sprintf("was %s, is %s", describe(was.Segment), describe(s))})
		}
	}
	return found
}

// describe shows an entry. The name is that below the playlist, which holds no
// token; an absolute one is hidden.
func describe(s playlist.Segment) string {
	marks := ""
	if s.Discontinuity {
		marks += ", discontinuity"
	}
	if s.Gap {
		marks += ", gap"
	}
	return fmt.Sprintf("(%s, %v, %s%s)", relative(s.URI), s.Duration, s.ProgramDateTime.Format("15:04:05.000"), marks)
}

// checkSegment judges what an entry says by itself.
func checkSegment(s numbered, target int) (found []finding) {
	if (s.Duration+time.Second/2)/time.Second > time.Duration(target) {
		found = append(found, finding{RuleTargetDuration, s.msn, fmt.Sprintf("EXTINF is %v, TARGETDURATION %d s", s.Duration, target)})
	}
	if want := fmt.Sprintf("%d.ts", s.msn); s.URI != want {
		found = append(found, finding{RuleName, s.msn, fmt.Sprintf("is named %s, must be %s", relative(s.URI), want)})
	}
	if s.ProgramDateTime.IsZero() {
		found = append(found, finding{RuleDateTime, s.msn, "PROGRAM-DATE-TIME is missing"})
	}
	return found
}

// checkDate: a segment starts where the one before it ends, or later after a
// discontinuity, but never earlier.
func (h *history) checkDate(list []numbered, i int) []finding {
	s := list[i]
	var before numbered
	switch {
	case i > 0:
		before = list[i-1]
	case len(h.list) > 0:
		before = h.list[len(h.list)-1]
	}
	if before.ProgramDateTime.IsZero() || s.ProgramDateTime.IsZero() {
		return nil
	}
	off := s.ProgramDateTime.Sub(before.end())
	follows := s.msn == before.msn+1 && !s.Discontinuity
	if off < -tolerance || follows && off > tolerance {
		return []finding{{RuleDateTime, s.msn, fmt.Sprintf("starts %v after the end of %d", off, before.msn)}}
	}
	return nil
}

// checkWindow: a list that was ever 3 target durations long stays so.
func (h *history) checkWindow(m *playlist.Media) []finding {
	if length(m) >= 3*time.Duration(m.TargetDuration)*time.Second {
		h.long = true
		return nil
	}
	if !h.long {
		return nil
	}
	return []finding{{RuleWindow, noMSN, fmt.Sprintf("is shorter than 3 × %d s again", m.TargetDuration)}}
}
