package segment

import (
	"sync"
	"time"
)

// Timeline is the one cut list that the renditions of one run share, so that
// piece k covers the same stretch of media in all of them. It is safe for
// concurrent use.
//
// Piece k is [cut k, cut k+1). Whoever first sees a keyframe at or after
// cut k + T decides cut k+1; the others cut at their first keyframe at or after
// it. Where there are others, a keyframe may lie up to a tenth of a second (an
// eighth of T at most) before the cut, because a transcoder rounds timestamps to
// its own frame grid; cuts themselves are never nearer than T. Renditions with
// video decide, those without follow: they must not arrive more than
// limit - T ahead of the video. What happens when renditions do not agree:
//
//	a rendition …                                   its indexes
//	loses piece k (no keyframe, too large, …)       k is void; it comes back at its first keyframe at or after the
//	                                                next cut, or decides that cut if nobody has. Alone on the
//	                                                timeline it comes back at once, before T is over
//	has no keyframe while others cut                every piece that ended without it is void, as soon as others end it
//	has its own grid of keyframes                   a piece that would come out shorter than T or longer than the
//	                                                limit is void; one whose cuts both passed is skipped (void)
//	starts late                                     pieces before are void
//	loses so much that its own time leaps           as for a lost piece, if the others' cuts have reached that time
//	sees a jump of the timestamps                   its piece is void; cuts before the jump are void; the first
//	                                                keyframe after it begins a new stretch at the next free index
//	sees the jump later than others                 ends the piece that it is in (published if it reached T, else
//	                                                void by its own jump) and enters the new stretch at the cut
//	                                                nearest to its time; pieces that passed are void
//	never sees the jump of the others               waits for it for twice the limit, then takes the new stretch for
//	                                                its own if the times agree, else begins another one
//
// A rendition that comes back at a keyframe beyond everything decided so far
// decides for all. An index that is void everywhere is a hole and takes no
// number; one that is void in some renditions is a gap in those.
type Timeline struct {
	target, limit, slack int64 // ticks

	mu       sync.Mutex
	first    int   // index of cuts[0]
	cuts     []cut // oldest first, at most maxCuts
	members  int   // renditions that take part
	videos   int   // those of them that have video
	ref      int64 // first timestamp of the run: all unwrap from there
	refKnown bool
}

// cut is the start of a piece.
type cut struct {
	at      int64 // unwrapped PTS
	stretch int   // how many jumps came before it
}

// maxCuts bounds the memory of cuts: indexes that are further behind are skipped.
const maxCuts = 256

// NewTimeline returns an empty cut list. A piece is never shorter than target
// (the configured segment duration T) and never longer than limit
// (TARGETDURATION, RFC 8216bis §6.2.1).
func NewTimeline(target, limit time.Duration) *Timeline {
	t := &Timeline{target: max(1, ticksUp(target)), limit: ticksDown(limit)}
	t.slack = min(second/10, t.target/8)
	t.limit = max(t.limit, t.target)
	return t
}

// join counts a rendition in, or out.
func (t *Timeline) join(members, videos int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.members += members
	t.videos += videos
}

// anchor returns a timestamp of the run to unwrap from.
func (t *Timeline) anchor(raw int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.refKnown {
		t.ref, t.refKnown = raw, true
	}
	return t.ref
}

// place says how a rendition stands to the cut list.
type place uint8

const (
	placeHere  place = iota // in the piece of the returned index
	placeOpen               // beyond all pieces: whoever may decide begins the returned index
	placeEarly              // before the piece of the returned index
	placeShut               // others went on after a jump that this rendition has not seen
)

// locate finds the piece in which a rendition is at a time, if it has none and
// next is its lowest free index. Indexes from next up to the returned one are
// lost for it.
func (t *Timeline) locate(stretch, next int, at int64) (int, place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.find(stretch, next, at)
}

