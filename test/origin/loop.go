package origin

import (
	"errors"
	"fmt"
	"sort"
	"time"
)

// Loop is a short transport stream that can be played for ever: packet n of the
// endless stream is packet n modulo the loop's length, with its times and its
// continuity counter moved on. It is immutable, so that any number of clients
// read it at once and all see the same bytes.
//
// Times within it are in ticks of 90 kHz since the loop's first picture.
type Loop struct {
	packets  []byte
	due      []int64      // by packet: when it is to be sent; never falls
	ordinal  []int        // by packet: its place among those of its PID that have a payload, from 1
	perLoop  map[int]int  // by PID: packets that have a payload
	media    map[int]bool // PIDs that carry pictures or sound
	entries  []int        // packets at which a decoder can begin: the PAT before a keyframe
	duration int64
	first    int64 // the time that the loop's own stamps begin with
}

// NewLoop reads one transport stream. What begins after the duration is left
// out, so that the next turn continues without an overlap.
func NewLoop(ts []byte, duration time.Duration) (*Loop, error) {
	if len(ts) == 0 || len(ts)%packetSize != 0 {
		return nil, fmt.Errorf("a loop of %d bytes is not whole transport packets", len(ts))
	}
	l := &Loop{duration: ticks(duration), perLoop: make(map[int]int), media: make(map[int]bool)}
	starts := make(map[int]int64) // first DTS by PID
	video := false
	for at := 0; at < len(ts); at += packetSize {
		p := packet(ts[at : at+packetSize])
		if p[0] != syncByte {
			return nil, fmt.Errorf("packet %d does not begin with the sync byte", at/packetSize)
		}
		if pes := p.pes(); pes != nil {
			_, dts := times(pes)
			if l.media[p.pid()] {
				continue
			}
			l.media[p.pid()] = true
			starts[p.pid()] = dts
			// The loop begins with its first picture: the grid of keyframes counts from there.
			if len(starts) == 1 || isVideo(pes) && !video {
				l.first, video = dts, isVideo(pes)
			}
		}
	}
	if len(starts) == 0 {
		return nil, errors.New("a loop without PES packets cannot be paced")
	}
	l.take(ts, starts)
	l.schedule()
	if len(l.entries) == 0 {
		return nil, errors.New("a loop has no place at which a decoder could begin")
	}
	return l, nil
}

// take copies the packets that belong to the loop.
func (l *Loop) take(ts []byte, starts map[int]int64) {
	over := make(map[int]bool) // PIDs whose turn is complete
	for at := 0; at < len(ts); at += packetSize {
		p := packet(ts[at : at+packetSize])
		if pes := p.pes(); pes != nil {
			_, dts := times(pes)
			over[p.pid()] = dts >= starts[p.pid()]+l.duration
		}
		if over[p.pid()] {
			continue
		}
		if p.hasPayload() {
			l.perLoop[p.pid()]++
		}
		l.ordinal = append(l.ordinal, l.perLoop[p.pid()])
		l.packets = append(l.packets, p...)
	}
}

// schedule sets the time of each packet: that of the PES which it belongs to, and
// of tables that of the PES which they precede. Then it finds the entries.
func (l *Loop) schedule() {
	n := l.length()
	l.due = make([]int64, n)
	now := int64(0)
	for i := range n {
		if pes := l.packet(i).pes(); pes != nil {
			_, dts := times(pes)
			now = max(now, dts-l.first)
		}
		l.due[i] = now
	}
	for i := n - 2; i >= 0; i-- {
		if !l.media[l.packet(i).pid()] {
			l.due[i] = l.due[i+1]
		}
	}
	l.entries = l.keyframes(isVideo)
	if l.entries == nil {
		l.entries = l.keyframes(func([]byte) bool { return true })
	}
}

// keyframes are the entries of the elementary streams of one kind.
func (l *Loop) keyframes(kind func(pes []byte) bool) (entries []int) {
	for i := range l.length() {
		if pes := l.packet(i).pes(); pes != nil && l.packet(i).keyframe() && kind(pes) {
			entries = append(entries, l.tablesBefore(i))
		}
	}
	return entries
}

func isVideo(pes []byte) bool { return pes[3]&0xf0 == 0xe0 }

// tablesBefore is the first of the tables that directly precede packet i.
func (l *Loop) tablesBefore(i int) int {
	for i > 0 && !l.media[l.packet(i-1).pid()] {
		i--
	}
	return i
}

func (l *Loop) length() int         { return len(l.packets) / packetSize }
func (l *Loop) packet(i int) packet { return packet(l.packets[i*packetSize : (i+1)*packetSize]) }

// at is the number of packets of the endless stream that are due before a time.
func (l *Loop) at(time int64) int64 {
	turn, rest := time/l.duration, time%l.duration
	return turn*int64(l.length()) + int64(sort.Search(len(l.due), func(i int) bool { return l.due[i] >= rest }))
}

// entry is the last packet at or before a time at which a decoder can begin.
func (l *Loop) entry(time int64) int64 {
	turn, rest := time/l.duration, time%l.duration
	i := sort.Search(len(l.entries), func(i int) bool { return l.due[l.entries[i]] > rest })
	if i == 0 {
		if turn == 0 {
			return 0
		}
		turn, i = turn-1, len(l.entries)
	}
	return turn*int64(l.length()) + int64(l.entries[i-1])
}

// appendPackets writes packets from up to, not including, to of the endless
// stream behind dst. base is the time that the endless stream's stamps begin with.
func (l *Loop) appendPackets(dst []byte, from, to, base int64) []byte {
	n := int64(l.length())
	for ; from < to; from++ {
		turn, i := from/n, int(from%n)
		dst = append(dst, l.packet(i)...)
		p := packet(dst[len(dst)-packetSize:])
		p.setCounter(byte(turn*int64(l.perLoop[p.pid()]) + int64(l.ordinal[i])))
		p.shift(base - l.first + turn*l.duration)
	}
	return dst
}

func ticks(d time.Duration) int64 { return int64(d) * 9 / 100_000 }
