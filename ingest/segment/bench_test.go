package segment

import "testing"

// BenchmarkCutter reads a 3 Mbit/s stream of 2 s segments, as from a pipe.
func BenchmarkCutter(b *testing.B) {
	m := newSynth()
	m.size = 14000
	m.run(0, 20*second)
	c := newCutter(b, CutterOptions{})
	in := m.out
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		for rest := in; len(rest) > 0; {
			n := copy(c.Space()[:64<<10], rest)
			rest = rest[n:]
			for _, p := range c.Advance(n) {
				p.Release()
			}
		}
	}
}
