package segment

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// made returns a piece of n bytes of one value.
func made(t testing.TB, value byte, n int) Piece {
	t.Helper()
	p, err := ReadPiece(bytes.NewReader(bytes.Repeat([]byte{value}, n)), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	p.Duration = target
	return p
}

func fill(t testing.TB, r *Ring, from, to int64, size int) {
	t.Helper()
	for msn := from; msn <= to; msn++ {
		if _, err := r.Append(made(t, byte(msn), size), Number{MSN: msn}); err != nil {
			t.Fatal(err)
		}
	}
}

func numbers(entries []Entry) []int64 {
	ns := []int64{}
	for _, e := range entries {
		ns = append(ns, e.MSN)
	}
	return ns
}

func TestRingKeepsAWindow(t *testing.T) {
	page := int64(pageSize)
	tests := []struct {
		name       string
		ringWindow int
		maxBytes   int64
		do         func(t *testing.T, r *Ring)
		window     []int64 // of 4
		fetch      []int64
		gone       []int64
		bytes      int64
	}{
		{
			name: "empty", ringWindow: 1, do: func(*testing.T, *Ring) {},
			window: []int64{}, gone: []int64{0, 1},
		},
		{
			name: "by time", ringWindow: 3,
			do:     func(t *testing.T, r *Ring) { fill(t, r, 10, 19, 100) },
			window: []int64{16, 17, 18, 19}, fetch: []int64{12, 19}, gone: []int64{11, 20}, bytes: 8 * page,
		},
		{
			name: "by bytes", ringWindow: 20, maxBytes: 8 * page,
			do:     func(t *testing.T, r *Ring) { fill(t, r, 0, 9, 100) },
			window: []int64{6, 7, 8, 9}, fetch: []int64{2, 9}, gone: []int64{1}, bytes: 8 * page,
		},
		{
			name: "refuses what leaves less than six", ringWindow: 20, maxBytes: 8 * page,
			do: func(t *testing.T, r *Ring) {
				fill(t, r, 0, 7, 100)
				p := made(t, 8, 4*pageSize)
				defer p.Release()
				if _, err := r.Append(p, Number{MSN: 8}); !errors.Is(err, ErrFull) {
					t.Errorf("got %v, want ErrFull", err)
				}
			},
			window: []int64{4, 5, 6, 7}, fetch: []int64{0, 7}, gone: []int64{8}, bytes: 8 * page,
		},
		{
			name: "a jump begins a new list", ringWindow: 3,
			do:     func(t *testing.T, r *Ring) { fill(t, r, 1, 5, 100); fill(t, r, 100, 101, 100) },
			window: []int64{100, 101}, fetch: []int64{1, 5, 100}, gone: []int64{6, 99}, bytes: 7 * page,
		},
		{
			name: "the list before a jump leaves by age", ringWindow: 1,
			do:     func(t *testing.T, r *Ring) { fill(t, r, 1, 5, 100); fill(t, r, 100, 106, 100) },
			window: []int64{103, 104, 105, 106}, fetch: []int64{103}, gone: []int64{5, 102}, bytes: 4 * page,
		},
		{
			name: "numbers never go back", ringWindow: 1,
			do: func(t *testing.T, r *Ring) {
				fill(t, r, 1, 5, 100)
				for _, msn := range []int64{5, 4, -1} {
					p := made(t, 0, 1)
					if _, err := r.Append(p, Number{MSN: msn}); !errors.Is(err, ErrOrder) {
						t.Errorf("appending %d: got %v, want ErrOrder", msn, err)
					}
					p.Release()
				}
			},
			window: []int64{2, 3, 4, 5}, fetch: []int64{2}, bytes: 4 * page,
		},
		{
			name: "a closed ring", ringWindow: 1,
			do: func(t *testing.T, r *Ring) {
				fill(t, r, 1, 5, 100)
				r.Close()
				p := made(t, 0, 1)
				defer p.Release()
				if _, err := r.Append(p, Number{MSN: 6}); !errors.Is(err, ErrClosed) {
					t.Errorf("got %v, want ErrClosed", err)
				}
			},
			window: []int64{}, gone: []int64{5},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewRing(tt.ringWindow, tt.maxBytes)
			defer r.Close()
			tt.do(t, r)
			if diff := cmp.Diff(numbers(r.Window(4)), tt.window); diff != "" {
				t.Errorf("window (-got +want):\n%s", diff)
			}
			for _, msn := range tt.fetch {
				s := r.Get(msn)
				if s == nil {
					t.Errorf("segment %d is not there", msn)
					continue
				}
				if b := s.Bytes(); len(b) != s.Size || b[0] != byte(msn) {
					t.Errorf("segment %d has other bytes", msn)
				}
				s.Release()
			}
			for _, msn := range tt.gone {
				if r.Get(msn) != nil {
					t.Errorf("segment %d is there", msn)
				}
			}
			if got := r.Bytes(); got != tt.bytes {
				t.Errorf("bytes: got %d, want %d", got, tt.bytes)
			}
		})
	}
}

