package segment

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// rendition is one of several that are cut on one timeline, fed bit by bit.
type rendition struct {
	cutter *Cutter
	input  []byte
	pieces []cutPiece
}

func (r *rendition) feed(t testing.TB, n int) {
	n = min(n, len(r.input))
	r.pieces = append(r.pieces, feed(t, r.cutter, r.input[:n], func() int { return 64 << 10 })...)
	r.input = r.input[n:]
}

func renditions(t testing.TB, tl *Timeline, inputs ...[]byte) []*rendition {
	var rs []*rendition
	for _, in := range inputs {
		rs = append(rs, &rendition{cutter: newCutter(t, CutterOptions{Timeline: tl, MaxBytes: 1 << 20}), input: in})
	}
	return rs
}

// thin is a synth of few bytes.
func thin() *synth {
	m := newSynth()
	m.size, m.frame = 20, second/5
	return m
}

// step feeds all renditions alternately and evenly, the first ahead by lead bytes.
func step(t testing.TB, rs []*rendition, lead int) {
	parts := make([]int, len(rs))
	for i, r := range rs {
		parts[i] = len(r.input)/200 + 1
	}
	rs[0].feed(t, lead)
	for left := true; left; {
		left = false
		for i, r := range rs {
			r.feed(t, parts[i])
			left = left || len(r.input) > 0
		}
	}
}

