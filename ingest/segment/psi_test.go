package segment

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTableReadsSections(t *testing.T) {
	var many [][]byte // a section of several packets
	for pid := range uint16(150) {
		many = append(many, entry(0x0f, 0x100+pid))
	}
	tests := []struct {
		name    string
		streams [][]byte
		want    []stream
	}{
		{"h264 and aac", nil, []stream{{0x100, codecH264}, {0x101, codecAAC}}},
		{
			"one of each",
			[][]byte{
				entry(0x24, 0x100), entry(0x02, 0x99), entry(0x11, 0x101), entry(0x81, 0x102), entry(0x87, 0x103), entry(0x04, 0x104),
				entry(0x06, 0x105, 0x7a, 0), entry(0x06, 0x106, 0x0a, 4, 'e', 'n', 'g', 0, 5, 4, 'O', 'p', 'u', 's'), entry(0x06, 0x107, 0x59, 0),
				entry(0x15, 0x108), entry(0x86, 0x109),
			},
			[]stream{{0x100, codecHEVC}, {0x101, codecLATM}, {0x102, codecAC3}, {0x103, codecEAC3}, {0x104, codecMPEGAudio}, {0x105, codecEAC3}, {0x106, codecOpus}},
		},
		{"descriptor that overruns", [][]byte{entry(0x06, 0x105, 5, 40, 'O')}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newSynth()
			m.tables(tt.streams...)
			pmt := &table{pid: m.pmtPID, program: 1}
			for off := packetSize; off < len(m.out); off += packetSize {
				pmt.push(packet(m.out[off : off+packetSize]))
			}
			if diff := cmp.Diff(parsePMT(pmt.section), tt.want, cmp.AllowUnexported(stream{})); diff != "" {
				t.Errorf("streams (-got +want):\n%s", diff)
			}
		})
	}
	t.Run("section of several packets", func(t *testing.T) {
		m := newSynth()
		m.tables(many...)
		pmt := &table{pid: m.pmtPID, program: 1}
		news := 0
		for off := packetSize; off < len(m.out); off += packetSize {
			if pmt.push(packet(m.out[off : off+packetSize])) {
				news++
			}
		}
		if got := len(parsePMT(pmt.section)); news != 1 || got != len(many) {
			t.Errorf("got %d sections with %d streams, want 1 with %d", news, got, len(many))
		}
		if len(pmt.packets) != len(m.out)-packetSize {
			t.Errorf("got %d bytes of packets, want %d", len(pmt.packets), len(m.out)-packetSize)
		}
	})
}

func TestTableRefusesSections(t *testing.T) {
	good := section(2, 1, 0, append([]byte{0xe1, 0, 0xf0, 0}, entry(0x1b, 0x100)...))
	edit := func(at int, value byte) []byte {
		b := bytes.Clone(good)
		b[at] = value
		return b
	}
	seal := func(b []byte) []byte { // with a CRC that is right
		c := crc32(b[:len(b)-4])
		return append(b[:len(b)-4], byte(c>>24), byte(c>>16), byte(c>>8), byte(c))
	}
	tests := []struct {
		name    string
		section []byte
		want    bool
	}{
		{"good", good, true},
		{"damaged", edit(12, 0x24), false},
		{"another program", seal(edit(4, 2)), false},
		{"another table", seal(edit(0, 0x40)), false},
		{"not in force yet", seal(edit(5, 0xc0)), false},
		{"second section", seal(edit(6, 1)), false},
		{"too short", []byte{2, 0xb0, 1, 0}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pmt := &table{pid: 0x1000, program: 1}
			got := pmt.push(packet(packetize(nil, 0x1000, tt.section)))
			if got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if pmt.push(packet(packetize(nil, 0x1000, tt.section))) {
				t.Error("the same section is news twice")
			}
		})
	}
}

func TestUnwrap(t *testing.T) {
	const wrap = 1 << 33
	tests := []struct {
		name           string
		raw, ref, want int64
	}{
		{"same", 5, 5, 5},
		{"over the wrap", 5, wrap - 5, wrap + 5},
		{"back over it", wrap - 5, wrap + 5, wrap - 5},
		{"before the first", wrap - 5, 5, -5},
		{"in the third round", 7, 2*wrap + 3, 2*wrap + 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := unwrap(tt.raw, tt.ref); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestRateStaysSteady(t *testing.T) {
	tests := []struct {
		name     string
		frames   []int
		ticks    int64
		declared float64
		want     []float64
	}{
		{"declared and true", []int{50, 50}, 180000, 25, []float64{25, 25}},
		{"declared wrongly", []int{50, 50}, 180000, 50, []float64{25, 25}},
		{"not declared", []int{60}, 180180, 0, []float64{29.97}},
		{"odd", []int{34}, 180000, 0, []float64{17}},
		{"jitter", []int{50, 51, 49, 50}, 180000, 0, []float64{25, 25, 25, 25}},
		{"one bad piece", []int{50, 20, 50, 20, 50}, 180000, 0, []float64{25, 25, 25, 25, 25}},
		{"changes for good", []int{50, 100, 100, 100, 100}, 180000, 0, []float64{25, 25, 25, 50, 50}},
		{"too few to tell", []int{1}, 180000, 25, []float64{0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m rateMeter
			var got []float64
			for _, n := range tt.frames {
				got = append(got, m.add(n, tt.ticks, tt.declared))
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("rates (-got +want):\n%s", diff)
			}
		})
	}
}
