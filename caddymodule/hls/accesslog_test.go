package hls_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace/headrace/caddymodule/internal/edgetest"
	"github.com/headrace/headrace/controlapi/token"
)

// log returns all that the site has logged so far, at the debug level.
func (s *site) log(tb testing.TB) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(s.folder, "log"))
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// line is what is looked at in a line of the access log.
type line struct {
	Logger  string
	Msg     string
	Status  int
	UserID  string `json:"user_id"`
	Size    int
	Request struct {
		Method  string
		URI     string
		Headers http.Header
	}
}

// Each request has one line in the access log, under any configuration of it, and
// none has the token: neither there nor in another log.
func TestAccessLog(t *testing.T) {
	s := open(t)
	good := signed(t, func(c *token.Claims) { c.User = "logged" })
	forged := strings.Replace(good, "ulogged", "uforger", 1)
	cases := []struct {
		name   string
		method string
		path   string
		header string
		status int
		user   string
		uri    string
	}{
		{"accepted", "GET", "/live/" + good + "/news/index.m3u8", "", 200, "r1/logged", "/live/r1:logged:k1/news/index.m3u8"},
		{"with a query", "GET", "/live/" + good + "/news/low/index.m3u8?_HLS_msn=1", "", 200, "r1/logged", "/live/r1:logged:k1/news/low/index.m3u8?_HLS_msn=1"},
		{"escaped", "GET", "/live/" + strings.ReplaceAll(good, ":", "%3A") + "/news/low/index.m3u8", "", 200, "r1/logged", "/live/r1:logged:k1/news/low/index.m3u8"},
		{"not there", "GET", "/live/" + good + "/news/low/1.ts", "", 404, "r1/logged", "/live/r1:logged:k1/news/low/1.ts"},
		{"another method", "DELETE", "/live/" + good + "/news/low/2.ts", "", 405, "r1/logged", "/live/r1:logged:k1/news/low/2.ts"},
		{"refused", "GET", "/live/" + forged + "/news/low/3.ts", "", 403, "", "/live/refused:bad_signature/news/low/3.ts"},
		{"another stream", "GET", "/live/" + good + "/sport/low/4.ts", "", 403, "", "/live/refused:not_entitled/sport/low/4.ts"},
		{"token in the wrong place", "GET", "/live/news/" + good + "/5.ts", "", 403, "", "/live/refused:malformed/-/5.ts"},
		{"token in the query", "GET", "/live/x/news/low/6.ts?token=" + good, "", 403, "", "/live/refused:malformed/news/low/6.ts?-"},
		{"escaped twice", "GET", "/live/" + strings.ReplaceAll(good, ":", "%253a") + "/news/7.ts", "", 403, "", "/live/refused:malformed/news/7.ts"},
		{"two slashes", "GET", "//live/" + good + "/news/low/8.ts", "", 403, "", "//live/-/news/low/8.ts"},
		{"referer", "GET", "/live/" + good + "/news/low/9.ts", "Referer: https://edge/live/" + good + "/news/index.m3u8", 404, "r1/logged", "/live/r1:logged:k1/news/low/9.ts"},
		{"proxy's header", "GET", "/live/" + good + "/news/low/10.ts", "X-Original-Uri: /live/" + good + "/news/low/10.ts", 404, "r1/logged", "/live/r1:logged:k1/news/low/10.ts"},
	}
	before := len(s.log(t))
	for _, c := range cases {
		var header []string
		if c.header != "" {
			header = append(header, c.header)
		}
		answer := s.do(t, c.method, c.path, header...)
		if answer.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d", c.name, answer.StatusCode, c.status)
		}
	}
	edgetest.Until(t, "the line of the last request", func() bool { return strings.Contains(s.log(t), "/10.ts") })

	text := s.log(t)[before:]
	for _, secret := range []string{good, good[len(good)-64:], forged, strings.ReplaceAll(good, ":", "%3A")} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds a token or its signature: %s", around(text, secret))
		}
	}
	lines := make(map[string][]line)
	for _, raw := range strings.Split(strings.TrimSpace(text), "\n") {
		var l line
		if err := json.Unmarshal([]byte(raw), &l); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(l.Logger, "http.log.access") {
			lines[l.Request.URI] = append(lines[l.Request.URI], l)
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := lines[c.uri]
			if len(got) != 1 {
				t.Fatalf("%d lines for %s, want 1; there are %v", len(got), c.uri, lines)
			}
			l := got[0]
			if l.Logger != "http.log.access.site" || l.Msg != "handled request" || l.Status != c.status || l.UserID != c.user || l.Request.Method != c.method {
				t.Errorf("got %+v", l)
			}
		})
	}
}

// around returns the line of text that holds what, for a message.
func around(text, what string) string {
	for _, l := range strings.Split(text, "\n") {
		if strings.Contains(l, what) {
			return l
		}
	}
	return ""
}
