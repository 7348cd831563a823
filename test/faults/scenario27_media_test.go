package faults

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/test/edge"
)

// hostile serves media that are made to harm whoever reads them.
func hostile(t *testing.T) (address string) {
	t.Helper()
	bomb := zipBomb(t)
	picture := largePicture(t)
	tables := manyStreams()
	const head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:1\n"
	mux := http.NewServeMux()
	page := func(path, text string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	}
	forever := func(path, contentType string, begin, again []byte) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, err := w.Write(begin)
			for err == nil && r.Context().Err() == nil {
				_, err = w.Write(again)
			}
		})
	}
	page("/self/index.m3u8", head+"#EXTINF:2,\nindex.m3u8\n#EXTINF:2,\nindex.m3u8?.ts\n")
	page("/variant/index.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nindex.m3u8?2\n")
	page("/nested/index.m3u8", head+"#EXTINF:2,\ninner.ts\n")
	page("/nested/inner.ts", head+"#EXTINF:2,\ninner.ts\n")
	forever("/endless/index.m3u8", "application/vnd.apple.mpegurl", []byte(head), bytes.Repeat([]byte("#EXTINF:2,\nx.ts\n"), 1000))
	forever("/picture.ts", "video/mp2t", nil, picture)
	forever("/tables.ts", "video/mp2t", nil, tables)
	mux.HandleFunc("/bomb/index.m3u8", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb)
	})
	mux.HandleFunc("/redirects/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) })
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// endlessHeader answers every connection by a header that has no end.
func endlessHeader(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n")
				for n := 0; err == nil; n++ {
					_, err = fmt.Fprintf(c, "X-%d: %s\r\n", n, strings.Repeat("x", 1000))
				}
			}()
		}
	}()
	return l.Addr().String()
}

