package hls

import "testing"

func TestAcceptsGzip(t *testing.T) {
	cases := []struct {
		name  string
		lines []string
		want  bool
	}{
		{"nothing", nil, false},
		{"empty", []string{""}, false},
		{"gzip", []string{"gzip"}, true},
		{"capitals", []string{"GZIP"}, true},
		{"old name", []string{"x-gzip"}, true},
		{"among others", []string{"br, gzip, zstd"}, true},
		{"second line", []string{"br", "gzip"}, true},
		{"others", []string{"br, deflate, identity"}, false},
		{"part of a name", []string{"gzipped"}, false},
		{"weight", []string{"gzip;q=0.5"}, true},
		{"small weight", []string{"gzip;q=0.001"}, true},
		{"no weight", []string{"gzip;q=0"}, false},
		{"no weight, longer", []string{"gzip ; Q = 0.000"}, false},
		{"weight of another", []string{"br;q=0, gzip"}, true},
		{"asterisk", []string{"*"}, true},
		{"asterisk without weight", []string{"*;q=0"}, false},
		{"asterisk, but not gzip", []string{"*, gzip;q=0"}, false},
		{"gzip, but not the rest", []string{"*;q=0, gzip"}, true},
		{"identity only", []string{"identity;q=1, *;q=0"}, false},
		{"broken weight", []string{"gzip;q="}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := acceptsGzip(c.lines); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestAskedMSN(t *testing.T) {
	cases := []struct {
		query string
		want  int64
		ok    bool
	}{
		{"", 0, true},
		{"x=1&y", 0, true},
		{"_HLS_msn=890", 890, true},
		{"x=1&_HLS_msn=890&y=2", 890, true},
		{"_HLS_msn=9223372036854775807", 9223372036854775807, true},
		{"_HLS_msnx=890", 0, true},
		{"_HLS_part=1", 0, true},
		{"&&", 0, true},
		{"_HLS_msn=", 0, false},
		{"_HLS_msn=-1", 0, false},
		{"_HLS_msn=+1", 0, false},
		{"_HLS_msn=1.5", 0, false},
		{"_HLS_msn=1_000", 0, false},
		{"_HLS_msn=0x10", 0, false},
		{"_HLS_msn=%31", 0, false},
		{"_HLS_msn=9223372036854775808", 0, false},
		{"_HLS_msn=1&_HLS_msn=1", 0, false},
	}
	for _, c := range cases {
		t.Run(c.query, func(t *testing.T) {
			got, ok := askedMSN(c.query)
			if got != c.want || ok != c.ok {
				t.Errorf("got %d %v, want %d %v", got, ok, c.want, c.ok)
			}
		})
	}
}
