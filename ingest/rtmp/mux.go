package rtmp

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"
)

// Copy writes what a connection that was opened for reading carries to w, as
// MPEG-TS, until either fails: H.264, HEVC, AAC, Opus, MP3 and AC-3, with the
// source's timestamps. It begins at a key picture. It holds one access unit at a
// time: a w that does not take bytes holds the peer up.
//
// What a peer sends that is no media is told as ErrInvalid; a change of the
// pictures' format, at which FFmpeg must begin anew, as ErrParametersChanged.
func Copy(w io.Writer, conn gortmplib.Conn) error {
	m, err := open(conn)
	if err != nil {
		return err
	}
	out, err := newMuxer(w, m.tracks)
	if err != nil {
		return err
	}
	return m.read(out.write)
}

// muxer writes access units as MPEG-TS.
type muxer struct {
	tracks  []track
	ts      mpegts.Writer
	buffer  *bufio.Writer
	started bool // the first key picture was written, or there are no pictures
}

// newMuxer prepares the tables; nothing is written before the first unit.
func newMuxer(w io.Writer, tracks []track) (*muxer, error) {
	m := &muxer{tracks: slices.Clone(tracks), buffer: bufio.NewWriterSize(w, 64<<10)}
	m.ts.W = m.buffer
	m.started = true
	for _, t := range tracks {
		m.ts.Tracks = append(m.ts.Tracks, &mpegts.Track{Codec: t.inMPEGTS()})
		m.started = m.started && !t.codec.isVideo()
	}
	if err := m.ts.Initialize(); err != nil {
		return nil, fmt.Errorf("preparing MPEG-TS: %w", err)
	}
	return m, nil
}

func (t *track) inMPEGTS() codecs.Codec {
	switch t.codec {
	case codecH264:
		return &codecs.H264{}
	case codecHEVC:
		return &codecs.H265{}
	case codecAAC:
		return &codecs.MPEG4Audio{Config: *t.aac}
	case codecOpus:
		return &codecs.Opus{Desc: &substructs.OpusAudioDescriptor{ChannelConfigCode: t.opus}}
	case codecMPEG1:
		return &codecs.MPEG1Audio{}
	}
	return &codecs.AC3{SampleRate: t.rate, ChannelCount: t.channels}
}

// write writes one access unit and hands it on at once: whoever reads waits for it.
func (m *muxer) write(u unit) error {
	t := &m.tracks[u.track]
	if t.codec.isVideo() && t.adopt(u) && m.started {
		return ErrParametersChanged
	}
	if t.codec.isVideo() && !u.picture {
		return nil
	}
	m.started = m.started || u.key
	if !m.started {
		return nil
	}
	if err := m.mux(t, u); err != nil {
		return fmt.Errorf("writing a unit of %s as MPEG-TS: %w", t.codec, err)
	}
	return m.buffer.Flush()
}

func (m *muxer) mux(t *track, u unit) error {
	out, data := m.ts.Tracks[u.track], u.data
	pts, dts := ticks(u.pts), ticks(u.dts)
	if u.key {
		data = t.complete(u)
	}
	switch t.codec {
	case codecH264:
		return m.ts.WriteH264(out, pts, dts, data)
	case codecHEVC:
		return m.ts.WriteH265(out, pts, dts, data)
	case codecAAC:
		return m.ts.WriteMPEG4Audio(out, pts, data)
	case codecOpus:
		return m.ts.WriteOpus(out, pts, data)
	case codecMPEG1:
		return m.ts.WriteMPEG1Audio(out, pts, data)
	}
	return m.ts.WriteAC3(out, pts, data[0])
}

// ticks is a time on MPEG-TS's clock of 90 kHz and 33 bits. RTMP begins at zero,
// and the program clock runs a tenth of a second ahead of the pictures: a second
// is added to all, so that it does not begin below zero.
func ticks(t time.Duration) int64 {
	const wrap = 1 << 33
	return (int64((t+time.Second)/time.Microsecond) * 9 / 100) & (wrap - 1)
}