// zipBomb is a playlist of 200 MB that takes 200 KB.
func zipBomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, "#EXTM3U\n")
	for lines := bytes.Repeat([]byte("#\n"), 1<<19); err == nil && b.Len() < 200_000; {
		_, err = z.Write(lines)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// largePicture is MPEG-2 video that claims pictures of 16383 × 16383: a frame of it
// would take 400 MB.
func largePicture(t *testing.T) []byte {
	t.Helper()
	ts, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x96:rate=25", "-t", "2",
		"-c:v", "mpeg2video", "-g", "5", "-f", "mpegts", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	patched := 0
	for i := 0; i+12 < len(ts); i++ {
		switch {
		case bytes.Equal(ts[i:i+4], []byte{0, 0, 1, 0xb3}): // sequence header: 12 bits each
			ts[i+4], ts[i+5], ts[i+6] = 0xff, 0xff, 0xff
			patched++
		case bytes.Equal(ts[i:i+4], []byte{0, 0, 1, 0xb5}) && ts[i+4]>>4 == 1: // its extension: 2 bits more
			ts[i+5] |= 0x01
			ts[i+6] |= 0xe0
			patched++
		}
	}
	if patched < 4 {
		t.Fatalf("found %d sequence headers", patched)
	}
	return ts
}

// manyStreams are the tables of 250 programmes with 40 streams each.
func manyStreams() (ts []byte) {
	const programmes, streams = 250, 40
	pat := []byte{0x00, 0x01, 0xc1, 0, 0}
	for i := range programmes {
		pid := 0x20 + i
		pat = append(pat, byte((i+1)>>8), byte(i+1), 0xe0|byte(pid>>8), byte(pid))
	}
	ts = section(ts, 0, 0, pat)
	for i := range programmes {
		pmt := []byte{byte((i + 1) >> 8), byte(i + 1), 0xc1, 0, 0, 0xe2, 0x00, 0xf0, 0x00}
		for j := range streams {
			pid := 0x200 + (i*streams+j)%7000
			pmt = append(pmt, 0x1b, 0xe0|byte(pid>>8), byte(pid), 0xf0, 0)
		}
		ts = section(ts, 0x20+i, 2, pmt)
	}
	return ts
}

// section appends the packets of one section of a table.
func section(ts []byte, pid int, table byte, body []byte) []byte {
	length := len(body) + 4
	s := append([]byte{table, 0xb0 | byte(length>>8), byte(length)}, body...)
	crc := uint32(0xffffffff)
	for _, b := range s {
		crc ^= uint32(b) << 24
		for range 8 {
			top := crc >> 31
			crc = crc<<1 ^ 0x04c11db7*top
		}
	}
	s = append([]byte{0}, append(s, byte(crc>>24), byte(crc>>16), byte(crc>>8), byte(crc))...)
	for n := 0; len(s) > 0; n++ {
		packet := bytes.Repeat([]byte{0xff}, 188)
		start := byte(0)
		if n == 0 {
			start = 0x40
		}
		copy(packet, []byte{0x47, start | byte(pid>>8), byte(pid), 0x10 | byte(n&0x0f)})
		s = s[copy(packet[4:], s):]
		ts = append(ts, packet...)
	}
	return ts
}

// TestScenario27HostileMedia checks that media that are made to harm end as a reason,
// within the memory that a stream may take, and that neighbours do not notice.
func TestScenario27HostileMedia(t *testing.T) {
	const allowed = 384 << 20 // bytes, of one FFmpeg
	s := newStudio(t)
	ns := newNeighbours(s, 2)
	at := hostile(t)
	plain := func(id, path string) edge.Stream { return edge.Copy(id, "http://"+at+path) }
	attacks := []edge.Stream{
		plain("self", "/self/index.m3u8"),
		plain("variant", "/variant/index.m3u8"),
		plain("nested", "/nested/index.m3u8"),
		plain("endless", "/endless/index.m3u8"),
		plain("bomb", "/bomb/index.m3u8"),
		plain("tables", "/tables.ts"),
		plain("redirects", "/redirects/"),
		plain("picture", "/picture.ts").With("rendition 360p 500k"),
		edge.Copy("header", "http://"+endlessHeader(t)+"/index.m3u8"),
	}
	config := edge.Config{Streams: ns.streams, Options: []string{fmt.Sprintf("limits {\n\t\t\tmemory %d\n\t\t}", allowed)}}
	n := edge.Start(t, config)
	n.AwaitLive(30 * time.Second)
	ns.measure(t, n)
	<-time.After(16 * time.Second) // the length of the calm measurement
	calm := ns.end("jitter in calm")

	config.Streams = append(ns.streams, attacks...)
	if err := n.Reload(config); err != nil {
		t.Fatal(err)
	}
	grown := growth(t, n)
	ns.measure(t, n)
	largest, from := int64(0), time.Now()
	for _, a := range attacks {
		edge.Await(t, 40*time.Second, "an end of stream "+a.ID, func() bool {
			largest = max(largest, largestChild(n))
			return len(n.Streams()[a.ID].Restarts) > 0
		})
		got := n.Stream(a.ID)
		t.Logf("figures: %s ended after %v: %v; %v", a.ID, time.Since(from).Round(time.Millisecond), got.Restarts, saidLast(got))
		if got.LastMSN != 0 || got.Restarts[ingest.ReasonOOM] > 0 {
			t.Errorf("stream %s: got %d segments and restarts %v, want neither segments nor an out-of-memory", a.ID, got.LastMSN, got.Restarts)
		}
	}
	beside := ns.end("jitter beside hostile media")
	more := grown()
	t.Logf("figures: largest FFmpeg %d MB, edge +%d MB; %v; %v", largest>>20, more>>20, calm, beside)
	if largest > allowed {
		t.Errorf("an FFmpeg took %d bytes, want at most %d", largest, allowed)
	}
	if more > 64<<20 {
		t.Errorf("the edge grew by %d bytes, want at most 64 MiB", more)
	}
	beside.judgeBeside(t, calm, 0.99, jitterBudget)
}

// largestChild is the most memory that one of the edge's children has taken.
func largestChild(n *edge.Node) (most int64) {
	for _, c := range n.Children() {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.PID))
		if err != nil {
			continue // it is gone
		}
		for line := range bytes.Lines(status) {
			var kilobytes int64
			if _, err := fmt.Sscanf(string(line), "VmHWM: %d kB", &kilobytes); err == nil {
				most = max(most, kilobytes<<10)
			}
		}
	}
	return most
}

func saidLast(s ingest.Status) string {
	if len(s.Log) == 0 {
		return ""
	}
	return s.Log[len(s.Log)-1].Text
}
