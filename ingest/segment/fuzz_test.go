package segment

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// FuzzCutter damages a stream of short segments: each four bytes of edits are an
// operation at a place. What comes out must hold all that pieces promise. Run it
// with -fuzzminimizetime=1x: making streams shorter takes up the whole time else.
func FuzzCutter(f *testing.F) {
	const (
		ms     = second / 1000
		target = 200 * time.Millisecond
		limit  = 400 * time.Millisecond
	)
	short := func() *synth {
		m := thin()
		m.frame, m.gop = 50*ms, 100*ms
		return m
	}
	plain := short().run(0, 1000*ms).out
	f.Add(plain, []byte{}, uint16(1000))
	f.Add(plain, []byte{0, 40, 0, 9, 1, 90, 3, 200, 2, 100, 7, 255}, uint16(187))
	jump := short().run(0, 500*ms)
	jump.video, jump.version = 0x200, 1
	f.Add(jump.run(50*second, 51*second).out, []byte{1, 1, 1, 1}, uint16(300))
	shaped := short().run(0, 500*ms)
	shaped.sps = sps288
	f.Add(shaped.run(500*ms, 1000*ms).out, []byte{}, uint16(7))
	mute := short()
	mute.video = 0
	f.Add(mute.run(1<<33-500*ms, 1<<33+500*ms).out, []byte{3, 70, 4, 7}, uint16(5000))
	f.Fuzz(func(t *testing.T, b, edits []byte, size uint16) {
		b = edited(b, edits)
		counters := &Counters{}
		c := newCutter(t, CutterOptions{Timeline: NewTimeline(target, limit), Counters: counters, MaxBytes: 256 << 10})
		pieces := feed(t, c, b, func() int { return int(size) + 50 })
		checkPieces(t, pieces, target, limit)
		if len(pieces) > 0 && pieces[0].Void == "" && pieces[0].Break {
			t.Error("the first piece breaks with nothing before it")
		}
		c.Close()
		if len(counters.pids) > maxPIDs {
			t.Errorf("got %d PIDs, want at most %d", len(counters.pids), maxPIDs)
		}
		if c.Space() != nil || c.Advance(1) != nil {
			t.Error("a closed cutter goes on")
		}
	})
}

// edited applies operations to a copy of b.
func edited(b, edits []byte) []byte {
	b = bytes.Clone(b)
	for ; len(edits) >= 4 && len(b) > packetSize; edits = edits[4:] {
		at := (int(edits[1])<<8 | int(edits[2])) % (len(b) - packetSize)
		switch edits[0] % 5 {
		case 0:
			b[at] = edits[3]
		case 1: // inside a header
			b[at/packetSize*packetSize+int(edits[3])%24] ^= edits[2] | 1
		case 2:
			b = slices.Delete(b, at, at+int(edits[3])%packetSize)
		case 3:
			b = slices.Insert(b, at, edits...)
		case 4: // a packet comes once more
			p := bytes.Clone(b[at/packetSize*packetSize:][:packetSize])
			b = slices.Insert(b, int(edits[3])*packetSize%len(b), p...)
		}
	}
	return b
}

func FuzzPSI(f *testing.F) {
	m := newSynth()
	m.tables()
	f.Add(m.out)
	m = newSynth()
	m.tables(entry(0x24, 0x100), entry(0x06, 0x101, 5, 4, 'O', 'p', 'u', 's'), entry(0x06, 0x102, 0x6a, 1, 0))
	f.Add(m.out)
	f.Add(bytes.Repeat([]byte{0x47, 0x40, 0, 0x10}, 47*4))
	f.Fuzz(func(t *testing.T, b []byte) {
		pat, pmt := &table{}, &table{pid: 0x1000, program: 1}
		for ; len(b) >= packetSize; b = b[packetSize:] {
			p := packet(b[:packetSize])
			if p.broken() {
				continue
			}
			for _, tab := range []*table{pat, pmt} {
				if !tab.push(p) {
					continue
				}
				if crc32(tab.section) != 0 || len(tab.section) > maxSection {
					t.Fatalf("took a section of %d bytes with a wrong CRC", len(tab.section))
				}
				// Its own packets carry the same section.
				again := &table{pid: tab.pid, program: tab.program}
				for q := tab.packets; len(q) > 0; q = q[packetSize:] {
					again.push(packet(q[:packetSize]))
				}
				if !bytes.Equal(again.section, tab.section) {
					t.Fatal("packets do not carry the section that they were made of")
				}
				if tab == pat {
					parsePAT(tab.section)
				} else if streams := parsePMT(tab.section); len(streams) > maxSection/5 {
					t.Fatalf("got %d streams", len(streams))
				}
			}
		}
	})
}

// FuzzDescribe reads parameter sets as hostile streams may hold them.
func FuzzDescribe(f *testing.F) {
	f.Add(byte(codecH264), append([]byte{0, 0, 1}, append(sps1080, 0, 0, 1)...))
	f.Add(byte(codecHEVC), []byte{0, 0, 1, 0x42, 1, 1, 1, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x3c, 0xa0, 0x0a, 0, 0, 1})
	f.Add(byte(codecMPEG2), []byte{0, 0, 1, 0xb3, 0x14, 0, 0xc0, 0x13, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		c := codec(kind % byte(codecOpus+1))
		opensKeyframe(c, b)
		audioName(c, audioParameters(c, b))
		header := parameterSet(c, b)
		if header == nil {
			return
		}
		d := describeVideo(c, header)
		if d.name == "" || d.width < 0 || d.width > maxSide || d.height < 0 || d.height > maxSide || d.rate < 0 || d.rate > 1000 {
			t.Errorf("got %+v", d)
		}
	})
}
