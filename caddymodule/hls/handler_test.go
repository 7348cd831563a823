package hls_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/caddymodule/internal/edgetest"
	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest/playlist"
)

// always is in every answer.
var always = map[string]string{
	"Access-Control-Allow-Origin":   "*",
	"Access-Control-Expose-Headers": "Age, Date, Content-Length, Content-Range",
	"Timing-Allow-Origin":           "*",
	"Referrer-Policy":               "no-referrer",
	"X-Content-Type-Options":        "nosniff",
	"Server":                        "Caddy",
}

func TestAnswers(t *testing.T) {
	s := open(t)
	last := s.last(t)
	const any = "(any)"
	list := map[string]string{"Content-Type": "application/vnd.apple.mpegurl", "Vary": "Accept-Encoding", "Etag": any, "Content-Length": any}
	segment := map[string]string{
		"Content-Type": "video/mp2t", "Cache-Control": "public, max-age=3600, immutable",
		"Accept-Ranges": "bytes", "Content-Length": any,
	}
	text := map[string]string{"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", "Content-Length": any}
	empty := map[string]string{"Cache-Control": "no-store", "Content-Length": "0"}
	with := func(header map[string]string, name, value string) map[string]string {
		c := map[string]string{name: value}
		for k, v := range header {
			if k != name {
				c[k] = v
			}
		}
		return c
	}
	cases := []struct {
		name   string
		method string
		path   string
		header []string
		status int
		want   map[string]string
	}{
		{"multivariant", "GET", live(t, "/news/index.m3u8"), nil, 200, with(list, "Cache-Control", "max-age=30")},
		{"playlist", "GET", live(t, "/news/low/index.m3u8"), nil, 200, with(list, "Cache-Control", "max-age=1")},
		{
			"playlist packed", "GET", live(t, "/news/low/index.m3u8"),
			[]string{"Accept-Encoding: br, gzip"},
			200,
			with(with(list, "Cache-Control", "max-age=1"), "Content-Encoding", "gzip"),
		},
		{"segment", "GET", live(t, "/news/low/%d.ts", last), nil, 200, segment},
		{"segment is never packed", "GET", live(t, "/news/low/%d.ts", last), []string{"Accept-Encoding: gzip"}, 200, segment},
		{
			"part of a segment", "GET", live(t, "/news/low/%d.ts", last),
			[]string{"Range: bytes=188-375"},
			206,
			with(with(segment, "Content-Range", any), "Content-Length", "188"),
		},
		{"parts of a segment", "GET", live(t, "/news/low/%d.ts", last), []string{"Range: bytes=0-187,376-563"}, 200, segment},
		{"part if it is the same", "GET", live(t, "/news/low/%d.ts", last), []string{"Range: bytes=0-187", `If-Range: "1"`}, 200, segment},
		{
			"part beyond a segment", "GET", live(t, "/news/low/%d.ts", last),
			[]string{"Range: bytes=999999999-"},
			416,
			with(with(empty, "Content-Range", any), "Accept-Ranges", "bytes"),
		},
		{"head of a playlist", "HEAD", live(t, "/news/low/index.m3u8"), nil, 200, with(list, "Cache-Control", "max-age=1")},
		{"head of a segment", "HEAD", live(t, "/news/low/%d.ts", last), nil, 200, segment},
		{"head has no parts", "HEAD", live(t, "/news/low/%d.ts", last), []string{"Range: bytes=188-375"}, 200, segment},
		{"head of the endless", "HEAD", live(t, "/news/low/live.ts"), nil, 200, map[string]string{
			"Content-Type": "video/mp2t", "Cache-Control": "no-store", "Accept-Ranges": "none",
		}},
		{"preflight", "OPTIONS", live(t, "/news/low/index.m3u8"), nil, 204, map[string]string{
			"Allow": "GET, HEAD, OPTIONS", "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
			"Access-Control-Allow-Headers": "*", "Access-Control-Max-Age": "86400", "Cache-Control": "no-store",
		}},
		{"post", "POST", live(t, "/news/low/index.m3u8"), nil, 405, with(empty, "Allow", "GET, HEAD, OPTIONS")},
		{"delete", "DELETE", live(t, "/news/low/%d.ts", last), nil, 405, with(empty, "Allow", "GET, HEAD, OPTIONS")},

		{"segment to come", "GET", live(t, "/news/low/%d.ts", last+1000), nil, 404, text},
		{"segment of long ago", "GET", live(t, "/news/low/1.ts"), nil, 404, text},
		{"no such rendition", "GET", live(t, "/news/high/index.m3u8"), nil, 404, text},
		{"segment of no such rendition", "GET", live(t, "/news/high/%d.ts", last), nil, 404, text},
		{"endless of no such rendition", "GET", live(t, "/news/high/live.ts"), nil, 404, text},
		{"no such resource", "GET", live(t, "/news/low/master.m3u8"), nil, 404, text},
		{"the stream alone", "GET", live(t, "/news"), nil, 404, text},
		{"_HLS_msn that is no number", "GET", live(t, "/news/low/index.m3u8?_HLS_msn=x"), nil, 400, text},
		{"_HLS_msn far ahead", "GET", live(t, "/news/low/index.m3u8?_HLS_msn=%d", last+1000), nil, 400, text},

		{"no such stream", "GET", live(t, "/sport/index.m3u8"), nil, 403, empty},
		{"another's token", "GET", "/live/" + strings.Replace(signed(t, nil), "uann", "ubob", 1) + "/news/index.m3u8", nil, 403, empty},
		{"preflight without a token", "OPTIONS", "/live/x/news/index.m3u8", nil, 403, empty},
		{"post without a token", "POST", "/live/x/news/index.m3u8", nil, 403, empty},
		{"play token for a relay", "GET", live(t, "/news/index.m3u8"), []string{"Headrace-Relay: edge-2"}, 403, empty},
		{"outside", "GET", "/", nil, 404, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			answer := s.do(t, c.method, c.path, c.header...)
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != c.status {
				t.Errorf("status %d, want %d", answer.StatusCode, c.status)
			}
			if c.want == nil {
				if string(body) != "next" {
					t.Errorf("body %q, want that of the next handler", body)
				}
				return
			}
			got := make(map[string]string)
			for name, values := range answer.Header {
				if name != "Date" && always[name] != values[0] {
					got[name] = strings.Join(values, " and ")
				}
				if c.want[name] == any {
					got[name] = any
				}
			}
			for name := range always {
				if answer.Header.Get(name) != always[name] {
					t.Errorf("%s: %q, want %q", name, answer.Header.Get(name), always[name])
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			length := answer.Header.Get("Content-Length")
			if c.method != "HEAD" && length != "" && length != strconv.Itoa(len(body)) {
				t.Errorf("%d bytes, Content-Length %s", len(body), length)
			}
			if c.method == "HEAD" && len(body) > 0 {
				t.Errorf("%d bytes in answer to HEAD", len(body))
			}
		})
	}
}

func TestPlaylistBodies(t *testing.T) {
	s := open(t)
	path := live(t, "/news/low/index.m3u8")
	// Both have to come from between the same two segments.
	var plain, packed string
	edgetest.Until(t, "two answers for one list", func() bool {
		before := s.last(t)
		_, plain = s.get(t, path)
		_, packed = s.get(t, path, "Accept-Encoding: gzip")
		return s.last(t) == before
	})
	z, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain, string(unpacked)); diff != "" {
		t.Errorf("packed list differs (-plain +packed):\n%s", diff)
	}
	list, err := playlist.ParseMedia([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range list.Segments {
		status, body := s.get(t, live(t, "/news/low/%s", entry.URI))
		if status != 200 || len(body)%188 != 0 || !strings.HasPrefix(body, "G") {
			t.Errorf("%s: status %d, %d bytes", entry.URI, status, len(body))
		}
	}
	_, multivariant := s.get(t, live(t, "/news/index.m3u8"))
	variants, err := playlist.ParseMultivariant([]byte(multivariant))
	if err != nil {
		t.Fatal(err)
	}
	if got := variants.Variants[0].URI; got != "low/index.m3u8" {
		t.Errorf("variant %q, want low/index.m3u8", got)
	}
	for _, text := range []string{plain, multivariant} {
		if strings.Contains(text, "k1.r1") {
			t.Errorf("a playlist holds the token:\n%s", text)
		}
	}
}

func TestNotModified(t *testing.T) {
	s := open(t)
	for _, packed := range []string{"Accept-Encoding: identity", "Accept-Encoding: gzip"} {
		for _, path := range []string{live(t, "/news/index.m3u8"), live(t, "/news/low/index.m3u8")} {
			edgetest.Until(t, "304", func() bool { // unless a segment comes in between
				first := s.do(t, "GET", path, packed)
				etag := first.Header.Get("Etag")
				_, _ = io.Copy(io.Discard, first.Body)
				again := s.do(t, "GET", path, packed, `If-None-Match: "x", W/`+etag)
				if again.StatusCode != http.StatusNotModified {
					return false
				}
				got := again.Header
				if got.Get("Etag") != etag || got.Get("Vary") == "" || got.Get("Cache-Control") == "" || got.Get("Content-Encoding") != "" {
					t.Errorf("header of the 304: %v", got)
				}
				return true
			})
			if status, _ := s.get(t, path, `If-None-Match: "x"`); status != 200 {
				t.Errorf("status %d for another ETag, want 200", status)
			}
		}
	}
}

func TestPartsOfSegment(t *testing.T) {
	s := open(t)
	path := live(t, "/news/low/%d.ts", s.last(t))
	_, whole := s.get(t, path)
	size := len(whole)
	cases := []struct {
		asked      string
		start, end int
	}{
		{"bytes=0-0", 0, 1},
		{"bytes=188-375", 188, 376},
		{"bytes=188-", 188, size},
		{"bytes=-188", size - 188, size},
		{"bytes=0-999999999", 0, size},
	}
	for _, c := range cases {
		t.Run(c.asked, func(t *testing.T) {
			answer := s.do(t, "GET", path, "Range: "+c.asked)
			body, _ := io.ReadAll(answer.Body)
			if want := fmt.Sprintf("bytes %d-%d/%d", c.start, c.end-1, size); answer.Header.Get("Content-Range") != want {
				t.Errorf("Content-Range %q, want %q", answer.Header.Get("Content-Range"), want)
			}
			if !bytes.Equal(body, []byte(whole[c.start:c.end])) {
				t.Errorf("%d bytes, not those from %d to %d", len(body), c.start, c.end)
			}
		})
	}
}

func TestWaitForSegment(t *testing.T) {
	s := open(t)
	next := s.last(t) + 1
	status, body := s.get(t, live(t, "/news/low/index.m3u8?x=1&_HLS_msn=%d", next))
	if status != 200 {
		t.Fatalf("status %d: %s", status, body)
	}
	if !strings.Contains(body, fmt.Sprintf("\n%d.ts\n", next)) {
		t.Errorf("the list comes without %d.ts:\n%s", next, body)
	}
	status, _ = s.get(t, live(t, "/news/low/index.m3u8?_HLS_msn=1")) // left the list long ago
	if status != 200 {
		t.Errorf("status %d for an old segment, want 200", status)
	}
}

// A viewer who leaves is waited for by nobody.
func TestWaitIsCancelled(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", "http://edge"+live(t, "/dead/index.m3u8"), nil)
	if answer, err := s.client.Do(r); err == nil {
		t.Errorf("status %d, want none", answer.StatusCode)
	}
	edgetest.Until(t, "the line of a viewer who left", func() bool { return strings.Contains(s.log(t), `"status":499`) })
}

func TestStreamWithoutSegments(t *testing.T) {
	s := open(t)
	began := time.Now()
	answer := s.do(t, "GET", live(t, "/dead/index.m3u8"))
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") != "1" {
		t.Errorf("status %d, Retry-After %q; want 503 and 1", answer.StatusCode, answer.Header.Get("Retry-After"))
	}
	if answer.Header.Get("Cache-Control") != "no-store" || answer.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("header %v", answer.Header)
	}
	target := s.host(t).Engine().Lookup("dead").TargetDuration()
	if took := time.Since(began); took < 3*target-time.Second || took > 3*target+5*time.Second {
		t.Errorf("answered after %v, want three target durations, %v", took, 3*target)
	}
}

