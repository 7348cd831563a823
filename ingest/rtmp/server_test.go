package rtmp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortmplib/pkg/bytecounter"
	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"go.uber.org/zap/zaptest"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/source"
	"github.com/headrace/headrace/test/encoder"
)

// desktop is a server with a port, and what it counted.
type desktop struct {
	*Server
	address string
	mu      sync.Mutex
	counted map[Outcome]int
}

// newDesktop lets in keys that begin with "good-" and name their stream; what stands
// behind a slash is the session.
func newDesktop(t *testing.T) *desktop {
	t.Helper()
	d := &desktop{counted: make(map[Outcome]int)}
	d.Server = NewServer(Options{
		Logger: zaptest.NewLogger(t),
		Authorize: func(key string, _ netip.Addr) (Grant, error) {
			stream, session, _ := strings.Cut(key, "/")
			if !strings.HasPrefix(stream, "good-") {
				return Grant{}, ErrRefused
			}
			return Grant{Stream: stream, Owner: "owner", Session: session, Max: 2, Renew: func(time.Time) bool { return true }}, nil
		},
		Count: d.add,
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.address = l.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() { d.Serve(l, func() Settings { return Settings{Hold: time.Minute} }) })
	t.Cleanup(func() {
		_ = l.Close()
		d.Close()
		serving.Wait()
	})
	return d
}

func (d *desktop) add(o Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counted[o]++
}

func (d *desktop) count(o Outcome) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counted[o]
}

