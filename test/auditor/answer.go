package auditor

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxPlaylist bounds what is read as a playlist.
const maxPlaylist = 1 << 20

// answer is an HTTP answer whose body is read.
type answer struct {
	status         int
	header         http.Header
	length         int64 // Content-Length, -1 if not given
	body           []byte
	sent, received time.Time
	base           *url.URL // where it came from, redirects followed
}

// get makes one request and reads its whole answer. Transparent decompression is
// off, because what crosses the wire is judged.
func (a *Auditor) get(ctx context.Context, address string, header http.Header) (*answer, error) {
	var body []byte
	ans, err := a.exchange(ctx, address, header, func(r io.Reader) (err error) {
		body, err = io.ReadAll(io.LimitReader(r, maxPlaylist))
		return err
	})
	if err == nil {
		ans.body = body
	}
	return ans, err
}

// exchange makes one request whose body goes to read. It counts what happens.
func (a *Auditor) exchange(ctx context.Context, address string, header http.Header, read func(io.Reader) error) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, a.options.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, bare(err)
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if req.Header.Get("Accept-Encoding") == "" {
		req.Header.Set("Accept-Encoding", "identity")
	}
	ans := &answer{sent: time.Now()}
	resp, err := a.options.Client.Do(req)
	if err == nil {
		defer resp.Body.Close()
		err = read(resp.Body)
	}
	ans.received = time.Now()
	a.count(resp, err)
	if err != nil {
		return nil, bare(err)
	}
	ans.status, ans.header, ans.length = resp.StatusCode, resp.Header, resp.ContentLength
	ans.base = resp.Request.URL
	return ans, nil
}

// count takes one exchange into the report.
func (a *Auditor) count(resp *http.Response, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Requests++
	switch {
	case err != nil:
		a.report.Errors++
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotModified:
		a.report.NonOK[resp.StatusCode]++
	}
}

// bare takes the address out of an error: it holds a viewer's token.
func bare(err error) error {
	var with *url.Error
	if errors.As(err, &with) {
		return with.Err
	}
	return err
}

// relative returns a name that may be shown: what stands below the playlist, but
// no absolute address, which may hold a token.
func relative(name string) string {
	if strings.Contains(name, "/") {
		return "an address with a slash"
	}
	return fmt.Sprintf("%q", name)
}

// checkMultivariant judges the headers of a multivariant playlist.
func (ans *answer) checkMultivariant() []finding {
	return append(ans.checkCORS(), ans.checkPlaylist("max-age=30", "no-store")...)
}

// checkMedia judges the headers of a media playlist.
func (ans *answer) checkMedia(target int) []finding {
	found := append(ans.checkCORS(), ans.checkPlaylist("max-age=1", "no-cache")...)
	if etag := strings.TrimPrefix(ans.header.Get("ETag"), "W/"); len(etag) < 3 || etag[0] != '"' || etag[len(etag)-1] != '"' {
		found = append(found, finding{RuleHeaders, noMSN, "a media playlist has no ETag"})
	}
	// A client takes a list that is older than 3 target durations for stale
	// (HLS Authoring Specification 8.24).
	modified, err1 := http.ParseTime(ans.header.Get("Last-Modified"))
	date, err2 := http.ParseTime(ans.header.Get("Date"))
	if err1 == nil && err2 == nil && date.Sub(modified) > 3*time.Duration(target)*time.Second {
		found = append(found, finding{RuleHeaders, noMSN, "Last-Modified lies more than 3 target durations before Date"})
	}
	return found
}

// checkPlaylist judges what both kinds of playlist have in common.
func (ans *answer) checkPlaylist(cache ...string) (found []finding) {
	if got, _, _ := mime.ParseMediaType(ans.header.Get("Content-Type")); got != "application/vnd.apple.mpegurl" {
		found = append(found, finding{RuleHeaders, noMSN, fmt.Sprintf("a playlist has the Content-Type %q", got)})
	}
	for _, directive := range cache {
		if listed(ans.header, "Cache-Control", directive) {
			return found
		}
	}
	return append(found, finding{RuleHeaders, noMSN, fmt.Sprintf(
		"a playlist has the Cache-Control %q, must have %s", ans.header.Get("Cache-Control"), strings.Join(cache, " or "))})
}

// checkCORS: every answer lets pages of other origins read it.
func (ans *answer) checkCORS() (found []finding) {
	bad := func(format string, args ...any) {
		found = append(found, finding{RuleHeaders, noMSN, fmt.Sprintf("status %d: ", ans.status) + fmt.Sprintf(format, args...)})
	}
	for _, name := range []string{"Access-Control-Allow-Origin", "Timing-Allow-Origin"} {
		if got := ans.header.Get(name); got != "*" {
			bad("%s is %q, must be *", name, got)
		}
	}
	if ans.header.Get("Access-Control-Allow-Credentials") != "" {
		bad("credentials are allowed for every origin")
	}
	for _, name := range []string{"Age", "Date", "Content-Length", "Content-Range"} {
		if !listed(ans.header, "Access-Control-Expose-Headers", name) {
			bad("Access-Control-Expose-Headers lacks %s", name)
		}
	}
	return found
}

// checkFailure judges an answer that is neither 200 nor 304: whatever it says,
// nobody may keep it.
func (ans *answer) checkFailure() []finding {
	found := ans.checkCORS()
	if !listed(ans.header, "Cache-Control", "no-store") {
		found = append(found, finding{RuleHeaders, noMSN, fmt.Sprintf("status %d: may be cached, must say no-store", ans.status)})
	}
	if ans.status >= 500 {
		found = append(found, finding{RuleServerError, noMSN, fmt.Sprintf("status %d", ans.status)})
	}
	return found
}

// plain returns the body as text, unpacked if it is gzip, and whether it was.
func (ans *answer) plain() (text []byte, packed bool, err error) {
	if ans.header.Get("Content-Encoding") != "gzip" {
		return ans.body, false, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(ans.body))
	if err != nil {
		return nil, true, err
	}
	text, err = io.ReadAll(io.LimitReader(r, maxPlaylist))
	return text, true, err
}

// listed reports whether a comma-separated header names an element.
func listed(h http.Header, header, element string) bool {
	for _, line := range h.Values(header) {
		for e := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(e), element) {
				return true
			}
		}
	}
	return false
}
