package segment

import (
	"bytes"
	"encoding/binary"
)

// maxSection is the longest PAT or PMT section (ISO/IEC 13818-1 §2.4.4.3).
const maxSection = 1024

// table assembles one table from the packets of its PID.
type table struct {
	pid     uint16
	program uint16 // of a PMT; 0 is the PAT

	part    []byte // section in assembly
	open    bool   // part began with the start of a section
	section []byte // last complete, valid section
	packets []byte // the same as transport packets, counters 0
}

// push adds a packet and returns true if it completed a valid section that
// differs from the last one.
func (t *table) push(p packet) bool {
	b := p.payload()
	changed := false
	if p.unitStart() {
		if len(b) == 0 || 1+int(b[0]) > len(b) {
			t.open = false
			return false
		}
		tail := b[1 : 1+int(b[0])]
		b = b[1+int(b[0]):]
		if t.open {
			t.part = append(t.part, tail...)
			changed = t.complete()
		}
		t.part, t.open = t.part[:0], true
	}
	if t.open {
		t.part = append(t.part, b...)
		for t.complete() {
			changed = true
		}
	}
	return changed
}

// complete takes whole sections off part until one of them is news.
func (t *table) complete() bool {
	for len(t.part) >= 3 && t.part[0] != 0xff {
		n := 3 + int(binary.BigEndian.Uint16(t.part[1:])&0x0fff)
		if n > maxSection {
			break
		}
		if len(t.part) < n {
			return false
		}
		s := t.part[:n]
		news := !bytes.Equal(s, t.section) && t.accepts(s)
		if news {
			t.section = append(t.section[:0], s...)
			t.packets = packetize(t.packets[:0], t.pid, s)
		}
		t.part = t.part[:copy(t.part, t.part[n:])]
		if news {
			return true
		}
	}
	if len(t.part) > 0 && (t.part[0] == 0xff || len(t.part) >= 3) {
		t.part, t.open = t.part[:0], false // stuffing, or nothing that can be read on
	}
	return false
}

// accepts says that a section is this table's, is in force, and has arrived
// undamaged. Only a PAT can be longer than a section; its first one will do.
func (t *table) accepts(s []byte) bool {
	if len(s) < 12 || s[1]&0x80 == 0 || s[5]&1 == 0 || s[6] != 0 || crc32(s) != 0 {
		return false
	}
	if t.program == 0 {
		return s[0] == 0
	}
	return s[0] == 2 && binary.BigEndian.Uint16(s[3:]) == t.program && len(s) >= 16
}

// crc32 is the CRC of PSI sections (ISO/IEC 13818-1 annex A); it is zero over a
// section with its own CRC. It runs ten times a second, so it needs no table.
func crc32(b []byte) uint32 {
	crc := ^uint32(0)
	for _, c := range b {
		crc ^= uint32(c) << 24
		for range 8 {
			if crc&(1<<31) != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// packetize appends the transport packets that carry a section.
func packetize(dst []byte, pid uint16, section []byte) []byte {
	rest := append([]byte{0}, section...) // pointer_field
	for start := byte(0x40); len(rest) > 0; start = 0 {
		n := min(len(rest), packetSize-4)
		dst = append(dst, syncByte, start|byte(pid>>8), byte(pid&0xff), 0x10)
		dst = append(dst, rest[:n]...)
		for range packetSize - 4 - n {
			dst = append(dst, 0xff)
		}
		rest = rest[n:]
	}
	return dst
}

// parsePAT returns an empty PMT table for every program of a PAT; the network
// PID (program 0) is not among them.
func parsePAT(s []byte) []*table {
	var programs []*table
	for b := s[8 : len(s)-4]; len(b) >= 4; b = b[4:] {
		t := &table{program: binary.BigEndian.Uint16(b), pid: binary.BigEndian.Uint16(b[2:]) & 0x1fff}
		if t.program != 0 && t.pid != pidPAT && t.pid != pidNull {
			programs = append(programs, t)
		}
	}
	return programs
}

// stream is an elementary stream that a PMT lists and that the cutter knows.
type stream struct {
	pid   uint16
	codec codec
}

// parsePMT returns the known audio and video streams of a program: the first
// video stream and every audio stream, in the order of the table.
func parsePMT(s []byte) []stream {
	b := s[:len(s)-4]
	skip := 12 + int(binary.BigEndian.Uint16(s[10:])&0x0fff)
	if skip > len(b) {
		return nil
	}
	var (
		streams []stream
		video   bool
	)
	for b = b[skip:]; len(b) >= 5; {
		n := 5 + int(binary.BigEndian.Uint16(b[3:])&0x0fff)
		if n > len(b) {
			break
		}
		st := stream{binary.BigEndian.Uint16(b[1:]) & 0x1fff, codecOf(b[0], b[5:n])}
		b = b[n:]
		if st.codec == codecNone || st.codec.video() && video {
			continue
		}
		video = video || st.codec.video()
		streams = append(streams, st)
	}
	return streams
}
