package segment

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// outline is what a test says of a piece.
type outline struct {
	Index    int
	Void     VoidReason
	Break    bool
	Start    float64 // seconds
	Duration float64
}

func outlines(pieces []cutPiece) []outline {
	var os []outline
	for _, p := range pieces {
		o := outline{Index: p.Index, Void: p.Void, Break: p.Break}
		if p.Void == "" {
			o.Start, o.Duration = float64(p.Start)/second, p.Duration.Seconds()
		}
		os = append(os, o)
	}
	return os
}

func TestCutterMeetsTheUnexpected(t *testing.T) {
	const s = second
	tests := []struct {
		name  string
		input func(m *synth)
		max   int
		want  []outline
		holes bool // the source itself lost packets
	}{
		{
			name:  "nothing but keyframes before the first",
			input: func(m *synth) { m.run(5*s+frame, 11*s) },
			want:  []outline{{0, "", false, 6, 2}, {1, "", false, 8, 2}},
		},
		{
			name:  "no random_access_indicator",
			input: func(m *synth) { m.noRAI = true; m.run(0, 7*s) },
			want:  []outline{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, "", false, 4, 2}},
		},
		{
			name: "no keyframe for longer than the limit",
			input: func(m *synth) {
				m.run(0, 3*s)
				m.gop = 0
				m.run(3*s, 10*s)
				m.gop = s
				m.run(10*s, 15*s)
			},
			want: []outline{{0, "", false, 0, 2}, {1, VoidNoKeyframe, false, 0, 0}, {2, "", true, 10, 2}, {3, "", false, 12, 2}},
		},
		{
			name:  "never a second keyframe",
			input: func(m *synth) { m.gop = 100 * s; m.run(0, 60*s) },
			want:  []outline{{0, VoidNoKeyframe, false, 0, 0}},
		},
		{
			name:  "timestamps jump forward",
			input: func(m *synth) { m.run(0, 5*s); m.run(100*s, 105*s) },
			want:  []outline{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, VoidTimestampJump, false, 0, 0}, {3, "", true, 100, 2}, {4, "", false, 102, 2}},
		},
		{
			name:  "timestamps jump back, to the middle of a GOP",
			input: func(m *synth) { m.run(50*s, 53*s); m.run(10*s+frame, 16*s) },
			want:  []outline{{0, "", false, 50, 2}, {1, VoidTimestampJump, false, 0, 0}, {2, "", true, 11, 2}, {3, "", false, 13, 2}},
		},
		{
			name: "audio jumps first, video follows a GOP later",
			input: func(m *synth) {
				m.run(0, 3*s)
				m.lag = -20 * s
				m.run(3*s, 4*s)
				m.lag = 0
				m.run(24*s, 29*s)
			},
			want: []outline{{0, "", false, 0, 2}, {1, VoidTimestampJump, false, 0, 0}, {2, "", true, 24, 2}, {3, "", false, 26, 2}},
		},
		{
			name: "audio is silent for longer than a jump",
			input: func(m *synth) {
				m.run(0, 2*s)
				m.audio = 0
				for at := int64(2 * s); at < 14*s; at += frame {
					m.picture(at, at%m.gop == 0)
				}
				m.audio = 0x101
				m.run(14*s, 17*s)
			},
			want: []outline{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, "", false, 4, 2}, {3, "", false, 6, 2}, {4, "", false, 8, 2}, {5, "", false, 10, 2}, {6, "", false, 12, 2}, {7, "", false, 14, 2}},
		},
		{
			name:  "resolution changes at a cut",
			input: func(m *synth) { m.run(0, 4*s); m.sps = sps288; m.run(4*s, 9*s) },
			want:  []outline{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, "", true, 4, 2}, {3, "", false, 6, 2}},
		},
		{
			name:  "resolution changes inside a piece",
			input: func(m *synth) { m.run(0, 3*s); m.sps = sps288; m.run(3*s, 8*s) },
			want:  []outline{{0, "", false, 0, 2}, {1, VoidFormatChange, false, 0, 0}, {2, "", true, 3, 2}, {3, "", false, 5, 2}},
		},
		{
			name: "the program changes inside a piece",
			input: func(m *synth) {
				m.run(0, 3*s)
				m.version, m.video, m.audio = 1, 0x200, 0x201
				m.run(3*s, 8*s)
			},
			want: []outline{{0, "", false, 0, 2}, {1, VoidFormatChange, false, 0, 0}, {2, "", true, 3, 2}, {3, "", false, 5, 2}},
		},
		{
			name: "the program changes shortly before a cut",
			input: func(m *synth) {
				m.run(0, 4*s-5*frame)
				m.version, m.video, m.audio = 1, 0x200, 0x201
				m.run(4*s-5*frame, 9*s)
			},
			want: []outline{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, "", true, 4, 2}, {3, "", false, 6, 2}},
		},
		{
			name: "video leaves the program",
			input: func(m *synth) {
				m.run(0, 3*s)
				m.version, m.video = 1, 0
				m.run(3*s, 8*s)
			},
			want: []outline{{0, "", false, 0, 2}, {1, VoidFormatChange, false, 0, 0}, {2, "", true, 3, 2}, {3, "", false, 5, 2}},
		},
		{
			name: "another program's PAT",
			input: func(m *synth) {
				m.run(0, 3*s)
				m.pmtPID = 0x1100
				m.run(3*s, 8*s)
			},
			want: []outline{{0, "", false, 0, 2}, {1, VoidFormatChange, false, 0, 0}, {2, "", true, 3, 2}, {3, "", false, 5, 2}},
		},
		{
			name: "a piece outgrows its limit",
			input: func(m *synth) {
				m.run(0, 3*s)
				m.size = 40000
				m.run(3*s, 4*s)
				m.size = 900
				m.run(4*s, 9*s)
			},
			max:  400 << 10,
			want: []outline{{0, "", false, 0, 2}, {1, VoidTooLarge, false, 0, 0}, {2, "", true, 4, 2}, {3, "", false, 6, 2}},
		},
		{
			name: "bytes are lost",
			input: func(m *synth) {
				m.run(0, 3*s)
				n := len(m.out)
				m.run(3*s, 7*s)
				m.out = slices.Delete(m.out, n-1000, n-300)
			},
			want:  []outline{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, "", false, 4, 2}},
			holes: true,
		},
		{
			name: "garbage comes between packets",
			input: func(m *synth) {
				m.run(0, 3*s)
				m.out = append(m.out, bytes.Repeat([]byte{0x47, 1, 2}, 3000)...)
				m.run(3*s, 7*s)
			},
			want: []outline{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, "", false, 4, 2}},
		},
		{
			name: "more garbage than packets",
			input: func(m *synth) {
				m.run(0, 3*s)
				m.out = append(m.out, make([]byte, 2<<20)...)
				m.run(3*s, 7*s)
			},
			want: []outline{{0, "", false, 0, 2}, {1, VoidCorrupt, false, 0, 0}, {2, "", true, 4, 2}},
		},
		{
			name: "scrambled and damaged packets",
			input: func(m *synth) {
				m.run(0, 3*s)
				n := len(m.out)
				m.run(3*s, 7*s)
				m.out[n+20*packetSize+1] |= 0x80
				m.out[n+40*packetSize+3] |= 0xc0
			},
			want:  []outline{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, "", false, 4, 2}},
			holes: true,
		},
		{
			name: "null packets",
			input: func(m *synth) {
				m.run(0, 3*s)
				for range 100 {
					m.packet(pidNull, false, false, make([]byte, 184))
				}
				m.run(3*s, 7*s)
			},
			want: []outline{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, "", false, 4, 2}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newSynth()
			tt.input(m)
			c := newCutter(t, CutterOptions{MaxBytes: tt.max})
			pieces := cutAll(t, c, m.bytes())
			checkPieces(t, pieces, target, limit)
			if diff := cmp.Diff(outlines(pieces), tt.want); diff != "" {
				t.Errorf("pieces (-got +want):\n%s", diff)
			}
			broken := counterErrors(t, concat(pieces))
			if !tt.holes && len(broken) > 0 {
				t.Errorf("counters break: %v", broken)
			}
			if tt.holes && len(broken) == 0 {
				t.Error("counters hide that packets were lost")
			}
		})
	}
}