// publish sends a loop until the test ends or stop is called; gone gets how it ended.
func (d *desktop) publish(t *testing.T, l *encoder.Loop, key string) (stop func(), gone <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { end <- l.Publish(ctx, "rtmp://"+d.address+"/live/"+key) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return cancel, end
}

func (d *desktop) awaitFeed(t *testing.T, stream string) source.Feed {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if f := d.Feed(stream); f != nil {
			return f
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("nobody publishes %s", stream)
	return nil
}

var loops = sync.Map{}

func loop(t *testing.T, r encoder.Recipe) *encoder.Loop {
	t.Helper()
	if l, ok := loops.Load(r); ok {
		return l.(*encoder.Loop)
	}
	l, err := encoder.Make(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	loops.Store(r, l)
	return l
}

// enough is a writer that has had enough after so many bytes.
type enough struct {
	bytes.Buffer
	limit int
}

var errEnough = errors.New("enough")

func (e *enough) Write(b []byte) (int, error) {
	if e.Len() > e.limit {
		return 0, errEnough
	}
	return e.Buffer.Write(b)
}

func TestWhatIsPushedBecomesMPEGTS(t *testing.T) {
	for name, tt := range map[string]struct {
		recipe encoder.Recipe
		opus   bool
	}{
		"h264 and aac":  {encoder.Recipe{}, false},
		"hevc and aac":  {encoder.Recipe{Video: encoder.HEVC}, false},
		"h264 and opus": {encoder.Recipe{Audio: encoder.Opus}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesktop(t)
			d.publish(t, loop(t, tt.recipe), "good-a")
			feed := d.awaitFeed(t, "good-a")
			if got := feed.(*publication).HasOpus(); got != tt.opus {
				t.Errorf("got Opus %v, want %v", got, tt.opus)
			}
			out := &enough{limit: 200_000}
			if err := feed.Feed(t.Context(), out); !errors.Is(err, errEnough) {
				t.Fatalf("got %v, want the writer's own error", err)
			}
			checkTS(t, &out.Buffer, tt.recipe.Video == encoder.HEVC, tt.opus)
		})
	}
}

// checkTS wants a picture with its parameters first, and times that go on.
func checkTS(t *testing.T, ts io.Reader, hevc, opus bool) {
	t.Helper()
	r := &mpegts.Reader{R: ts}
	if err := r.Initialize(); err != nil {
		t.Fatal(err)
	}
	pictures, frames := 0, 0
	var last int64
	picture := func(track track) func(pts, dts int64, au [][]byte) error {
		return func(pts, dts int64, au [][]byte) error {
			if pictures++; pictures == 1 {
				track.adopt(unit{data: au})
				if track.sps == nil || track.pps == nil || (hevc && track.vps == nil) {
					t.Error("the first picture comes without its parameters")
				}
			} else if dts <= last || dts-last > 90_000 {
				t.Errorf("picture %d is at %d after %d", pictures, dts, last)
			}
			last = dts
			return nil
		}
	}
	for _, track := range r.Tracks() {
		switch c := track.Codec.(type) {
		case *codecs.H264:
			r.OnDataH264(track, picture(describedAs(codecH264)))
		case *codecs.H265:
			r.OnDataH265(track, picture(describedAs(codecHEVC)))
		case *codecs.MPEG4Audio:
			r.OnDataMPEG4Audio(track, func(_ int64, aus [][]byte) error { frames += len(aus); return nil })
			if opus || c.SampleRate != 48_000 {
				t.Errorf("got AAC at %d Hz", c.SampleRate)
			}
		case *codecs.Opus:
			r.OnDataOpus(track, func(_ int64, packets [][]byte) error { frames += len(packets); return nil })
			if !opus {
				t.Error("got Opus")
			}
		default:
			t.Errorf("got a track in %T", track.Codec)
		}
	}
	for r.Read() == nil {
	}
	if pictures < 20 || frames < 20 {
		t.Errorf("got %d pictures and %d frames of sound, want a second of each", pictures, frames)
	}
}

func describedAs(c codec) track { return track{codec: c} }

func TestOnePublisherPerStream(t *testing.T) {
	d := newDesktop(t)
	l := loop(t, encoder.Recipe{})
	_, first := d.publish(t, l, "good-a/s1")
	feed := d.awaitFeed(t, "good-a")

	_, second := d.publish(t, l, "good-a/s2")
	if err := <-second; err == nil {
		t.Error("a second publisher was let in")
	}
	if d.count(Busy) != 1 || d.Feed("good-a") != feed {
		t.Errorf("got %d refusals as busy, want 1 and the first publisher still there", d.count(Busy))
	}

	ended := make(chan error, 1)
	go func() { ended <- feed.Feed(t.Context(), io.Discard) }()
	d.publish(t, l, "good-a/s1")
	if err := <-first; err == nil {
		t.Error("the first publisher goes on beside the one of the same session")
	}
	var failed *source.Error
	if err := <-ended; !errors.As(err, &failed) || failed.Failure != ffmpeg.FailureNoPublisher {
		t.Errorf("the feed of the first ended with %v, want no_publisher", err)
	}
	if next := d.Feed("good-a"); next == nil || next == feed {
		t.Error("the second of the session has not taken over")
	}

	d.publish(t, l, "good-b")
	d.awaitFeed(t, "good-b")
	_, third := d.publish(t, l, "good-c")
	if err := <-third; err == nil || d.count(TooMany) != 1 {
		t.Errorf("a third stream of an owner who may publish two: got %v", err)
	}
	if got := d.Publishers(); got != 2 {
		t.Errorf("got %d publishers, want 2", got)
	}
}

func TestPresence(t *testing.T) {
	d := newDesktop(t)
	if present, held := d.Presence("good-a", time.Now()); present || !held.IsZero() {
		t.Errorf("got %v until %v before anybody came", present, held)
	}
	stop, _ := d.publish(t, loop(t, encoder.Recipe{}), "good-a")
	d.awaitFeed(t, "good-a")
	if present, _ := d.Presence("good-a", time.Now()); !present {
		t.Error("the publisher is there and counts as away")
	}
	if present, held := d.Presence("good-a", time.Now().Add(silence+time.Minute)); present || held.IsZero() {
		t.Error("a publisher that is silent counts as there")
	}
	stop()
	deadline := time.Now().Add(10 * time.Second)
	for d.Feed("good-a") != nil && time.Now().Before(deadline) {
		<-time.After(10 * time.Millisecond)
	}
	if present, held := d.Presence("good-a", time.Now()); present || time.Until(held) < 50*time.Second {
		t.Errorf("got %v until %v after it left, want it waited for", present, held)
	}
}

func TestRefusedKey(t *testing.T) {
	d := newDesktop(t)
	_, gone := d.publish(t, loop(t, encoder.Recipe{}), "bad?token=secret")
	if err := <-gone; err == nil {
		t.Error("a publisher with a bad key was let in")
	}
	if d.count(Refused) != 1 || d.count(Accepted) != 0 {
		t.Errorf("got %v", d.counted)
	}
}

// What strangers may do is bounded, in time and size.
func TestStrangers(t *testing.T) {
	server := func(t *testing.T) *desktop {
		d := &desktop{counted: make(map[Outcome]int)}
		d.Server = NewServer(Options{Logger: zaptest.NewLogger(t), Count: d.add})
		return d
	}
	plain := func() Settings { return Settings{} }
	t.Run("slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := server(t)
			ours, theirs := net.Pipe()
			began := time.Now()
			var talking sync.WaitGroup
			defer talking.Wait()
			talking.Go(func() {
				for { // one byte a second
					if _, err := theirs.Write([]byte{3}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			})
			d.serve(ours, plain)
			if took := time.Since(began); took > greetingTime+time.Second || d.count(Unfit) != 1 {
				t.Errorf("cut after %v, counted %v", took, d.counted)
			}
		})
	})
	t.Run("talkative", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := server(t)
			ours, theirs := net.Pipe()
			var sent atomic.Int64
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			go func() {
				// C0, C1 and C2, then a chunk that says it is followed by 10 MB.
				hello := append([]byte{3}, make([]byte, 2*1536)...)
				_, _ = theirs.Write(hello)
				_, _ = theirs.Write([]byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0x9f, 0, 0}) // set chunk size
				_, _ = theirs.Write([]byte{3, 0, 0, 0, 0x9f, 0, 0, 20, 0, 0, 0, 0})
				for {
					n, err := theirs.Write(make([]byte, 4096))
					sent.Add(int64(n))
					if err != nil {
						return
					}
				}
			}()
			d.serve(ours, plain)
			synctest.Wait()
			if sent.Load() > greetingBytes || d.count(Unfit) != 1 {
				t.Errorf("took %d bytes of a stranger, counted %v", sent.Load(), d.counted)
			}
		})
	})
	t.Run("many", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := server(t)
			var all sync.WaitGroup
			for range maxGreetingPerAddress + 3 {
				ours, _ := net.Pipe()
				all.Go(func() { d.serve(ours, plain) })
			}
			synctest.Wait()
			if got := d.count(Crowded); got != 3 {
				t.Errorf("got %d sent away, want 3", got)
			}
			all.Wait()
			if d.door.total != 0 || len(d.door.waiting) != 0 {
				t.Errorf("%d places are not given back", d.door.total)
			}
		})
	})
}

