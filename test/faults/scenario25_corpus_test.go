package faults

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// TestScenario25Corpus sends requests that try to reach what their token does not
// cover, over raw sockets so that no client tidies them up (promise 2; threat model
// 3, 11, 14). None may get an answer of 2xx, none may make the edge panic or
// answer 5xx, and its log, with an access log and at debug level, holds no token.
func TestScenario25Corpus(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	streams := []edge.Stream{
		s.stream("s25-mine", origin.Recipe{}, origin.Options{}),
		s.stream("s25-other", origin.Recipe{}, origin.Options{}),
	}
	// The last word has what no other handler has taken: 404.
	n := edge.Start(t, edge.Config{Streams: streams, Site: []string{"log", "respond 404"}})
	n.AwaitLive(30 * time.Second)
	mine := n.Mint(edge.Claims("s25-mine"))
	other := n.Mint(edge.Claims("s25-other"))
	msn := n.Streams()["s25-other"].LastMSN

	requests := corpus(mine, other, msn)
	counts := make(map[int]int)
	for _, target := range requests {
		status := rawGet(t, n.Address(), target, "")
		counts[status]++
		if status/100 == 2 || status/100 == 5 {
			t.Errorf("%.200q: got status %d", target, status)
		}
	}
	// What a request carries beside its path must not open or break anything either.
	forbidden := fmt.Sprintf("/live/%s/s25-other/index.m3u8", mine)
	for name, header := range hostileHeaders(mine, other) {
		status := rawGet(t, n.Address(), forbidden, header)
		counts[status]++
		if status/100 == 2 || status/100 == 5 {
			t.Errorf("%s: got status %d", name, status)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE", "PROPFIND", "get", "G\x00T"} {
		status := raw(t, n.Address(), fmt.Sprintf("%s /live/%s/s25-mine/index.m3u8 HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n", method, mine))
		counts[status]++
		if status/100 == 2 || status/100 == 5 && status != http.StatusNotImplemented {
			t.Errorf("method %q: got status %d", method, status)
		}
	}
	// The corpus proves nothing unless the same token opens its own stream.
	if status := rawGet(t, n.Address(), fmt.Sprintf("/live/%s/s25-mine/index.m3u8", mine), ""); status != http.StatusOK {
		t.Errorf("the token's own stream: got status %d, want 200", status)
	}
	if status := rawGet(t, n.Address(), fmt.Sprintf("/live/%s/s25-mine/index.m3u8", strings.ReplaceAll(mine, ":", "%3A")), ""); status != http.StatusOK {
		t.Errorf("the token's own stream, with escaped colons: got status %d, want 200", status)
	}

	log := n.Log()
	for name, secret := range map[string]string{"a token": mine, "another token": other, "a signature": mine[len(mine)-64:], "an escaped token": url.PathEscape(mine)} {
		if bytes.Contains(log, []byte(secret)) {
			t.Errorf("the log holds %s", name)
		}
	}
	for _, word := range []string{"panic", "goroutine 1 ["} {
		if bytes.Contains(log, []byte(word)) {
			t.Errorf("the log holds %q", word)
		}
	}
	if !bytes.Contains(log, []byte("handled request")) {
		t.Error("the log holds no requests at all: it was not put to the test")
	}
	if n.Exited() {
		t.Error("the edge ended")
	}
	t.Logf("figures: %d requests, statuses %v", len(requests), counts)
}

// corpus is request targets that must not be served. Each tries to reach the other
// stream with the first token, or something that is no resource with a good one.
func corpus(mine, other string, msn int64) (targets []string) {
	media := fmt.Sprintf("source/%d.ts", msn)
	// Ways from a path that the token covers to one that it does not.
	for _, up := range []string{
		"..", "%2e%2e", ".%2e", "%252e%252e", "..%2f..", "..%5c", "..\\", "..;", "..%00", "%c0%ae%c0%ae", "..%c0%af", "…", "%u002e%u002e", "..%09", "..%0d%0a",
	} {
		for _, rest := range []string{"index.m3u8", "source/index.m3u8", media, "source/live.ts"} {
			targets = append(targets,
				fmt.Sprintf("/live/%s/s25-mine/%s/s25-other/%s", mine, up, rest),
				fmt.Sprintf("/live/%s/s25-mine/source/%s/%s/s25-other/%s", mine, up, up, rest),
				fmt.Sprintf("/live/%s/%s/%s/s25-other/%s", mine, up, mine, rest),
				fmt.Sprintf("/%s/live/%s/s25-other/%s", up, mine, rest),
				fmt.Sprintf("/live/%s/s25-other%s%s", mine, up, rest),
			)
		}
	}
	// Spellings of the stream, the separators and the prefix.
	for _, stream := range []string{
		"s25-other", "s25-mine%2f..%2fs25-other", "s25-mine/../s25-other", "s25-mine%00s25-other", "s25-mine,s25-other", "s25-mine;s25-other", "s25-mine%20",
		"S25-MINE", "s25-mine.", "s25-min%65%2e", "s25-mine%0a", "s25-mine\t", "*", "%2a", ".", "%2e", "-", "s25-mine%23", "s25-mine%3f", "%73%32%35%2d%6f%74%68%65%72",
	} {
		for _, rest := range []string{"index.m3u8", "source/index.m3u8", media} {
			targets = append(targets, fmt.Sprintf("/live/%s/%s/%s", mine, stream, rest), fmt.Sprintf("/live/%s/%s//%s", mine, stream, rest))
		}
	}
	// Tokens that are none.
	for _, token := range []string{
		"", "x", ":", "::", ":::", mine + ":", ":" + mine, mine + ":" + other, mine + "%0a", mine + "%20", mine + "%00", " " + mine, strings.ToUpper(mine),
		mine[:len(mine)-1], mine + "0", mine[:len(mine)-64], mine[:len(mine)-65] + ":" + strings.Repeat("0", 64), other[:len(other)-64] + mine[len(mine)-64:],
		strings.Replace(mine, "s25-mine", "s25-other", 1), strings.Replace(mine, ".ss25-mine", ".a", 1), strings.ReplaceAll(mine, ":", "%253A"),
		strings.ReplaceAll(mine, ":", "%3a%00"), strings.Repeat("a", 16<<10), strings.Repeat("1.k", 5000), strings.Repeat("%41", 5000), strings.Repeat(":", 16<<10),
		"1.kk1.rr1.uviewer.a:9999999999:" + strings.Repeat("0", 64), "a:9:" + strings.Repeat("0", 64), "%ff%fe", "\xff\xfe", "💣", "null", "undefined", "{token}", "{http.request.uri}",
		"{env.HOME}", "${jndi:ldap://e}", "' OR 1=1 --", "<script>", "..", "%2e%2e", "%2f", "\\",
	} {
		targets = append(targets, "/live/"+escapeSpaces(token)+"/s25-mine/index.m3u8", "/live/"+escapeSpaces(token)+"/s25-mine/source/"+fmt.Sprintf("%d.ts", msn))
	}
	// A good token and no such thing.
	for _, rest := range []string{
		"", "source", "source/", "source/.ts", "source/-1.ts", "source/0.ts", "source/+1.ts", "source/1e9.ts", "source/99999999999999999999.ts", fmt.Sprintf("source/0%d.ts", msn),
		fmt.Sprintf("source/%d.ts/", msn), fmt.Sprintf("source/%d.TS", msn), fmt.Sprintf("source/%d.ts%%00", msn), fmt.Sprintf("source/%d.m4s", msn), "source/index.m3u8/", "source/index.m3u8%00",
		"source/INDEX.M3U8", "nosuch/index.m3u8", "nosuch/1.ts", "../index.m3u8/..", "source/key", "source/../../../../etc/passwd", "source/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
		"source/file:///etc/passwd", "source/..%5c..%5cwindows", "master.m3u8", ".git/config", "source/live.ts/x", "live.ts", "index.m3u8.gz", strings.Repeat("a/", 2000), strings.Repeat("../", 2000),
	} {
		targets = append(targets, fmt.Sprintf("/live/%s/s25-mine/%s", mine, rest))
	}
	// Queries that are no number, or no number that can be waited for.
	for _, query := range []string{"x", "-1", "1e3", "", "99999999999999999999", "%00", "1&_HLS_msn=2", fmt.Sprint(msn + 1000)} {
		targets = append(targets, fmt.Sprintf("/live/%s/s25-mine/source/index.m3u8?_HLS_msn=%s", mine, query))
	}
	// Elsewhere in the request, a good token opens nothing.
	return append(targets,
		"/live/?token="+mine, "/live//s25-mine/index.m3u8?token="+mine, "/live/x/s25-mine/index.m3u8?token="+mine+"&token="+mine, "//live/"+mine+"/s25-other/index.m3u8",
		"/LIVE/"+mine+"/s25-mine/index.m3u8", "/live%2f"+mine+"/s25-other/index.m3u8", "/%6cive/"+mine+"/s25-other/index.m3u8", "/live;/"+mine+"/s25-other/index.m3u8",
		"/./live/"+mine+"/s25-other/index.m3u8", "http://other/live/"+mine+"/s25-other/index.m3u8", "*", "live", "/live", "/live/", "/live//", "/live///", "/live/%2f%2f", "/-/../live/"+mine+"/s25-other/index.m3u8",
		"/-/unknown", "/-/", "/-/health/../live", "/-/ready%00", "/edge/streams", "/config/", "/debug/pprof/", "/metrics", "/live/"+mine, "/live/"+mine+"/", "/live/"+mine+"/s25-mine",
	)
}

// escapeSpaces keeps a target one word of the request line.
func escapeSpaces(s string) string { return strings.ReplaceAll(s, " ", "%20") }

// hostileHeaders are headers beside a request that must be refused.
func hostileHeaders(mine, other string) map[string]string {
	return map[string]string{
		"a hundred headers":                strings.Repeat("X-A: b\r\n", 100),
		"a large header":                   "X-A: " + strings.Repeat("b", 100<<10) + "\r\n",
		"a token in Authorization":         "Authorization: Bearer " + other + "\r\n",
		"a token in a cookie":              "Cookie: token=" + other + "\r\n",
		"a rewritten URI":                  "X-Original-URL: /live/" + other + "/s25-other/index.m3u8\r\nX-Rewrite-URL: /live/" + other + "/s25-other/index.m3u8\r\n",
		"another method":                   "X-HTTP-Method-Override: OPTIONS\r\n",
		"a relay that is none":             "Headrace-Relay: edge-2\r\n",
		"a relay of many":                  strings.Repeat("Headrace-Relay: edge-2\r\n", 50),
		"another address":                  "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n",
		"a range":                          "Range: bytes=0-0,1-1,2-2," + strings.Repeat("3-3,", 1000) + "4-4\r\n",
		"a header with a token and a line": "Referer: http://e/live/" + mine + "/s25-mine/\r\nX-A: a\r\n b\r\n",
		"a chunked body":                   "Transfer-Encoding: chunked\r\n",
		"two lengths":                      "Content-Length: 1\r\nContent-Length: 2\r\n",
		"a length and chunks":              "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
	}
}

// rawGet makes a GET request as it stands and returns the status.
func rawGet(t *testing.T, address, target, header string) int {
	t.Helper()
	return raw(t, address, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n", target, address, header))
}

// raw sends bytes and returns the status of the answer; 0 if there was none, as
// for bytes that are no request.
func raw(t *testing.T, address, request string) int {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return 0 // refused before it was read to its end
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