// Beyond so many requests that wait, others are told to come back.
func TestWaitingIsBounded(t *testing.T) {
	open(t)
	c := newChain(t)
	c.handler.MaxWaiting = 1
	answer := func(ctx context.Context) int {
		r := newCaddyRequest(live(t, "/dead/index.m3u8"))
		r = r.WithContext(context.WithValue(ctx, caddyhttp.VarsCtxKey, r.Context().Value(caddyhttp.VarsCtxKey)))
		if !c.matcher.Match(r) {
			t.Error("not matched")
		}
		w := &sink{header: make(http.Header)}
		if err := c.handler.ServeHTTP(w, r, nil); err != nil {
			t.Error(err)
		}
		return w.status
	}
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan int)
	go func() { left <- answer(ctx) }()
	edgetest.Until(t, "one waits", func() bool { return c.handler.Waiting() == 1 })
	if got := answer(t.Context()); got != http.StatusServiceUnavailable {
		t.Errorf("status %d for a second one, want 503", got)
	}
	cancel()
	if got := <-left; got != 0 {
		t.Errorf("status %d for the first one, who left; want none", got)
	}
	if got := c.handler.Waiting(); got != 0 {
		t.Errorf("%d still wait", got)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	s := open(t)
	tok := func(session string) string {
		return signed(t, func(c *token.Claims) { c.User, c.Session, c.Max = "bob", session, 1 })
	}
	if status, _ := s.get(t, "/live/"+tok("j1")+"/news/index.m3u8"); status != 200 {
		t.Errorf("first session: status %d, want 200", status)
	}
	if status, _ := s.get(t, "/live/"+tok("j2")+"/news/index.m3u8"); status != 403 {
		t.Errorf("second session: status %d, want 403", status)
	}
	if status, _ := s.get(t, "/live/"+tok("j1")+"/news/low/index.m3u8"); status != 200 {
		t.Errorf("first session again: status %d, want 200", status)
	}
}