// RFC 8216bis §6.2.2: a removed segment stays for its own duration and that of the
// longest playlist, also when that one's segments were longer than today's.
func TestRingKeepsByTimeNotByCount(t *testing.T) {
	const window = 3
	r := NewRing(window, 0)
	defer r.Close()
	clock := time.Duration(0)
	removed := map[int64]time.Duration{}
	length := map[int64]time.Duration{}
	longest := map[int64]time.Duration{}
	for msn := int64(1); msn <= 60; msn++ {
		p := made(t, byte(msn), 10)
		p.Duration = 2 * time.Second
		if msn%20 < 4 {
			p.Duration = 4 * time.Second
		}
		length[msn] = p.Duration
		clock += p.Duration
		if _, err := r.Append(p, Number{MSN: msn}); err != nil {
			t.Fatal(err)
		}
		removed[msn-window] = clock
		list := time.Duration(0)
		for _, e := range r.Window(window) {
			list += e.Duration
		}
		for _, e := range r.Window(window) {
			longest[e.MSN] = max(longest[e.MSN], list)
		}
		for old := int64(1); old <= msn-window; old++ {
			held := r.Get(old)
			if held != nil {
				held.Release()
			} else if since := clock - removed[old]; since < length[old]+longest[old] {
				t.Fatalf("at %d: segment %d left %s after it was removed, want %s", msn, old, since, length[old]+longest[old])
			}
		}
	}
	if n := len(r.Window(100)); n > 4*window {
		t.Errorf("%d segments are kept behind a window of %d", n, window)
	}
}

func TestRingListsGaps(t *testing.T) {
	r := NewRing(1, 0)
	defer r.Close()
	fill(t, r, 1, 1, 10)
	s, err := r.Append(Piece{Void: VoidNoKeyframe, Duration: target}, Number{MSN: 2})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Gap || s.Duration != target || s.Size != 0 {
		t.Errorf("got %+v, want a gap of %v", s.Entry, target)
	}
	got := r.Get(2)
	if got == nil || got.Bytes() != nil {
		t.Fatalf("got %v, want a segment without bytes", got)
	}
	got.Release()
	if last, ok := r.Last(); !ok || last.MSN != 2 {
		t.Errorf("last: got %v, %v, want 2", last.MSN, ok)
	}
}

func TestRingTakesAPieceOnce(t *testing.T) {
	r := NewRing(1, 0)
	defer r.Close()
	p := made(t, 7, 100)
	if _, err := r.Append(p, Number{MSN: 1}); err != nil {
		t.Fatal(err)
	}
	p.Release() // does nothing any more
	if _, err := r.Append(p, Number{MSN: 2}); !errors.Is(err, ErrReleased) {
		t.Errorf("taking the same piece twice: got %v, want ErrReleased", err)
	}
	s := r.Get(1)
	if s == nil || s.Bytes()[99] != 7 {
		t.Fatal("segment 1 lost its bytes")
	}
	s.Release()
}