func (t *Timeline) find(stretch, next int, at int64) (int, place) {
	end := t.first + len(t.cuts)
	for i := max(next, t.first); i < end; i++ {
		c := t.cuts[i-t.first]
		switch {
		case c.stretch > stretch:
			return i, placeShut
		case c.stretch < stretch: // before the jump
		case at < c.at-t.slack:
			return i, placeEarly
		case i+1 < end && (t.cuts[i+1-t.first].stretch > stretch || at < t.cuts[i+1-t.first].at-t.slack),
			i+1 == end && at < c.at+t.target:
			return i, placeHere
		}
	}
	index := max(next, end)
	if end > t.first {
		last := t.cuts[end-1-t.first]
		if last.stretch > stretch {
			return index, placeShut
		}
		// The rendition gave up the last piece, which goes on for others.
		if last.stretch == stretch && (at <= last.at || t.members > 1 && at < last.at+t.target) {
			return index, placeEarly
		}
	}
	return index, placeOpen
}

// begin is locate for a rendition with a keyframe, which decides the cut where
// nobody has.
func (t *Timeline) begin(stretch, next int, at int64, video bool) (int, place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, p := t.find(stretch, next, at)
	if p != placeOpen {
		return i, p
	}
	if !t.leads(video) {
		return i, placeEarly
	}
	t.decide(i, cut{at, stretch})
	return i, placeHere
}

// ends says whether the piece of an index that began at start ends at a
// keyframe, and decides the cut where nobody has.
func (t *Timeline) ends(stretch, index int, start, at int64, video bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := t.first + len(t.cuts)
	if index < t.first || index >= end { // far behind: the list has forgotten it
		return at >= start+t.target
	}
	c := t.cuts[index-t.first]
	if index+1 < end {
		if n := t.cuts[index+1-t.first]; n.stretch == stretch {
			if !video { // each packet would do: the tolerance would only make it early
				return at >= n.at
			}
			return at >= n.at-t.slack
		}
		return at >= c.at+t.target // the others have jumped
	}
	due := c.at + t.target
	if at < due-t.tolerance() || !t.leads(video) {
		return false
	}
	t.decide(index+1, cut{max(at, due), stretch})
	return true
}

// tolerance is how far before a due cut a keyframe may lie. Renditions that
// round timestamps in different ways would miss each other's cuts without it.
func (t *Timeline) tolerance() int64 {
	if t.members > 1 {
		return t.slack
	}
	return 0
}

// leads says whether a rendition may decide.
func (t *Timeline) leads(video bool) bool { return video || t.videos == 0 }

// decide adds the cut of an index; between it and the last one nothing is known.
func (t *Timeline) decide(index int, c cut) {
	if index != t.first+len(t.cuts) {
		t.first, t.cuts = index, t.cuts[:0]
	}
	if len(t.cuts) == maxCuts {
		t.cuts = t.cuts[:copy(t.cuts, t.cuts[1:])]
		t.first++
	}
	t.cuts = append(t.cuts, c)
}

// short says that a piece would be shorter than the tolerance allows.
func (t *Timeline) short(ticks int64) bool { return ticks < t.target-2*t.slack }

// adopt returns the stretch that a rendition belongs to which waited in vain for
// the jump of the others: theirs if its time is near, else a new one.
func (t *Timeline) adopt(at int64) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.cuts) == 0 {
		return 0
	}
	last := t.cuts[len(t.cuts)-1]
	if d := at - last.at; d < -jumpAhead-t.limit || d > jumpAhead+t.limit {
		return last.stretch + 1
	}
	return last.stretch
}

// reached says that others, without a jump, have come to a time.
func (t *Timeline) reached(stretch int, at int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.cuts) == 0 {
		return false
	}
	last := t.cuts[len(t.cuts)-1]
	return last.stretch == stretch && at <= last.at+jumpAhead/2
}

// piece returns start and length of an index as far as they are decided.
func (t *Timeline) piece(index int) (start, ticks int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := index - t.first
	if i < 0 || i >= len(t.cuts) {
		return 0, 0
	}
	if c := t.cuts[i]; i+1 < len(t.cuts) && t.cuts[i+1].stretch == c.stretch {
		return c.at, t.cuts[i+1].at - c.at
	}
	return t.cuts[i].at, 0
}
