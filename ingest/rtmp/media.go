package rtmp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/codecs"
	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

// ErrInvalid says that what the peer sent could not be read.
var ErrInvalid = errors.New("what came is not RTMP that can be read")

// ErrParametersChanged says that a stream's pictures changed their format, at a
// place where another reader of the stream may begin.
var ErrParametersChanged = errors.New("the format of the pictures changed")

// analysisLimit bounds what a peer may send until its tracks are known, which is
// kept in memory. It takes two seconds of media, by the peer's own clock.
const analysisLimit = 32 << 20

// media is what a connection carries: its tracks, and their access units one by one.
type media struct {
	reader *gortmplib.Reader
	tracks []track
	next   func(unit) error // where units go while read runs
}

// unit is one access unit of a track.
type unit struct {
	track    int
	pts, dts time.Duration
	// data are the NAL units of a picture, or one frame of sound.
	data [][]byte
	// picture says that there is more in it than parameters; key, that decoding
	// can begin with it.
	picture, key bool
}

// size is what it takes in memory.
func (u unit) size() (n int) {
	for _, d := range u.data {
		n += len(d)
	}
	return n
}

// codec is what a track is encoded with. The set is closed.
type codec string

const (
	codecH264  codec = "h264"
	codecHEVC  codec = "hevc"
	codecAAC   codec = "aac"
	codecOpus  codec = "opus"
	codecMPEG1 codec = "mp3"
	codecAC3   codec = "ac3"
)

func (c codec) isVideo() bool { return c == codecH264 || c == codecHEVC }

// track is one elementary stream and what a decoder must know before it.
type track struct {
	codec    codec
	vps      []byte // HEVC only
	sps, pps []byte
	aac      *mpeg4audio.AudioSpecificConfig
	opus     uint8 // channels
	channels int   // of AC-3
	rate     int   // of AC-3, in Hz
}

// open finds out what a connection carries. It takes about two seconds of media.
func open(conn gortmplib.Conn) (*media, error) {
	bounded := &analysed{Conn: conn, from: conn.BytesReceived()}
	m := &media{reader: &gortmplib.Reader{Conn: bounded}}
	if err := guarded(m.analyse); err != nil {
		return nil, err
	}
	bounded.done = true
	return m, nil
}

// analyse finds the tracks and listens to them.
func (m *media) analyse() error {
	if err := m.reader.Initialize(); err != nil {
		return err
	}
	var unknown []string
	for i, t := range m.reader.Tracks() {
		known, ok := describe(t.Codec)
		if !ok {
			unknown = append(unknown, strings.TrimPrefix(fmt.Sprintf("%T", t.Codec), "*codecs."))
			continue
		}
		m.tracks = append(m.tracks, known)
		m.listen(i, t)
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%w: tracks in %s are not supported; send H.264 or HEVC with AAC, Opus, MP3 or AC-3", ErrInvalid, strings.Join(unknown, ", "))
	}
	return nil
}

// describe reads a track's codec; ok is false for those that MPEG-TS or we have no place for.
func describe(c codecs.Codec) (t track, ok bool) {
	switch c := c.(type) {
	case *codecs.H264:
		return track{codec: codecH264, sps: c.SPS, pps: c.PPS}, true
	case *codecs.H265:
		return track{codec: codecHEVC, vps: c.VPS, sps: c.SPS, pps: c.PPS}, true
	case *codecs.MPEG4Audio:
		return track{codec: codecAAC, aac: c.Config}, c.Config != nil
	case *codecs.Opus:
		return track{codec: codecOpus, opus: c.IDHeader.ChannelCount}, true
	case *codecs.MPEG1Audio:
		return track{codec: codecMPEG1}, true
	case *codecs.AC3:
		return track{codec: codecAC3, channels: c.ChannelCount, rate: c.SampleRate}, true
	}
	return track{}, false
}

