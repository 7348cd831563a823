package rtmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Bounds of what a peer may have begun to say and not finished: messages come in
// chunks, many at a time, and the library keeps all of them until they are whole.
const (
	// greetingMessages is for strangers, whose messages are small.
	greetingMessages = 64 << 10
	// publishedMessages is for publishers; the library takes messages of 10 MiB.
	publishedMessages = 16 << 20
)

// handshakeSize is C0, C1 and C2.
const handshakeSize = 1 + 1536 + 1536

// Message types that change how chunks are read (RTMP 1.0, §5.4).
const (
	typeSetChunkSize = 1
	typeAbort        = 2
)

var errEncrypted = errors.New("RTMPE is not spoken here; use RTMPS")

// chunkWatch passes on what a peer sends and counts what its unfinished messages hold.
// It reads only the chunks' headers (RTMP 1.0, §5.3).
type chunkWatch struct {
	r     io.Reader
	limit int

	handshake int // bytes of it still to come; less than 0: not begun
	header    []byte
	chunkSize int
	streams   [64]chunkStream // by chunk stream id
	current   *chunkStream
	body      int // bytes of the current chunk still to come
	held      int // bytes of unfinished messages
}

// chunkStream is one sequence of messages.
type chunkStream struct {
	length, received int
	kind             byte
	extended         bool    // its timestamps have four bytes more
	control          [4]byte // the beginning of the message
}

func newChunkWatch(r io.Reader) *chunkWatch {
	return &chunkWatch{r: r, limit: greetingMessages, handshake: -1, chunkSize: 128}
}

// Read implements io.Reader.
func (w *chunkWatch) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	if bad := w.watch(b[:n]); bad != nil {
		return 0, bad
	}
	return n, err
}

func (w *chunkWatch) watch(data []byte) error {
	for len(data) > 0 {
		switch {
		case w.handshake < 0:
			if data[0] == 6 {
				return errEncrypted
			}
			w.handshake = handshakeSize
		case w.handshake > 0:
			n := min(w.handshake, len(data))
			w.handshake -= n
			data = data[n:]
		case w.body > 0:
			n := min(w.body, len(data))
			w.take(data[:n])
			data = data[n:]
		default:
			w.header = append(w.header, data[0])
			data = data[1:]
			if err := w.begin(); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin reads a chunk's header once it is whole.
func (w *chunkWatch) begin() error {
	h := w.header
	form, id := h[0]>>6, h[0]&0x3f
	size := [4]int{12, 8, 4, 1}[form]
	if len(h) < size {
		return nil
	}
	s := &w.streams[id]
	if form < 3 {
		s.extended = h[1] == 0xff && h[2] == 0xff && h[3] == 0xff
	}
	if s.extended && len(h) < size+4 {
		return nil
	}
	if form < 2 {
		w.drop(s) // the message before, if it was not finished
		s.length, s.kind = int(h[4])<<16|int(h[5])<<8|int(h[6]), h[7]
	}
	w.header = h[:0]
	if s.length > w.limit {
		return fmt.Errorf("%w: a message of %d bytes", ErrInvalid, s.length)
	}
	w.current, w.body = s, min(s.length-s.received, w.chunkSize)
	if w.held+w.body > w.limit {
		return fmt.Errorf("%w: more than %d bytes of messages that are not finished", ErrInvalid, w.limit)
	}
	if w.body == 0 && s.received == s.length {
		w.end(s)
	}
	return nil
}

// take counts bytes of the current chunk.
func (w *chunkWatch) take(b []byte) {
	s := w.current
	if s.received < len(s.control) {
		copy(s.control[s.received:], b)
	}
	s.received += len(b)
	w.held += len(b)
	if w.body -= len(b); w.body == 0 && s.received == s.length {
		w.end(s)
	}
}

// end takes note of a message that is whole.
func (w *chunkWatch) end(s *chunkStream) {
	value := binary.BigEndian.Uint32(s.control[:])
	w.drop(s)
	switch {
	case s.length != len(s.control):
	case s.kind == typeSetChunkSize:
		w.chunkSize = int(value)
	case s.kind == typeAbort && value < uint32(len(w.streams)):
		w.drop(&w.streams[value])
	}
}

// drop forgets what a chunk stream has received of its message.
func (w *chunkWatch) drop(s *chunkStream) { w.held, s.received = w.held-s.received, 0 }