func TestCutterMarksDiscontinuity(t *testing.T) {
	m := newSynth().run(0, 3*second)
	m.run(100*second, 105*second)
	var marked []int
	for _, p := range published(cutAll(t, newCutter(t, CutterOptions{}), m.bytes())) {
		key := packet(p.Content[2*packetSize : 3*packetSize])
		if key[5]&0x80 != 0 {
			marked = append(marked, p.Index)
		}
	}
	if diff := cmp.Diff(marked, []int{2}); diff != "" {
		t.Errorf("pieces with discontinuity_indicator (-got +want):\n%s", diff)
	}
}

func TestCutterFormatFollowsTheStream(t *testing.T) {
	m := newSynth().run(0, 4*second)
	m.sps = sps288
	m.version, m.audio = 1, 0
	m.run(4*second, 9*second)
	var got []Format
	for _, p := range published(cutAll(t, newCutter(t, CutterOptions{}), m.bytes())) {
		got = append(got, p.Format)
	}
	both := Format{Codecs: "avc1.42c028,mp4a.40.2", Width: 1920, Height: 1080, FrameRate: 25, HasVideo: true, HasAudio: true}
	mute := Format{Codecs: "avc1.64000c", Width: 352, Height: 288, FrameRate: 25, HasVideo: true}
	if diff := cmp.Diff(got, []Format{both, both, mute, mute}); diff != "" {
		t.Errorf("formats (-got +want):\n%s", diff)
	}
}