func TestTimelineLinesRenditionsUp(t *testing.T) {
	const s = second
	plain := func() []byte { return thin().run(0, 13*s).bytes() }
	tests := []struct {
		name   string
		inputs [][]byte
		lead   int // bytes that the first one is ahead
		want   [][]outline
	}{
		{
			name:   "equal",
			inputs: [][]byte{thin().run(0, 5*s).bytes(), thin().run(0, 5*s).bytes()},
			want: [][]outline{
				{{0, "", false, 0, 2}, {1, "", false, 2, 2}},
				{{0, "", false, 0, 2}, {1, "", false, 2, 2}},
			},
		},
		{
			name: "timestamps rounded to another grid",
			inputs: [][]byte{
				thin().run(0, 7*s).bytes(),
				func() []byte { m := thin(); m.shift = -1800; return m.run(0, 7*s).bytes() }(),
			},
			want: [][]outline{
				{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, "", false, 4, 2}},
				{{0, "", false, -0.02, 2}, {1, "", false, 1.98, 2}, {2, "", false, 3.98, 2}},
			},
		},
		{
			name:   "the second starts late",
			inputs: [][]byte{plain(), thin().run(3*s, 13*s).bytes()},
			lead:   80000,
			want: [][]outline{
				{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, "", false, 4, 2}, {3, "", false, 6, 2}, {4, "", false, 8, 2}, {5, "", false, 10, 2}},
				{{0, VoidNoKeyframe, false, 0, 0}, {1, VoidNoKeyframe, false, 0, 0}, {2, "", true, 4, 2}, {3, "", false, 6, 2}, {4, "", false, 8, 2}, {5, "", false, 10, 2}},
			},
		},
		{
			name: "one loses its keyframes for a while",
			inputs: [][]byte{plain(), func() []byte {
				m := thin().run(0, 3*s)
				m.gop = 0
				m.run(3*s, 9*s)
				m.gop = s
				return m.run(9*s, 13*s).bytes()
			}()},
			want: [][]outline{
				{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, "", false, 4, 2}, {3, "", false, 6, 2}, {4, "", false, 8, 2}, {5, "", false, 10, 2}},
				{{0, "", false, 0, 2}, {1, VoidNoKeyframe, false, 0, 0}, {2, VoidNoKeyframe, false, 0, 0}, {3, VoidNoKeyframe, false, 0, 0}, {4, VoidNoKeyframe, false, 0, 0}, {5, "", true, 10, 2}},
			},
		},
		{
			name:   "one changes its resolution inside a piece",
			inputs: [][]byte{plain(), func() []byte { m := thin().run(0, 3*s); m.sps = sps288; return m.run(3*s, 9*s).bytes() }()},
			want: [][]outline{
				{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, "", false, 4, 2}, {3, "", false, 6, 2}, {4, "", false, 8, 2}, {5, "", false, 10, 2}},
				{{0, "", false, 0, 2}, {1, VoidFormatChange, false, 0, 0}, {2, "", true, 4, 2}, {3, "", false, 6, 2}},
			},
		},
		{
			name: "one loses more than a jump",
			inputs: [][]byte{thin().run(0, 19*s).bytes(), func() []byte {
				m := thin().run(0, 3*s)
				from := len(m.out)
				m.run(3*s, 15*s)
				for off := from; off < len(m.out); off += packetSize {
					m.out[off+1] |= 0x80
				}
				return m.run(15*s, 19*s).bytes()
			}()},
			want: [][]outline{
				{
					{0, "", false, 0, 2},
					{1, "", false, 2, 2},
					{2, "", false, 4, 2},
					{3, "", false, 6, 2},
					{4, "", false, 8, 2},
					{5, "", false, 10, 2},
					{6, "", false, 12, 2},
					{7, "", false, 14, 2},
					{8, "", false, 16, 2},
				},
				{
					{0, "", false, 0, 2},
					{1, VoidTimestampJump, false, 0, 0},
					{2, VoidTimestampJump, false, 0, 0},
					{3, VoidTimestampJump, false, 0, 0},
					{4, VoidTimestampJump, false, 0, 0},
					{5, VoidTimestampJump, false, 0, 0},
					{6, VoidTimestampJump, false, 0, 0},
					{7, VoidNoKeyframe, false, 0, 0},
					{8, "", true, 16, 2},
				},
			},
		},
		{
			name: "both jump, the first well before the second",
			inputs: [][]byte{
				thin().run(0, 5*s).run(100*s, 107*s).bytes(),
				thin().run(0, 5*s).run(100*s, 107*s).bytes(),
			},
			lead: 20000,
			want: [][]outline{
				{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, VoidTimestampJump, false, 0, 0}, {3, "", true, 100, 2}, {4, "", false, 102, 2}, {5, "", false, 104, 2}},
				{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, VoidTimestampJump, false, 0, 0}, {3, "", true, 100, 2}, {4, "", false, 102, 2}, {5, "", false, 104, 2}},
			},
		},
		{
			name: "only the first jumps",
			inputs: [][]byte{
				thin().run(0, 5*s).run(3*s, 30*s).bytes(),
				thin().run(0, 30*s).bytes(),
			},
			want: [][]outline{
				{
					{0, "", false, 0, 2},
					{1, "", false, 2, 2},
					{2, VoidTimestampJump, false, 0, 0},
					{3, "", true, 3, 2},
					{4, "", false, 5, 2},
					{5, "", false, 7, 2},
					{6, "", false, 9, 2},
					{7, "", false, 11, 2},
					{8, "", false, 13, 2},
					{9, "", false, 15, 2},
					{10, "", false, 17, 2},
					{11, "", false, 19, 2},
					{12, "", false, 21, 2},
					{13, "", false, 23, 2},
					{14, "", false, 25, 2},
					{15, "", false, 27, 2},
				},
				{
					{0, "", false, 0, 2},
					{1, "", false, 2, 2},
					{2, "", false, 4, 2},
					{3, VoidNoKeyframe, false, 0, 0},
					{4, VoidNoKeyframe, false, 0, 0},
					{5, VoidNoKeyframe, false, 0, 0},
					{6, VoidNoKeyframe, false, 0, 0},
					{7, VoidNoKeyframe, false, 0, 0},
					{8, VoidNoKeyframe, false, 0, 0},
					{9, "", true, 15, 2},
					{10, "", false, 17, 2},
					{11, "", false, 19, 2},
					{12, "", false, 21, 2},
					{13, "", false, 23, 2},
					{14, "", false, 25, 2},
					{15, "", false, 27, 2},
				},
			},
		},
		{
			name: "audio alone beside video with an uneven GOP",
			inputs: [][]byte{
				func() []byte { m := thin(); m.gop = 3 * s; return m.run(0, 13*s).bytes() }(),
				func() []byte { m := thin(); m.video = 0; return m.run(0, 13*s).bytes() }(),
			},
			want: [][]outline{
				{{0, "", false, 0, 3}, {1, "", false, 3, 3}, {2, "", false, 6, 3}, {3, "", false, 9, 3}},
				{{0, "", false, 0, 3}, {1, "", false, 3, 3}, {2, "", false, 6, 3}, {3, "", false, 9, 3}},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rs := renditions(t, NewTimeline(target, limit), tt.inputs...)
			step(t, rs, tt.lead)
			for i, r := range rs {
				if diff := cmp.Diff(outlines(r.pieces), tt.want[i]); diff != "" {
					t.Errorf("pieces of rendition %d (-got +want):\n%s", i, diff)
				}
			}
		})
	}
}

