package segment

import "bytes"

// How far a track's DTS may move from one packet to the next, and how far audio
// and video may lie apart, before the timeline counts as broken.
const (
	jumpBack  = 1 * second
	jumpAhead = 10 * second
	inLine    = 1 * second // two tracks that are this near share a clock
)

// maxSniff is how much of a keyframe is searched for its SPS and its captions.
const maxSniff = 2048

// track is an audio or video stream of the program.
type track struct {
	pid   uint16
	codec codec

	seen     bool
	pts, dts int64 // of the last packet that had them, unwrapped
	late     bool  // has not followed the jump of another track yet
	synced   bool  // a PES packet has begun since packets were dropped
	mark     bool  // its next packet is the first after a discontinuity

	described bool // shape was read from the stream
	shape     description
	header    []byte // the SPS or sequence header behind shape
	sniff     []byte // start of a keyframe whose header is not complete yet
	sniffing  bool
	captions  bool   // it carried CEA-608 or CEA-708 captions
	audio     uint32 // parameters of the last audio frame
}

func newTrack(s stream) *track {
	return &track{pid: s.pid, codec: s.codec, shape: description{name: s.codec.defaultName()}}
}

// carries says whether the track is of a stream.
func (t *track) carries(s stream) bool { return t.pid == s.pid && t.codec == s.codec }

// videos is 1 for a video track.
func (t *track) videos() int {
	if t == nil || !t.codec.video() {
		return 0
	}
	return 1
}

// opens says whether a PES packet opens a point of random access: it is marked
// as one, or begins with a keyframe. FFmpeg leaves the mark out of the first
// frame when it begins a looped input anew.
func (t *track) opens(p packet, body []byte) bool {
	return !t.codec.video() || p.randomAccess() || opensKeyframe(t.codec, body)
}

// read searches a keyframe for the header that describes the stream, and returns
// true if the description changed. start is set for the first bytes.
func (t *track) read(b []byte, start bool) bool {
	if start {
		t.sniff, t.sniffing = t.sniff[:0], true
	}
	if !t.sniffing {
		return false
	}
	t.sniff = append(t.sniff, b[:min(len(b), maxSniff-len(t.sniff))]...)
	if t.sniffing = len(t.sniff) < maxSniff && !reachesPicture(t.codec, t.sniff); t.sniffing {
		return false
	}
	t.captions = t.captions || holdsCaptions(t.sniff)
	header := parameterSet(t.codec, t.sniff)
	if header == nil || bytes.Equal(header, t.header) {
		return false
	}
	t.header = append(t.header[:0], header...)
	old := t.shape
	t.shape = describeVideo(t.codec, header)
	return t.shape.name != old.name || t.shape.width != old.width || t.shape.height != old.height
}

// listen compares an audio frame with the one before, and returns true if the
// decoder's parameters changed.
func (t *track) listen(body []byte) bool {
	now := audioParameters(t.codec, body)
	if now == 0 || now == t.audio {
		return false
	}
	t.audio = now
	t.shape.name = audioName(t.codec, now)
	return true
}

// jumps says whether a timestamp breaks the timeline of a track, seen beside
// the track that it plays with (nil if it is alone). Coming back to the clock of
// the other after a silence is no jump.
func (t *track) jumps(dts int64, other *track) bool {
	apart := int64(0)
	if other != nil && other.seen && !other.late {
		apart = distance(dts, other.dts)
		if !t.codec.video() && apart > jumpAhead {
			return true
		}
	}
	if !t.seen || dts >= t.dts-jumpBack && dts <= t.dts+jumpAhead {
		return false
	}
	returned := dts > t.dts && other != nil && other.seen && !other.late && apart <= inLine
	return !returned
}

func distance(a, b int64) int64 { return max(a-b, b-a) }