func TestCutterAudioParametersBreakAtTheNextCut(t *testing.T) {
	m := newSynth().run(0, 3*second)
	before := len(m.out)
	m.run(3*second, 7*second)
	for off := before; off < len(m.out); off += packetSize { // stereo to mono
		if p := packet(m.out[off : off+packetSize]); p.pid() == m.audio && p.unitStart() {
			h, _ := parsePES(p.payload())
			h.body[3] = 0x40
		}
	}
	got := outlines(cutAll(t, newCutter(t, CutterOptions{}), m.bytes()))
	want := []outline{{0, "", false, 0, 2}, {1, "", false, 2, 2}, {2, "", true, 4, 2}}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("pieces (-got +want):\n%s", diff)
	}
}

func TestCutterFirstPieceHasNothingToBreakFrom(t *testing.T) {
	m := newSynth().run(5*second+frame, 6*second)
	for off := 0; off < len(m.out); off += packetSize { // other audio before the first keyframe
		if p := packet(m.out[off : off+packetSize]); p.pid() == m.audio && p.unitStart() {
			h, _ := parsePES(p.payload())
			h.body[3] = 0x40
		}
	}
	m.run(6*second, 9*second)
	got := outlines(cutAll(t, newCutter(t, CutterOptions{}), m.bytes()))
	if diff := cmp.Diff(got, []outline{{0, "", false, 6, 2}}); diff != "" {
		t.Errorf("pieces (-got +want):\n%s", diff)
	}
}

func TestCutterDropsAudioWithoutItsStart(t *testing.T) {
	m := newSynth()
	m.tables()
	// An audio frame that began before the keyframe and ends after it.
	body := append([]byte{0, 0, 1, 0xc0, 0, 0, 0x80, 0x80, 5}, pesTime(2, 0)...)
	m.packet(m.audio, true, false, append(body, make([]byte, 170)...))
	m.picture(0, true)
	m.packet(m.audio, false, false, make([]byte, 184))
	m.run(frame, 3*second)
	pieces := cutAll(t, newCutter(t, CutterOptions{}), m.bytes())
	for off := 0; off < len(pieces[0].Content); off += packetSize {
		if p := packet(pieces[0].Content[off : off+packetSize]); p.pid() == m.audio {
			if !p.unitStart() {
				t.Error("the first audio packet continues a frame that is not there")
			}
			return
		}
	}
	t.Error("no audio in the piece")
}

