package ffmpeg

import (
	"strconv"
	"strings"
	"time"
)

// Progress is one block of FFmpeg's -progress reports. A value that FFmpeg gave
// as N/A, or not at all, is zero.
type Progress struct {
	Frame      int64
	DropFrames int64
	// OutTime counts from the first report, also with -copyts: take the stream's
	// time from the cutter.
	OutTime time.Duration
	// Speed is media time over wall time; below 1 the encoder cannot keep up.
	Speed float64
	// End marks the last block.
	End bool
}

// ProgressParser collects lines into blocks.
type ProgressParser struct{ block Progress }

// Line takes one line without its end. It gives a block when the line closes one.
func (p *ProgressParser) Line(line string) (Progress, bool) {
	key, value, found := strings.Cut(strings.TrimSpace(line), "=")
	if !found {
		return Progress{}, false
	}
	value = strings.TrimSpace(value)
	switch key {
	case "frame":
		p.block.Frame = number(value)
	case "drop_frames":
		p.block.DropFrames = number(value)
	case "out_time_us":
		p.block.OutTime = time.Duration(number(value)) * time.Microsecond
	case "speed":
		p.block.Speed = speed(value)
	case "progress":
		done := p.block
		done.End = value == "end"
		p.block = Progress{}
		return done, true
	}
	return Progress{}, false
}

// number reads a count; N/A, garbage and what no duration in µs can hold are zero.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	const limit = int64(1<<63-1) / int64(time.Microsecond)
	if err != nil || n < 0 || n > limit {
		return 0
	}
	return n
}

func speed(s string) float64 {
	f, err := strconv.ParseFloat(strings.TrimSuffix(s, "x"), 64)
	if err != nil || !(f >= 0 && f < 1e6) {
		return 0
	}
	return f
}