// Whatever happens to one rendition and however far one is ahead of another, an
// index means the same media in all of them, and they come together again.
func TestTimelineHoldsUnderInterleaving(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		const (
			s         = second
			perSecond = 5 * 6 * packetSize // about
		)
		count := rapid.IntRange(2, 3).Draw(r, "renditions")
		streams := make([]*synth, count)
		for i := range streams {
			streams[i] = thin()
			streams[i].shift = rapid.SampledFrom([]int64{0, 0, -2000, 900}).Draw(r, "rounding")
		}
		strict := true
		at := int64(rapid.IntRange(0, 3).Draw(r, "first")) * s
		for range rapid.IntRange(0, 4).Draw(r, "events") {
			length := int64(rapid.IntRange(3, 10).Draw(r, "seconds")) * s
			victim := rapid.IntRange(0, count-1).Draw(r, "victim")
			event := rapid.SampledFrom([]string{"jump", "no keyframes", "damage", "resolution"}).Draw(r, "event")
			for i, m := range streams {
				from := len(m.out) + 2*perSecond // a jump before it shows
				if i == victim && event == "no keyframes" {
					m.gop, strict = 0, false
				}
				if i == victim && event == "resolution" {
					m.sps = sps288
				}
				m.run(at, at+length)
				m.gop = s
				if i == victim && event == "damage" {
					strict = false
					for off := from; off < len(m.out); off += packetSize {
						m.out[off+1] |= 0x80
					}
				}
			}
			at += length
			if event == "jump" {
				by := rapid.SampledFrom([]int64{-30, -3, 15, 100000}).Draw(r, "by")
				at += by * s
				at = max(at, 0)
			}
		}
		for _, m := range streams {
			m.run(at, at+30*s)
		}
		tl := NewTimeline(target, limit)
		rs := make([]*rendition, count)
		for i, m := range streams {
			c, err := NewCutter(CutterOptions{Timeline: tl, MaxBytes: 1 << 20})
			if err != nil {
				r.Fatal(err)
			}
			defer c.Close()
			rs[i] = &rendition{cutter: c, input: m.out}
		}
		// Nobody is ahead by more than about four seconds.
		lead := rapid.IntRange(0, 4*perSecond).Draw(r, "lead")
		rs[rapid.IntRange(0, count-1).Draw(r, "leader")].feed(t, lead)
		turns := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "turns"), 0))
		for left := true; left; {
			left = false
			for _, x := range rs {
				x.feed(t, (1+turns.IntN(20))*packetSize)
				left = left || len(x.input) > 0
			}
		}
		if problem := disagreement(rs, strict); problem != "" {
			r.Fatal(problem)
		}
		tail := published(rs[0].pieces)
		if len(tail) < 5 {
			r.Fatalf("got %d pieces, want at least the last 30 s", len(tail))
		}
		for _, p := range tail[len(tail)-5 : len(tail)-1] {
			for i, x := range rs {
				if !has(x.pieces, p.Index) {
					r.Fatalf("rendition %d has not come back: no piece %d\n%v\n%v", i, p.Index, outlines(rs[0].pieces), outlines(x.pieces))
				}
			}
		}
	})
}

func has(pieces []cutPiece, index int) bool {
	for _, p := range pieces {
		if p.Index == index {
			return p.Void == ""
		}
	}
	return false
}

// disagreement compares the pieces that renditions published under one index,
// and looks for indexes that a rendition left out. Not strict: a rendition may
// have lacked a keyframe at a cut and go on to its next one.
func disagreement(rs []*rendition, strict bool) string {
	far, longer := int64(second/5), 200*time.Millisecond
	if !strict {
		far, longer = tk, limit-target+longer
	}
	starts := map[int]cutPiece{}
	for n, r := range rs {
		for i, p := range r.pieces {
			if p.Index != i {
				return fmt.Sprintf("rendition %d delivered index %d after %d: %v", n, p.Index, i-1, outlines(r.pieces))
			}
			if p.Void != "" {
				continue
			}
			q, ok := starts[p.Index]
			starts[p.Index] = p
			if ok && distance(p.Start, q.Start) > far {
				return fmt.Sprintf("index %d starts at %d and at %d", p.Index, p.Start, q.Start)
			}
			if ok && (p.Duration-q.Duration).Abs() > longer {
				return fmt.Sprintf("index %d lasts %v and %v", p.Index, p.Duration, q.Duration)
			}
			if p.Duration < target-200*time.Millisecond || p.Duration > limit {
				return fmt.Sprintf("index %d lasts %v", p.Index, p.Duration)
			}
		}
	}
	return ""
}

func TestTimelineForgetsOldCuts(t *testing.T) {
	tl := NewTimeline(target, limit)
	for i := range maxCuts * 3 {
		tl.begin(0, i, int64(i)*tk, true)
	}
	if len(tl.cuts) > maxCuts {
		t.Errorf("got %d cuts remembered, want at most %d", len(tl.cuts), maxCuts)
	}
	// A rendition that comes very late skips what is forgotten.
	c := newCutter(t, CutterOptions{Timeline: tl})
	pieces := cutAll(t, c, thin().run(maxCuts*3*tk, maxCuts*3*tk+5*second).bytes())
	if len(pieces) == 0 || len(pieces) > maxCuts+2 {
		t.Errorf("got %d pieces, want at most %d", len(pieces), maxCuts+2)
	}
	if got, want := pieces[len(pieces)-1].Index, maxCuts*3+1; got != want {
		t.Errorf("last index: got %d, want %d", got, want)
	}
}

func TestTimelineServesManyGoroutines(t *testing.T) {
	in := thin().run(0, 41*second).bytes()
	rs := renditions(t, NewTimeline(target, limit), in, in, in)
	var feeders sync.WaitGroup
	for _, r := range rs {
		feeders.Go(func() {
			for len(r.input) > 0 {
				r.feed(t, 3*packetSize)
				if p := rs[0].cutter.Progress(); p.Bytes < 0 {
					t.Error("progress went back")
				}
			}
		})
	}
	feeders.Wait()
	for i, r := range rs {
		if problem := disagreement(rs, true); problem != "" {
			t.Fatal(problem)
		}
		if got := len(published(r.pieces)); got < 10 {
			t.Errorf("rendition %d: got %d pieces of 41 s, want most of 20", i, got)
		}
	}
}