func TestRingReadersAgainstAppends(t *testing.T) {
	const size = 3000
	r := NewRing(8, 0)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			var held []*Segment // across the time when they leave the ring
			check := func(s *Segment) {
				want := bytes.Repeat([]byte{byte(s.MSN)}, size)
				if !bytes.Equal(s.Bytes(), want) {
					t.Errorf("segment %d changed while it was held", s.MSN)
				}
				s.Release()
			}
			for {
				select {
				case <-done:
					for _, s := range held {
						check(s)
					}
					return
				default:
				}
				w := r.Window(8)
				for _, e := range w {
					if s := r.Get(e.MSN); s != nil {
						held = append(held, s)
					}
				}
				for len(held) > 30 {
					check(held[0])
					held = held[1:]
				}
			}
		})
	}
	fill(t, r, 0, 3000, size)
	close(done)
	readers.Wait()
	r.Close()
}

func TestRingGivesMemoryBack(t *testing.T) {
	const count = 48 // more than stays warm
	before := Resident()
	r := NewRing(count, 0)
	fill(t, r, 1, count, 1<<20-1)
	if got, want := r.Bytes(), int64(count<<20); got != want {
		t.Errorf("ring: got %d bytes, want %d", got, want)
	}
	if grown := Resident() - before; grown < count<<20-warmBytes {
		t.Errorf("resident: got %d more, want %d less what was warm", grown, count<<20)
	}
	r.Close()
	if got := Resident(); got > before+warmBytes {
		t.Errorf("resident after close: got %d, want at most %d warm on top of %d", got, warmBytes, before)
	}
}

func TestAbortedReadRestsItsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 12345 // a size class of this test's own
		piece := func(v byte) Piece {
			p, err := ReadPiece(bytes.NewReader(bytes.Repeat([]byte{v}, size)), size*100)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		r := NewRing(1, 0)
		if _, err := r.Append(piece(1), Number{MSN: 1}); err != nil {
			t.Fatal(err)
		}
		s := r.Get(1)
		late := s.Bytes()
		s.ReleaseAborted()
		r.Close()
		p := piece(2)
		if &p.Bytes()[0] == &late[0] {
			t.Error("memory was used again while a late reader may be there")
		}
		if late[0] == 2 {
			t.Error("a late reader sees another segment's bytes")
		}
		time.Sleep(quarantine + time.Second)
		p.Release()
		a, b := piece(3), piece(4)
		if &a.Bytes()[0] != &late[0] && &b.Bytes()[0] != &late[0] {
			t.Error("memory was not used again after its quarantine")
		}
		a.Release()
		b.Release()
	})
}

func TestReadPiece(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name string
		read func() (Piece, error)
		size int
		err  error
	}{
		{"fits", func() (Piece, error) { return ReadPiece(strings.NewReader("0123456789"), 10) }, 10, nil},
		{"byte by byte", func() (Piece, error) { return ReadPiece(iotest.OneByteReader(strings.NewReader("0123456789")), 10) }, 10, nil},
		{"empty", func() (Piece, error) { return ReadPiece(strings.NewReader(""), 10) }, 0, nil},
		{"too long", func() (Piece, error) { return ReadPiece(strings.NewReader("0123456789A"), 10) }, 0, ErrTooLarge},
		{"broken off", func() (Piece, error) { return ReadPiece(iotest.ErrReader(broken), 10) }, 0, broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := tt.read()
			if !errors.Is(err, tt.err) {
				t.Fatalf("got error %v, want %v", err, tt.err)
			}
			if p.Size() != tt.size {
				t.Errorf("got %d bytes, want %d", p.Size(), tt.size)
			}
			p.Release()
			p.Release()
		})
	}
}

func BenchmarkRingGet(b *testing.B) {
	r := NewRing(8, 0)
	defer r.Close()
	fill(b, r, 0, 16, 800<<10)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for msn := int64(0); pb.Next(); msn = (msn + 1) % 17 {
			r.Get(msn).Release()
		}
	})
}

func BenchmarkRingAppend(b *testing.B) {
	r := NewRing(8, 0)
	defer r.Close()
	content := make([]byte, 800<<10)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	msn := int64(0)
	for b.Loop() {
		p, err := ReadPiece(bytes.NewReader(content), 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Append(p, Number{MSN: msn}); err != nil {
			b.Fatal(err)
		}
		msn++
	}
}
