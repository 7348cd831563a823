package streamtoken

import (
	"net/url"
	"strings"
	"testing"

	"github.com/headrace/headrace/caddymodule/edge"
)

func TestParsePath(t *testing.T) {
	cases := []struct {
		name string
		uri  string
		want target
		ok   bool
	}{
		{"multivariant", "/live/t:1:f/news/index.m3u8", target{"t:1:f", "news", "", 0, edge.KindMultivariant}, true},
		{"playlist", "/live/t:1:f/news/480p/index.m3u8", target{"t:1:f", "news", "480p", 0, edge.KindPlaylist}, true},
		{"segment", "/live/t:1:f/news/480p/890.ts", target{"t:1:f", "news", "480p", 890, edge.KindSegment}, true},
		{"endless", "/live/t:1:f/news/480p/live.ts", target{"t:1:f", "news", "480p", 0, edge.KindLive}, true},
		{"escaped colon", "/live/t%3A1%3af/news/480p/890.ts", target{"t:1:f", "news", "480p", 890, edge.KindSegment}, true},
		{"largest number", "/live/t/news/480p/999999999999999999.ts", target{"t", "news", "480p", 999999999999999999, edge.KindSegment}, true},
		{"number beyond", "/live/t/news/480p/1999999999999999999.ts", target{"t", "news", "", 0, edge.KindOther}, true},
		{"number with a zero in front", "/live/t/news/480p/0890.ts", target{"t", "news", "", 0, edge.KindOther}, true},
		{"number with a sign", "/live/t/news/480p/+890.ts", target{"t", "news", "", 0, edge.KindOther}, true},
		{"number with a letter", "/live/t/news/480p/89a0.ts", target{"t", "news", "", 0, edge.KindOther}, true},
		{"no number", "/live/t/news/480p/.ts", target{"t", "news", "", 0, edge.KindOther}, true},
		{"segment without a rendition", "/live/t/news/890.ts", target{"t", "news", "", 0, edge.KindOther}, true},
		{"something else", "/live/t/news/archive/monday 1.mp4", target{"t", "news", "", 0, edge.KindOther}, true},
		{"folder", "/live/t/news/archive/", target{"t", "news", "", 0, edge.KindOther}, true},
		{"deeper", "/live/t/news/480p/x/890.ts", target{"t", "news", "", 0, edge.KindOther}, true},
		{"stream alone", "/live/t/news", target{"t", "news", "", 0, edge.KindOther}, true},

		{"token alone", "/live/t", target{}, false},
		{"token and slash", "/live/t/", target{}, false},
		{"nothing", "/live/", target{}, false},
		{"no token", "/live//news/index.m3u8", target{}, false},
		{"two slashes", "/live/t//news/index.m3u8", target{}, false},
		{"up", "/live/t/news/../sport/index.m3u8", target{}, false},
		{"escaped up", "/live/t/news/%2e%2e/sport/index.m3u8", target{}, false},
		{"up at the end", "/live/t/news/..", target{}, false},
		{"here", "/live/t/./news/index.m3u8", target{}, false},
		{"escaped slash", "/live/t/news%2Findex.m3u8", target{}, false},
		{"escaped slash in lower case", "/live/t%2fnews/index.m3u8", target{}, false},
		{"escaped slash up", "/live/t/news/..%2fsport/index.m3u8", target{}, false},
		{"escaped twice", "/live/t/news/%252e%252e/index.m3u8", target{}, false},
		{"escaped slash twice", "/live/t/news%252findex.m3u8", target{}, false},
		{"percent sign", "/live/t/100%25/index.m3u8", target{}, false},
		{"backslash", `/live/t/news\index.m3u8`, target{}, false},
		{"escaped backslash", "/live/t/news/..%5csport/index.m3u8", target{}, false},
		{"NUL", "/live/t/news%00/index.m3u8", target{}, false},
		{"newline", "/live/t/news/index.m3u8%0a", target{}, false},
		{"delete", "/live/t/news%7f/index.m3u8", target{}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			u, err := url.ParseRequestURI(c.uri)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := parsePath(u)
			if ok != c.ok {
				t.Fatalf("parsed %v, want %v", ok, c.ok)
			}
			if ok && got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestGuards(t *testing.T) {
	cases := []struct {
		name string
		path string
		want bool
	}{
		{"below", "/live/t/news/index.m3u8", true},
		{"nothing below", "/live/", true},
		{"two slashes in front", "//live/t/news/index.m3u8", true},
		{"two slashes behind", "/live//t/news/index.m3u8", true},
		{"here", "/./live/t/news/index.m3u8", true},
		{"up", "/x/../live/t/news/index.m3u8", true},
		{"up beyond the root", "/../live/t/news/index.m3u8", true},
		{"backslash", `\live\t\news\index.m3u8`, true},
		{"backslash up", `/x\..\live/t/news/index.m3u8`, true},
		{"out of it", "/live/../x", true}, // the handler answers for the path as it stands
		{"elsewhere", "/x", false},
		{"root", "/", false},
		{"nothing", "", false},
		{"asterisk", "*", false},
		{"the name without a slash", "/live", false},
		{"a longer name", "/lively/x", false},
		{"another case", "/Live/x", false},
		{"deeper", "/x/live/t", false},
		{"up elsewhere", "/x/../y", false},
		{"a hidden file", "/.well-known/x", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := Guards(c.path); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestHolds(t *testing.T) {
	signature := strings.Repeat("0123456789abcdef", 4)
	for _, tt := range []struct {
		name, target string
		want         bool
	}{
		{"a token in a wrong place", "/..;/live/501:1893459600:" + signature + "/x", true},
		{"with its colons escaped", "/x/501%3A1893459600%3A" + signature, true},
		{"escaped twice", "/x/501%253A1893459600%253A" + signature, true},
		{"a query", "/x?token=501:1893459600:" + signature, true},
		{"an asset with a hash for a name", "/assets/" + signature + ".js", false},
		{"a short hash behind a colon", "/x:" + signature[:40], false},
		{"nothing", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Holds(tt.target); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