// listen has the reader hand on the track's access units.
func (m *media) listen(i int, t *gortmplib.Track) {
	video := func(inspect func(nalu []byte) (picture, key bool)) gortmplib.OnDataH26xFunc {
		return func(pts, dts time.Duration, au [][]byte) {
			u := unit{track: i, pts: max(pts, dts), dts: dts, data: au}
			for _, nalu := range au {
				picture, key := inspect(nalu)
				u.picture, u.key = u.picture || picture, u.key || key
			}
			m.pass(u)
		}
	}
	sound := func(pts time.Duration, frame []byte) {
		m.pass(unit{track: i, pts: pts, dts: pts, data: [][]byte{frame}})
	}
	switch t.Codec.(type) {
	case *codecs.H264:
		m.reader.OnDataH264(t, video(inspectH264))
	case *codecs.H265:
		m.reader.OnDataH265(t, video(inspectHEVC))
	case *codecs.MPEG4Audio:
		m.reader.OnDataMPEG4Audio(t, sound)
	case *codecs.Opus:
		m.reader.OnDataOpus(t, sound)
	case *codecs.MPEG1Audio:
		m.reader.OnDataMPEG1Audio(t, sound)
	case *codecs.AC3:
		m.reader.OnDataAC3(t, sound)
	}
}

func inspectH264(nalu []byte) (picture, key bool) {
	typ := h264.NALUType(nalu[0] & 0x1f)
	return typ >= h264.NALUTypeNonIDR && typ <= h264.NALUTypeIDR, typ == h264.NALUTypeIDR
}

func inspectHEVC(nalu []byte) (picture, key bool) {
	typ := h265.NALUType(nalu[0] >> 1 & 0x3f)
	return typ < h265.NALUType_VPS_NUT, typ >= h265.NALUType_BLA_W_LP && typ <= h265.NALUType_CRA_NUT
}

// refused carries an error of next out of a callback of the reader, which has no way for one.
type refused struct{ err error }

func (m *media) pass(u unit) {
	if err := m.next(u); err != nil {
		panic(refused{err})
	}
}

// read hands every access unit to next until the connection or next fails.
func (m *media) read(next func(unit) error) error {
	m.next = next
	return guarded(func() error {
		for {
			if err := m.reader.Read(); err != nil {
				return err
			}
		}
	})
}

// guarded runs f, which reads what a stranger sent by a library that trusts it to be
// well-formed: a panic there must not end the edge.
func guarded(f func() error) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case refused:
			err = r.err
		case error:
			err = fmt.Errorf("%w: %w", ErrInvalid, r)
		default:
			err = fmt.Errorf("%w: %v", ErrInvalid, r)
		}
	}()
	return f()
}

// analysed bounds what is read before the reader has found the tracks: it keeps
// all of that to hand it out again.
type analysed struct {
	gortmplib.Conn
	from uint64
	done bool
}

func (c *analysed) Read() (message.Message, error) {
	if !c.done && c.BytesReceived()-c.from > analysisLimit {
		return nil, fmt.Errorf("%w: its tracks are not known after %d bytes", ErrInvalid, analysisLimit)
	}
	return c.Conn.Read()
}

// adopt takes the parameters that a unit of the track carries. It tells whether
// a decoder must begin anew for them.
func (t *track) adopt(u unit) (changed bool) {
	for _, nalu := range u.data {
		switch kept := t.parameter(nalu); {
		case kept == nil || bytes.Equal(*kept, nalu):
		case kept == &t.pps:
			t.pps = bytes.Clone(nalu)
		default:
			*kept = bytes.Clone(nalu)
			changed = true
		}
	}
	return changed
}

// parameter is where a NAL unit is kept if it is a parameter set.
func (t *track) parameter(nalu []byte) *[]byte {
	switch t.codec {
	case codecH264:
		switch h264.NALUType(nalu[0] & 0x1f) {
		case h264.NALUTypeSPS:
			return &t.sps
		case h264.NALUTypePPS:
			return &t.pps
		}
	case codecHEVC:
		switch h265.NALUType(nalu[0] >> 1 & 0x3f) {
		case h265.NALUType_VPS_NUT:
			return &t.vps
		case h265.NALUType_SPS_NUT:
			return &t.sps
		case h265.NALUType_PPS_NUT:
			return &t.pps
		}
	}
	return nil
}

// complete puts the parameter sets in front of a key picture that comes without:
// in RTMP they are sent once, in MPEG-TS decoding can begin at each of these.
func (t *track) complete(u unit) [][]byte {
	for _, nalu := range u.data {
		if t.parameter(nalu) == &t.sps {
			return u.data
		}
	}
	if t.codec == codecHEVC {
		return append([][]byte{t.vps, t.sps, t.pps}, u.data...)
	}
	return append([][]byte{t.sps, t.pps}, u.data...)
}
