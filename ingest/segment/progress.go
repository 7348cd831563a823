package segment

import (
	"sync/atomic"
	"time"
)

// Progress is what a watchdog wants to know about a Cutter. Timestamps are in
// 90 kHz ticks without wrap, times are zero if the event has not happened.
type Progress struct {
	Bytes              int64 // read so far
	Garbage            int64 // bytes that were no transport packets
	Dropped            int64 // packets that were damaged, scrambled or of too many PIDs
	Resyncs            int64 // times that packet boundaries were lost
	VideoPTS, VideoDTS int64 // last seen
	AudioPTS, AudioDTS int64 // last seen, first audio track
	LastByte           time.Time
	LastAdvance        time.Time // the leading track's DTS went up (video, else audio)
	LastKeyframe       time.Time
	LastPiece          time.Time // published, not void
	Waiting            bool      // nothing is kept until a keyframe comes
}

// gauges hold a Progress for readers in other goroutines. Fields are each true,
// but not of one instant.
type gauges struct {
	bytes, garbage, dropped, resyncs         atomic.Int64
	videoPTS, videoDTS, audioPTS, audioDTS   atomic.Int64
	lastByte, lastAdvance, lastKey, lastDone atomic.Int64 // Unix nanoseconds
	waiting                                  atomic.Bool
}

func (g *gauges) progress() Progress {
	return Progress{
		Bytes:        g.bytes.Load(),
		Garbage:      g.garbage.Load(),
		Dropped:      g.dropped.Load(),
		Resyncs:      g.resyncs.Load(),
		VideoPTS:     g.videoPTS.Load(),
		VideoDTS:     g.videoDTS.Load(),
		AudioPTS:     g.audioPTS.Load(),
		AudioDTS:     g.audioDTS.Load(),
		LastByte:     moment(g.lastByte.Load()),
		LastAdvance:  moment(g.lastAdvance.Load()),
		LastKeyframe: moment(g.lastKey.Load()),
		LastPiece:    moment(g.lastDone.Load()),
		Waiting:      g.waiting.Load(),
	}
}

func moment(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}
