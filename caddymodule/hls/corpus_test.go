package hls_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/headrace/headrace/controlapi/token"
)

// Nothing that an attacker can write into a request line gets anything but what
// the token is for. The requests go out as they stand here: a client would tidy
// them up. TOKEN is one for dead, a stream without segments, which would have to
// wait; so whoever comes to see news has got out of the grant.
func TestURLCorpus(t *testing.T) {
	s := open(t)
	tok := signed(t, func(c *token.Claims) { c.Scope, c.ID = token.OneStream, "dead" })
	last := s.last(t)
	lines := []string{
		"GET /live/TOKEN/news/index.m3u8 HTTP/1.1",
		"GET /live/TOKEN/news/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN/dead/../news/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN/dead/low/../../news/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN/dead/..%2fnews/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN/dead/%2e%2e/news/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN/dead/%2e%2e%2fnews%2flow%2fLAST.ts HTTP/1.1",
		"GET /live/TOKEN/dead/%252e%252e/news/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN/dead/..%252fnews/low/LAST.ts HTTP/1.1",
		`GET /live/TOKEN/dead/..\news/low/LAST.ts HTTP/1.1`,
		"GET /live/TOKEN/dead/..%5cnews%5clow%5cLAST.ts HTTP/1.1",
		"GET /live/TOKEN/news%00/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN/dead%00/../news/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN/news;dead/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN/dead?/../news/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN/dead#/../../news/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN//news/low/LAST.ts HTTP/1.1",
		"GET //live/TOKEN/news/low/LAST.ts HTTP/1.1",
		"GET /./live/TOKEN/news/low/LAST.ts HTTP/1.1",
		"GET /x/../live/TOKEN/news/low/LAST.ts HTTP/1.1",
		"GET /live/./TOKEN/news/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN/./news/low/LAST.ts HTTP/1.1",
		"GET /LIVE/TOKEN/news/low/LAST.ts HTTP/1.1",
		"GET /live%2fTOKEN/news/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN%2fnews/low/LAST.ts HTTP/1.1",
		"GET http://elsewhere.example/live/TOKEN/news/low/LAST.ts HTTP/1.1",
		"GET http:///live/TOKEN/news/low/LAST.ts HTTP/1.1",
		"GET live/TOKEN/news/low/LAST.ts HTTP/1.1",
		"GET * HTTP/1.1",
		"OPTIONS /live/TOKEN/news/low/LAST.ts HTTP/1.1",
		"HEAD /live/TOKEN/news/low/LAST.ts HTTP/1.1",
		"CONNECT /live/TOKEN/news/low/LAST.ts HTTP/1.1",
		"GET /live//news/low/LAST.ts HTTP/1.1",
		"GET /live/news/low/LAST.ts HTTP/1.1",
		"GET /live/-/news/low/LAST.ts HTTP/1.1",
		"GET /live/%00/news/low/LAST.ts HTTP/1.1",
		"GET /live/TOKENTOKEN/news/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN,TOKEN/news/low/LAST.ts HTTP/1.1",
		"GET /live/" + strings.Repeat("A", 16<<10) + "/news/low/LAST.ts HTTP/1.1",
		"GET /live/" + strings.Repeat("%3A", 5<<10) + "/news/low/LAST.ts HTTP/1.1",
		"GET /live/TOKEN/" + strings.Repeat("news/", 3<<10) + "LAST.ts HTTP/1.1",
		"GET /live/TOKEN/news/low/LAST.ts HTTP/1.1\r\n" + strings.TrimSuffix(strings.Repeat("X-Original-Url: /live/x/dead/low/LAST.ts\r\n", 100), "\r\n"),
		"GET /live/TOKEN/news/low/LAST.ts HTTP/1.1\r\nX-Http-Method-Override: OPTIONS",
		"GET /live/TOKEN/news/low/LAST.ts HTTP/1.1\r\nHeadrace-Relay: edge-2",
		"GET /live/TOKEN/news/low/LAST.ts HTTP/1.0",
	}
	for _, text := range lines {
		request := strings.NewReplacer("TOKEN", tok, "LAST", fmt.Sprint(last)).Replace(text)
		name, _, _ := strings.Cut(text, "\r")
		t.Run(name[:min(len(name), 80)], func(t *testing.T) {
			status, body := s.raw(t, request)
			if status < 400 {
				t.Errorf("status %d with %d bytes", status, len(body))
			}
		})
	}
	// The same by a good token is there, so the test above could have failed.
	if status, _ := s.raw(t, fmt.Sprintf("GET %s HTTP/1.1", live(t, "/news/low/%d.ts", last))); status != 200 {
		t.Errorf("status %d by a good token, want 200", status)
	}
}

// raw sends a request line, and header fields behind it if there are any.
func (s *site) raw(tb testing.TB, request string) (int, string) {
	tb.Helper()
	conn, err := new(net.Dialer).DialContext(tb.Context(), "unix", socket(s.folder))
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request+"\r\nHost: edge-1.example.com\r\nConnection: close\r\n\r\n"); err != nil {
		tb.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		tb.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return answer.StatusCode, string(body)
}
