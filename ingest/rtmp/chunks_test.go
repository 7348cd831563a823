package rtmp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// chunk is one of form 0 that begins a message of so many bytes.
func chunk(id, kind byte, length int, body []byte) []byte {
	return append([]byte{id, 0, 0, 0, byte(length >> 16), byte(length >> 8), byte(length), kind, 0, 0, 0, 0}, body...)
}

func TestChunkWatch(t *testing.T) {
	hello := append([]byte{3}, make([]byte, handshakeSize-1)...)
	join := func(parts ...[]byte) []byte { return bytes.Join(append([][]byte{hello}, parts...), nil) }
	zeros := func(n int) []byte { return make([]byte, n) }
	setSize := func(n int) []byte {
		return chunk(2, typeSetChunkSize, 4, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
	var many, aborted [][]byte
	many, aborted = append(many, setSize(40_000)), append(aborted, setSize(40_000))
	for id := byte(3); id < 9; id++ {
		many = append(many, chunk(id, 9, 50_000, zeros(40_000)))
		aborted = append(aborted, chunk(id, 9, 50_000, zeros(40_000)), chunk(2, typeAbort, 4, []byte{0, 0, 0, id}))
	}
	var whole [][]byte
	for range 100 { // 300 bytes in chunks of 128
		whole = append(whole, chunk(4, 9, 300, zeros(128)), append([]byte{0xc4}, zeros(128)...), append([]byte{0xc4}, zeros(44)...))
	}
	extended := append([]byte{4, 0xff, 0xff, 0xff, 0, 0, 200, 9, 0, 0, 0, 0, 1, 0, 0, 0}, zeros(128)...)
	extended = append(append(extended, 0xc4, 1, 0, 0, 0), zeros(72)...)
	for name, tt := range map[string]struct {
		sent []byte
		err  string
	}{
		"whole messages":                  {join(whole...), ""},
		"extended timestamps":             {join(append([][]byte{extended}, whole...)...), ""},
		"a message too long":              {join(chunk(3, 20, greetingMessages+1, nil)), "a message of 65537 bytes"},
		"many unfinished messages":        {join(many...), "not finished"},
		"many that are given up":          {join(aborted...), ""},
		"a new message before the end":    {join(chunk(3, 9, 300, zeros(128)), chunk(3, 9, 10, zeros(10))), ""},
		"an empty message":                {join(chunk(3, 9, 0, nil), chunk(3, 9, 3, zeros(3))), ""},
		"encrypted":                       {[]byte{6}, "RTMPS"},
		"less than a handshake is passed": {hello[:100], ""},
	} {
		for how, reader := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r }, "by bytes": iotest.OneByteReader} {
			t.Run(name+" "+how, func(t *testing.T) {
				w := newChunkWatch(reader(bytes.NewReader(tt.sent)))
				passed, err := io.ReadAll(w)
				if tt.err != "" {
					if err == nil || !strings.Contains(err.Error(), tt.err) {
						t.Errorf("got %v, want %q", err, tt.err)
					}
					return
				}
				if err != nil || !bytes.Equal(passed, tt.sent) {
					t.Errorf("got %v and %d bytes of %d", err, len(passed), len(tt.sent))
				}
				if name != "less than a handshake is passed" && w.held != 0 {
					t.Errorf("%d bytes count as unfinished at the end", w.held)
				}
			})
		}
	}
}

func FuzzChunkWatch(f *testing.F) {
	f.Add(chunk(3, 20, 300, make([]byte, 128)), 1000)
	f.Add(chunk(2, typeSetChunkSize, 4, []byte{0xff, 0xff, 0xff, 0xff}), 10)
	f.Add([]byte{0xc3, 0xc3, 0x40, 0, 0, 0}, 1)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		w := newChunkWatch(bytes.NewReader(b))
		w.handshake, w.limit = 0, max(limit, 0)
		_, err := io.ReadAll(w)
		if err == nil && (w.held > w.limit || w.held < 0) {
			t.Errorf("%d bytes are held, %d are allowed", w.held, w.limit)
		}
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("got %v", err)
		}
	})
}