func TestCutterIgnoresReadSizes(t *testing.T) {
	m := newSynth().run(0, 3*second)
	m.out = append(m.out, bytes.Repeat([]byte{0x47, 0}, 999)...)
	m.run(3*second, 5*second)
	m.run(40*second, 43*second+frame)
	m.sps = sps288
	m.run(43*second+frame, 50*second)
	m.out = slices.Delete(m.out, 40000, 40100)
	now := func() time.Time { return time.Unix(0, 0) }
	want := cutAll(t, newCutter(t, CutterOptions{Now: now}), m.bytes())
	if len(want) < 6 {
		t.Fatalf("got %d pieces, want some", len(want))
	}
	rapid.Check(t, func(r *rapid.T) {
		top := rapid.SampledFrom([]int{2, 188, 300, 5000, 60000}).Draw(r, "top")
		sizes := rapid.IntRange(1, top)
		n := 0
		c := newCutter(t, CutterOptions{Now: now})
		defer c.Close()
		got := feed(t, c, m.bytes(), func() int {
			if n++; n > 2000 { // enough variety; go on quickly
				return 1000 + n%97
			}
			return sizes.Draw(r, "size")
		})
		if len(got) != len(want) {
			r.Fatalf("got %d pieces, want %d", len(got), len(want))
		}
		for i := range got {
			if got[i].Piece != want[i].Piece {
				r.Errorf("got piece %+v, want %+v", got[i].Piece, want[i].Piece)
			}
			if !bytes.Equal(got[i].Content, want[i].Content) {
				r.Errorf("piece %d has other bytes", i)
			}
		}
	})
}

func TestCutterProgress(t *testing.T) {
	at := time.Unix(1000, 0)
	c := newCutter(t, CutterOptions{Now: func() time.Time { return at }})
	if p := c.Progress(); !p.Waiting || !p.LastByte.IsZero() {
		t.Errorf("got %+v before the first byte, want waiting", p)
	}
	m := newSynth().run(0, 5*second)
	cutAll(t, c, m.bytes())
	got := c.Progress()
	want := Progress{
		Bytes:    int64(len(m.bytes())),
		VideoPTS: 5*second - frame, VideoDTS: 5*second - frame,
		AudioPTS: 5*second - 2*frame, AudioDTS: 5*second - 2*frame, // the last packet waits for a sync byte behind it
		LastByte: at, LastAdvance: at, LastKeyframe: at, LastPiece: at,
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("progress (-got +want):\n%s", diff)
	}
	// The clock goes on, the timestamps do not.
	at = at.Add(time.Minute)
	for range 10 {
		m.out = nil
		m.picture(5*second-frame, false)
		m.sound(5*second - frame)
		cutAll(t, c, m.bytes())
	}
	if p := c.Progress(); !p.LastByte.Equal(at) || p.LastAdvance.Equal(at) {
		t.Errorf("got last byte %v and advance %v, want only the byte at %v", p.LastByte, p.LastAdvance, at)
	}
}

func TestCutterMemoryStaysBounded(t *testing.T) {
	const limitBytes = 1 << 20
	c := newCutter(t, CutterOptions{MaxBytes: limitBytes})
	before := Resident()
	m := newSynth()
	m.size, m.gop = 20000, 0
	m.tables()
	m.picture(0, true)
	for at := int64(frame); at < 20*second; at += frame {
		m.out = m.out[:0]
		m.picture(at, false)
		cutAll(t, c, m.bytes())
		if grown := Resident() - before; grown > limitBytes+spare {
			t.Fatalf("got %d bytes more resident, want at most %d", grown, limitBytes+spare)
		}
	}
}

func TestCutterRefusesNoTimeline(t *testing.T) {
	if _, err := NewCutter(CutterOptions{}); err == nil {
		t.Error("got a cutter without a timeline")
	}
}