// FuzzGreeting looks for messages that the library does not survive.
func FuzzGreeting(f *testing.F) {
	hello := append([]byte{3}, make([]byte, handshakeSize-1)...)
	f.Add([]byte{3, 0, 0, 0, 0, 0, 4, 20, 0, 0, 0, 0, 2, 0, 1, 'x'})
	f.Add([]byte{3, 0, 0, 0, 0, 0, 2, 9, 0, 0, 0, 0, 0x17, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		rw := struct {
			io.Reader
			io.Writer
		}{newChunkWatch(bytes.NewReader(append(bytes.Clone(hello), b...))), io.Discard}
		if _, peer, err := greet(rw); err == nil {
			_, _ = open(peer)
		}
	})
}

// FuzzMedia looks for media that the library does not survive, and for what the muxer
// makes of the rest.
func FuzzMedia(f *testing.F) {
	f.Add([]byte{4, 0, 0, 0, 0, 0, 2, 8, 0, 0, 0, 0, 0xaf, 0})
	f.Add([]byte{4, 0, 0, 0, 0, 0, 6, 9, 0, 0, 0, 0, 0x90, 'h', 'v', 'c', '1', 0})
	f.Add([]byte{4, 0, 0, 0, 0, 0, 5, 9, 0, 0, 0, 0, 0x17, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		conn := &received{message.NewReadWriter(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(b), io.Discard}, bytecounter.NewReadWriter(new(bytes.Buffer)), false)}
		if err := Copy(io.Discard, conn); err == nil {
			t.Error("the end of the connection is no error")
		}
	})
}

// received is a connection that has sent all it will.
type received struct{ *message.ReadWriter }

func (received) BytesReceived() uint64 { return 0 }
func (received) BytesSent() uint64     { return 0 }
