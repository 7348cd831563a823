package rtmp

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/ingest/source"
)

var (
	testSPS = []byte{0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20}
	testPPS = []byte{0x68, 0x06, 0x07, 0x08}
)

func key(at time.Duration) unit {
	return unit{pts: at, dts: at, data: [][]byte{{0x65, 1, 2, 3}}, picture: true, key: true}
}

func delta(at time.Duration) unit {
	return unit{pts: at, dts: at, data: [][]byte{{0x41, 1, 2, 3}}, picture: true}
}

func newPublication() *publication {
	tracks := []track{{codec: codecH264, sps: testSPS, pps: testPPS}}
	return &publication{
		grant: Grant{Renew: func(time.Time) bool { return true }}, media: &media{tracks: tracks}, tracks: tracks,
		conn: newMetered(new(net.TCPConn)), done: make(chan struct{}), renewed: time.Now(),
	}
}

func TestReaderBeginsAtTheLastKeyPicture(t *testing.T) {
	p := newPublication()
	for i := range 10 {
		u := delta(time.Duration(i) * time.Second)
		if i%4 == 0 {
			u = key(u.dts)
		}
		if err := p.deliver(u); err != nil {
			t.Fatal(err)
		}
	}
	_, begin, _ := p.attach()
	if len(begin) != 2 || !begin[0].key || begin[0].dts != 8*time.Second {
		t.Errorf("got %+v, want the key picture at 8 s and what follows", begin)
	}
}

// A reader that does not take what comes holds the publisher up, and memory does not grow.
func TestBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublication()
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- p.Feed(ctx, w) }()
		synctest.Wait()
		var delivered atomic.Int64
		go func() {
			for i := range 1000 {
				if err := p.deliver(delta(time.Duration(i) * time.Second)); err != nil {
					return
				}
				if err := p.deliver(key(time.Duration(i) * time.Second)); err != nil {
					return
				}
				delivered.Add(1)
			}
		}()
		time.Sleep(time.Minute)
		if got := delivered.Load(); got > 2 {
			t.Errorf("%d units were taken for a reader that does not read", got)
		}
		cancel()
		_ = r.Close() // as the run does with its pipe
		if err := <-ended; err == nil {
			t.Error("the feed ended without an error")
		}
		synctest.Wait()
		if got := delivered.Load(); got != 1000 {
			t.Errorf("got %d units after the reader had left, want all", got)
		}
		if p.cached > cacheBytes {
			t.Errorf("%d bytes are kept", p.cached)
		}
	})
}

// One of two readers that does not read is cut off; the other goes on.
func TestSlowReaderIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublication()
		slow, stuck := io.Pipe()
		defer func() { _ = slow.Close() }()
		slowEnded, goodEnded := make(chan error, 1), make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { goodEnded <- p.Feed(ctx, io.Discard) }()
		go func() { slowEnded <- p.Feed(ctx, stuck) }()
		synctest.Wait()
		began := time.Now()
		for i := range 100 {
			if err := p.deliver(key(time.Duration(i) * time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took > 2*patience {
			t.Errorf("the slow one held the other up for %v", took)
		}
		_ = slow.Close()
		if err := <-slowEnded; err == nil {
			t.Error("the slow reader was not cut off")
		}
		cancel()
		if err := <-goodEnded; !errors.Is(err, context.Canceled) {
			t.Errorf("the other ended with %v", err)
		}
	})
}

func TestNewFormatEndsTheFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublication()
		ended := make(chan error, 1)
		go func() { ended <- p.Feed(t.Context(), io.Discard) }()
		synctest.Wait()
		if err := p.deliver(key(0)); err != nil {
			t.Fatal(err)
		}
		other := append([]byte(nil), testSPS...)
		other[3]++
		if err := p.deliver(unit{data: [][]byte{other, testPPS}}); err != nil {
			t.Fatal(err)
		}
		var failed *source.Error
		if err := <-ended; !errors.As(err, &failed) || failed.Failure != "source_changed" {
			t.Errorf("got %v, want source_changed", err)
		}
		if err := p.deliver(key(time.Second)); err != nil {
			t.Fatal(err)
		}
		_, begin, tracks := p.attach()
		if len(begin) != 1 || string(tracks[0].sps) != string(other) {
			t.Error("the next reader does not begin with the new parameters")
		}
	})
}

func TestAuthorizationEnds(t *testing.T) {
	p := newPublication()
	p.grant.Renew = func(time.Time) bool { return false }
	if err := p.deliver(key(0)); err != nil {
		t.Errorf("asked again at once: %v", err)
	}
	p.renewed = time.Now().Add(-renewal - time.Second)
	if err := p.deliver(key(0)); !errors.Is(err, errNotRenews) {
		t.Errorf("got %v, want the end", err)
	}
}