// The client's address is the one that a trusted proxy gives.
func TestClientAddress(t *testing.T) {
	s := open(t)
	tok := signed(t, func(c *token.Claims) { c.User, c.Max = "carol", 1 })
	for client, want := range map[string]int{"203.0.113.9": 200, "::ffff:203.0.113.9": 200} {
		if status, _ := s.get(t, "/live/"+tok+"/news/index.m3u8", "X-Forwarded-For: "+client); status != want {
			t.Errorf("%s: status %d, want %d", client, status, want)
		}
	}
	if status, _ := s.get(t, "/live/"+tok+"/news/index.m3u8", "X-Forwarded-For: 203.0.113.10"); status != 403 {
		t.Errorf("another address: status %d, want 403", status)
	}
}

func TestHTTP2(t *testing.T) {
	s := open(t)
	path := live(t, "/news/low/%d.ts", s.last(t))
	_, want := s.get(t, path)
	transport := newClient(s.folder).Transport.(*http.Transport)
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetUnencryptedHTTP2(true)
	two := &site{s.folder, &http.Client{Transport: transport}}
	defer two.client.CloseIdleConnections()
	answer := two.do(t, "GET", path)
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.ProtoMajor != 2 {
		t.Fatalf("HTTP/%d, error %v", answer.ProtoMajor, err)
	}
	if string(body) != want {
		t.Errorf("%d bytes, others than the %d of HTTP/1", len(body), len(want))
	}
	for range 20 { // readers who leave amid a segment
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://edge"+path, nil)
		if answer, err := two.client.Do(r); err == nil {
			_, _ = io.ReadFull(answer.Body, make([]byte, 188))
			_ = answer.Body.Close()
		}
		cancel()
	}
	if _, again := two.get(t, path); again != want {
		t.Error("the segment has other bytes after readers left amid it")
	}
}
