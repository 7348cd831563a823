package segment

import (
	"encoding/binary"
	"slices"
)

// Parameter sets of real encoders.
var (
	sps1080 = []byte{0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20}
	sps288  = []byte{0x67, 0x64, 0x00, 0x0c, 0xac, 0x3b, 0x50, 0xb0, 0x4b, 0x42, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x3d, 0x08}
)

const frame = second / 25

// synth writes transport streams to the letter, for what FFmpeg does not make.
type synth struct {
	out      []byte
	counters map[uint16]uint8
	pmtPID   uint16
	version  byte
	video    uint16
	audio    uint16 // 0: none
	sps      []byte
	gop      int64 // ticks from keyframe to keyframe
	size     int   // bytes of a frame's slice
	noRAI    bool
	lag      int64 // ticks by which audio trails video
	shift    int64 // added to all timestamps
	frame    int64 // ticks from frame to frame
}

func newSynth() *synth {
	return &synth{counters: map[uint16]uint8{}, pmtPID: 0x1000, video: 0x100, audio: 0x101, sps: sps1080, gop: second, size: 900, frame: frame}
}

// packet appends one packet; payload must fit, stuffing goes to the adaptation field.
func (s *synth) packet(pid uint16, start, key bool, payload []byte) int {
	var field []byte
	if key {
		field = []byte{0x40}
	}
	n := min(len(payload), packetSize-4)
	if key {
		n = min(n, packetSize-4-2)
	}
	if n < packetSize-4 && field == nil {
		field = []byte{}
		if packetSize-4-n > 1 {
			field = []byte{0}
		}
	}
	p := []byte{syncByte, byte(pid >> 8), byte(pid), 0x10 | s.counters[pid]&0x0f}
	s.counters[pid]++
	if start {
		p[1] |= 0x40
	}
	if field != nil {
		for len(field) < packetSize-5-n {
			field = append(field, 0xff)
		}
		p[3] |= 0x20
		p = append(append(p, byte(len(field))), field...)
	}
	s.out = append(append(s.out, p...), payload[:n]...)
	return n
}

func section(id byte, ext uint16, version byte, body []byte) []byte {
	b := []byte{id, 0xb0, 0, byte(ext >> 8), byte(ext), 0xc1 | version<<1, 0, 0}
	b = append(b, body...)
	binary.BigEndian.PutUint16(b[1:], 0xb000|uint16(len(b)+4-3))
	return binary.BigEndian.AppendUint32(b, crc32(b))
}

func (s *synth) section(pid uint16, sec []byte) {
	b := append([]byte{0}, sec...)
	for start := true; len(b) > 0; start = false {
		n := min(len(b), packetSize-4)
		part := slices.Clone(b[:n])
		for len(part) < packetSize-4 {
			part = append(part, 0xff)
		}
		s.packet(pid, start, false, part)
		b = b[n:]
	}
}

func (s *synth) tables(streams ...[]byte) {
	s.section(pidPAT, section(0, 1, 0, []byte{0, 1, 0xe0 | byte(s.pmtPID>>8), byte(s.pmtPID)}))
	body := []byte{0xe0 | byte(s.video>>8), byte(s.video), 0xf0, 0}
	if len(streams) == 0 {
		if s.video != 0 {
			streams = append(streams, entry(0x1b, s.video))
		}
		if s.audio != 0 {
			streams = append(streams, entry(0x0f, s.audio))
		}
	}
	for _, st := range streams {
		body = append(body, st...)
	}
	s.section(s.pmtPID, section(2, 1, s.version, body))
}

// entry is a stream's line in the PMT.
func entry(streamType byte, pid uint16, descriptors ...byte) []byte {
	return append([]byte{streamType, 0xe0 | byte(pid>>8), byte(pid), 0xf0, byte(len(descriptors))}, descriptors...)
}

func pesTime(prefix byte, t int64) []byte {
	return []byte{prefix<<4 | byte(t>>29)&0x0e | 1, byte(t >> 22), byte(t>>14) | 1, byte(t >> 7), byte(t<<1) | 1}
}

func (s *synth) pes(pid uint16, id byte, pts, dts int64, key bool, body []byte) {
	b := []byte{0, 0, 1, id, 0, 0, 0x80, 0xc0, 10}
	b = append(append(b, pesTime(3, pts)...), pesTime(1, dts)...)
	b = append(b, body...)
	for start := true; len(b) > 0; start = false {
		b = b[s.packet(pid, start, key && start, b):]
	}
}

// picture writes a frame.
func (s *synth) picture(at int64, key bool) {
	b := []byte{0, 0, 0, 1, 9, 0xf0}
	if key {
		b = append(append(b, 0, 0, 0, 1), s.sps...)
		b = append(b, 0, 0, 0, 1, 0x68, 0xce, 0x38, 0x80, 0, 0, 0, 1, 0x65)
	} else {
		b = append(b, 0, 0, 0, 1, 0x41)
	}
	for i := range s.size {
		b = append(b, byte(i)|1)
	}
	s.pes(s.video, 0xe0, at+s.shift, at+s.shift, key && !s.noRAI, b)
}

// sound writes an audio frame.
func (s *synth) sound(at int64) {
	s.pes(s.audio, 0xc0, at+s.shift, at+s.shift, false, append([]byte{0xff, 0xf1, 0x4c, 0x80, 0x10, 0x7f, 0xfc}, make([]byte, 120)...))
}

// run writes media from one time to another, both in ticks. Keyframes lie at
// whole multiples of the GOP.
func (s *synth) run(from, to int64) *synth {
	for at := from; at < to; at += s.frame {
		if (at-from)%(second/10) < s.frame {
			s.tables()
		}
		if s.video != 0 {
			s.picture(at, s.gop > 0 && at%s.gop == 0)
		}
		if s.audio != 0 {
			s.sound(at - s.lag)
		}
	}
	return s
}

func (s *synth) bytes() []byte { return s.out }
