package hls

import "testing"

func TestParseRange(t *testing.T) {
	cases := []struct {
		text   string
		want   byteRange
		result rangeResult
	}{
		{"bytes=0-0", byteRange{0, 1}, rangePart},
		{"bytes=0-99", byteRange{0, 100}, rangePart},
		{"bytes=0-100", byteRange{0, 100}, rangePart},
		{"bytes=0-99999999999999999999999", byteRange{0, 100}, rangePart},
		{"bytes=99-", byteRange{99, 100}, rangePart},
		{"bytes=-1", byteRange{99, 100}, rangePart},
		{"bytes=-100", byteRange{0, 100}, rangePart},
		{"bytes=-99999999999999999999999", byteRange{0, 100}, rangePart},
		{"Bytes= 5-9 ", byteRange{5, 10}, rangePart},

		{"bytes=100-", byteRange{}, rangeUnsatisfiable},
		{"bytes=100-200", byteRange{}, rangeUnsatisfiable},
		{"bytes=99999999999999999999999-", byteRange{}, rangeUnsatisfiable},
		{"bytes=-0", byteRange{}, rangeUnsatisfiable},

		{"", byteRange{}, rangeNone},
		{"bytes", byteRange{}, rangeNone},
		{"bytes=", byteRange{}, rangeNone},
		{"bytes=-", byteRange{}, rangeNone},
		{"bytes=5", byteRange{}, rangeNone},
		{"bytes=9-5", byteRange{}, rangeNone},
		{"bytes=0-1,3-4", byteRange{}, rangeNone},
		{"bytes=--1", byteRange{}, rangeNone},
		{"bytes=+1-2", byteRange{}, rangeNone},
		{"bytes=1 - 2", byteRange{}, rangeNone},
		{"bytes=0x1-2", byteRange{}, rangeNone},
		{"items=0-1", byteRange{}, rangeNone},
	}
	for _, c := range cases {
		t.Run(c.text, func(t *testing.T) {
			got, result := parseRange(c.text, 100)
			if got != c.want || result != c.result {
				t.Errorf("got %v %v, want %v %v", got, result, c.want, c.result)
			}
		})
	}
}

func FuzzRange(f *testing.F) {
	for _, text := range []string{"bytes=0-0", "bytes=-5", "bytes=5-", "bytes=0-1,2-3", "bytes=9-5", "items=1-2"} {
		f.Add(text, 100)
	}
	f.Fuzz(func(t *testing.T, text string, size int) {
		if size < 1 {
			return
		}
		got, result := parseRange(text, size)
		if result == rangePart && (got.start < 0 || got.start >= got.end || got.end > size) {
			t.Errorf("%q of %d bytes: %v", text, size, got)
		}
		if result != rangePart && got != (byteRange{}) {
			t.Errorf("%q: %v without a part", text, got)
		}
	})
}
