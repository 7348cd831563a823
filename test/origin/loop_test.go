package origin

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// loops are made once for all tests.
var loops Library

func makeLoop(t *testing.T, r Recipe) *Loop {
	t.Helper()
	loop, err := loops.Loop(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return loop
}

// checkEndless reads packets as a receiver would: counters follow each other, the
// times of each PID and PCR go on by less than half a second, modulo 2³³.
func checkEndless(t *testing.T, ts []byte) {
	t.Helper()
	counters := make(map[int]byte)
	last := make(map[int]int64)
	for at := 0; at < len(ts); at += packetSize {
		p := packet(ts[at : at+packetSize])
		if p[0] != syncByte {
			t.Fatalf("packet %d: no sync byte", at/packetSize)
		}
		want, known := counters[p.pid()]
		if p.hasPayload() {
			want++
		}
		if got := p[3] & 0x0f; known && got != want&0x0f {
			t.Fatalf("packet %d, PID %d: got counter %d, want %d", at/packetSize, p.pid(), got, want&0x0f)
		}
		counters[p.pid()] = p[3] & 0x0f
		if pes := p.pes(); pes != nil {
			_, dts := times(pes)
			step := (dts - last[p.pid()]) & clockMask
			if _, known := last[p.pid()]; known && (step == 0 || step > clockRate/2) {
				t.Fatalf("packet %d, PID %d: DTS went on by %d ticks", at/packetSize, p.pid(), step)
			}
			last[p.pid()] = dts
		}
	}
	if len(last) == 0 {
		t.Fatal("no PES at all")
	}
}

func TestLoopGoesOnOverItsSeam(t *testing.T) {
	tests := []struct {
		name    string
		recipe  Recipe
		entries int
	}{
		{"GOPs of 2 s", Recipe{}, 8},
		{"GOPs of 1 s", Recipe{GOP: time.Second}, 16},
		{"one keyframe", Recipe{GOP: Duration}, 1},
		{"HEVC and MP2", Recipe{Video: HEVC, Audio: MP2}, 8},
		{"MPEG-2", Recipe{Video: MPEG2}, 8},
		{"no audio", Recipe{Audio: None}, 8},
		{"audio alone", Recipe{Video: None}, 750},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			loop := makeLoop(t, tt.recipe)
			if got := len(loop.entries); got != tt.entries {
				t.Errorf("got %d entries, want %d", got, tt.entries)
			}
			// The stamps wrap in the middle of it.
			base := ticks(WrapsAt) - 5*loop.duration/2
			checkEndless(t, loop.appendPackets(nil, 0, 5*int64(loop.length()), base))
		})
	}
}

func TestLoopIsWhatFFmpegCallsFlawless(t *testing.T) {
	loop := makeLoop(t, Recipe{})
	ts := loop.appendPackets(nil, loop.entry(13*clockRate), loop.at(3*loop.duration), ticks(10*time.Hour))
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-hide_banner", "-v", "warning", "-xerror",
		"-f", "mpegts", "-i", "pipe:0", "-map", "0", "-f", "null", "-")
	cmd.Stdin = bytes.NewReader(ts)
	words, err := cmd.CombinedOutput()
	if err != nil || len(bytes.TrimSpace(words)) > 0 {
		t.Errorf("decoding three turns: %v\n%s", err, words)
	}
}

func TestLoopSendsNothingBeforeItsTime(t *testing.T) {
	loop := makeLoop(t, Recipe{})
	for _, seconds := range []int64{0, 1, 5, 16, 17, 40} {
		end := seconds * clockRate
		n := loop.at(end)
		ts := loop.appendPackets(nil, 0, n, clockRate) // the sound begins a little earlier
		newest := int64(-1)
		for at := 0; at < len(ts); at += packetSize {
			if pes := packet(ts[at : at+packetSize]).pes(); pes != nil {
				_, dts := times(pes)
				newest = max(newest, dts-clockRate)
			}
		}
		if newest >= end || newest < end-clockRate/10 {
			t.Errorf("at %d s: got a newest DTS of %d, want one just below %d", seconds, newest, end)
		}
	}
}

func TestLoopEntriesBeginWithTables(t *testing.T) {
	loop := makeLoop(t, Recipe{})
	for seconds := range int64(40) {
		n := loop.entry(seconds*clockRate + 1)
		if p := loop.packet(int(n) % loop.length()); loop.media[p.pid()] {
			t.Errorf("at %d s: the entry is PID %d, want a table", seconds, p.pid())
		}
		// The first picture of the loop comes behind the sound that leads it in.
		if got, want := loop.at(seconds/2*2*clockRate), n; got != want && seconds/2%8 != 0 {
			t.Errorf("at %d s: the grid is packet %d, the entry %d", seconds, got, want)
		}
	}
}

func TestNewLoopRefuses(t *testing.T) {
	null := bytes.Repeat(append([]byte{syncByte, 0x1f, 0xff, 0x10}, make([]byte, packetSize-4)...), 3)
	tests := []struct {
		name string
		ts   []byte
		want string
	}{
		{"nothing", nil, "whole transport packets"},
		{"a torn packet", null[:packetSize+1], "whole transport packets"},
		{"no sync byte", make([]byte, packetSize), "sync byte"},
		{"no PES", null, "without PES"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewLoop(tt.ts, Duration)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestMakeRefuses(t *testing.T) {
	for name, r := range map[string]Recipe{
		"nothing to make":         {Video: None, Audio: None},
		"a GOP that does not fit": {GOP: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Make(t.Context(), r); err == nil {
				t.Error("got no error, want one")
			}
		})
	}
}
