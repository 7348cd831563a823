package hls

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/go-cmp/cmp"
)

func TestLoggerNames(t *testing.T) {
	names := func(names ...string) caddyhttp.StringArray { return names }
	mapped := map[string]caddyhttp.StringArray{
		"edge.example.com": names("log0", "log1"),
		"*.example.com":    names("log2"),
		"quiet.example":    {},
	}
	cases := []struct {
		name string
		logs caddyhttp.ServerLogConfig
		host string
		want []string
	}{
		{"plain", caddyhttp.ServerLogConfig{}, "edge.example.com", []string{""}},
		{"default", caddyhttp.ServerLogConfig{DefaultLoggerName: "all"}, "edge.example.com", []string{"all"}},
		{"mapped", caddyhttp.ServerLogConfig{LoggerNames: mapped}, "edge.example.com", []string{"log0", "log1"}},
		{"mapped with port", caddyhttp.ServerLogConfig{LoggerNames: mapped}, "edge.example.com:8443", []string{"log0", "log1"}},
		{"mapped in capitals", caddyhttp.ServerLogConfig{LoggerNames: mapped}, "EDGE.example.com", []string{"log0", "log1"}},
		{"wildcard", caddyhttp.ServerLogConfig{LoggerNames: mapped}, "other.example.com", []string{"log2"}},
		{"not mapped", caddyhttp.ServerLogConfig{LoggerNames: mapped, DefaultLoggerName: "rest"}, "example.org", []string{"rest"}},
		{"not mapped and not wanted", caddyhttp.ServerLogConfig{LoggerNames: mapped, SkipUnmappedHosts: true}, "example.org", nil},
		{"mapped to nothing", caddyhttp.ServerLogConfig{LoggerNames: mapped}, "quiet.example", []string{}},
		{"skipped", caddyhttp.ServerLogConfig{SkipHosts: []string{"*.example.com"}}, "edge.example.com", nil},
		{"mapped and skipped", caddyhttp.ServerLogConfig{LoggerNames: mapped, SkipHosts: []string{"edge.example.com"}}, "edge.example.com", []string{"log0", "log1"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, loggerNames(&c.logs, c.host)); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzRedact: whatever was asked, the log has no colon, which every token has, and
// nothing that decodes to one.
func FuzzRedact(f *testing.F) {
	for _, path := range []string{"/live/a:1:b/news/x.ts", "/live/news/a:1:b/x.ts", "//live/a:1:b", "/live/", "/live", "", "/live/a%3A1%3Ab/n"} {
		f.Add(path, "")
		f.Add("/live/x/news/x.ts", path)
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		if got := redactURI(path, query, "WHO"); strings.ContainsAny(got, ":%") {
			t.Errorf("%q and %q become %q", path, query, got)
		}
	})
}
