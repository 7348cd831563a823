package segment

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	target = 2 * time.Second
	limit  = 4 * time.Second
	tk     = int64(target / time.Second * second) // T in ticks
)

// ffmpeg runs FFmpeg with an output file that replaces OUT, and returns its bytes.
func ffmpeg(t testing.TB, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatalf("these tests cut real streams: install ffmpeg (%v)", err)
	}
	out := filepath.Join(t.TempDir(), "out.ts")
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "OUT", out)
	}
	cmd := exec.Command(path, append([]string{"-nostdin", "-v", "error", "-y"}, args...)...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pictures is an FFmpeg input of moving pictures and a tone.
func pictures(size, rate string, seconds int) []string {
	d := strconv.Itoa(seconds)
	return []string{
		"-f", "lavfi", "-i", "testsrc2=size=" + size + ":rate=" + rate + ":duration=" + d,
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=" + d,
	}
}

const mpegts = "-f mpegts -muxdelay 0 -muxpreload 0 -flush_packets 1 "

func join(parts ...any) []string {
	var all []string
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			all = append(all, strings.Fields(p)...)
		case []string:
			all = append(all, p...)
		}
	}
	return all
}

// newCutter returns a cutter that the test closes at its end.
func newCutter(t testing.TB, o CutterOptions) *Cutter {
	t.Helper()
	if o.Timeline == nil {
		o.Timeline = NewTimeline(target, limit)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 8 << 20
	}
	c, err := NewCutter(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// cutPiece is a piece with its bytes copied, to be compared.
type cutPiece struct {
	Piece
	Content []byte
}

// feed gives bytes to a cutter in reads of at most size and returns the pieces.
func feed(t testing.TB, c *Cutter, b []byte, size func() int) []cutPiece {
	t.Helper()
	var all []cutPiece
	for len(b) > 0 {
		space := c.Space()
		if len(space) < 64<<10 {
			t.Fatalf("got %d bytes of space, want at least 64 KiB", len(space))
		}
		n := copy(space[:min(len(space), size())], b)
		b = b[n:]
		for _, p := range c.Advance(n) {
			all = append(all, cutPiece{p, bytes.Clone(p.Bytes())})
			p.Release()
			all[len(all)-1].body = nil
		}
	}
	return all
}

func cutAll(t testing.TB, c *Cutter, b []byte) []cutPiece {
	t.Helper()
	return feed(t, c, b, func() int { return 64 << 10 })
}

// concat joins the contents of pieces.
func concat(pieces ...[]cutPiece) []byte {
	var b []byte
	for _, ps := range pieces {
		for _, p := range ps {
			b = append(b, p.Content...)
		}
	}
	return b
}

// counterErrors walks a transport stream and returns the PIDs and offsets where
// a continuity counter does not follow on the one before.
func counterErrors(t testing.TB, b []byte) (found []string) {
	t.Helper()
	last := map[uint16]uint8{}
	for off := 0; off < len(b); off += packetSize {
		if len(b)-off < packetSize || b[off] != syncByte {
			t.Fatalf("no packet at offset %d of %d", off, len(b))
		}
		p := packet(b[off : off+packetSize])
		want, seen := last[p.pid()]
		if p.hasPayload() {
			want = (want + 1) & 0x0f
		}
		if seen && p.counter() != want {
			found = append(found, "pid "+strconv.Itoa(int(p.pid()))+" at "+strconv.Itoa(off/packetSize))
		}
		last[p.pid()] = p.counter()
	}
	return found
}

// checkPieces holds pieces of one cutter against what every piece promises.
func checkPieces(t testing.TB, pieces []cutPiece, shortest, longest time.Duration) {
	t.Helper()
	next := -1
	for _, p := range pieces {
		if p.Index <= next {
			t.Errorf("piece %d came after %d", p.Index, next)
		}
		next = p.Index
		if p.Void != "" {
			if len(p.Content) > 0 {
				t.Errorf("piece %d is void (%s) and has %d bytes", p.Index, p.Void, len(p.Content))
			}
			continue
		}
		if p.Duration < shortest || p.Duration > longest {
			t.Errorf("piece %d lasts %v, want %v to %v", p.Index, p.Duration, shortest, longest)
		}
		b := p.Content
		if len(b) < 3*packetSize || len(b)%packetSize != 0 {
			t.Fatalf("piece %d has %d bytes, want whole packets", p.Index, len(b))
		}
		if pid := packet(b).pid(); pid != pidPAT {
			t.Errorf("piece %d begins with PID %d, want the PAT", p.Index, pid)
		}
		if pmt := packet(b[packetSize:]); !pmt.unitStart() || pmt.payload()[1] != 2 {
			t.Errorf("piece %d: second packet is no PMT", p.Index)
		}
	}
}

// decode returns what FFmpeg complains about when it decodes a stream.
func decode(t testing.TB, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "concat.ts")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	msg, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-i", name, "-f", "null", "-").CombinedOutput()
	if err != nil {
		t.Errorf("decoding: %v", err)
	}
	return string(msg)
}

func published(pieces []cutPiece) (ps []cutPiece) {
	for _, p := range pieces {
		if p.Void == "" {
			ps = append(ps, p)
		}
	}
	return ps
}
