package viewer

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// serverEnv makes the test program be a server, so that a benchmark measures the
// viewers and not what they watch.
const serverEnv = "HEADRACE_VIEWER_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" {
		server := httptest.NewServer(newLive(2*time.Second, 4, 100_000))
		fmt.Println(server.URL)
		// It lives as long as its parent keeps the pipe open.
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		return
	}
	os.Exit(m.Run())
}

// direct lets a client call a handler without a socket.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, r)
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

// run watches a live origin for a while of a bubble's time.
func run(t *testing.T, l *live, count int, length time.Duration) *Stats {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	return Run(ctx, Options{
		URL: "http://edge.example/index.m3u8", Count: count, Rampup: 2 * time.Second, Client: &http.Client{Transport: direct{l}},
	})
}

func TestRunTakesEverySegmentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive(2*time.Second, 4, 1000)
		const count = 10
		s := run(t, l, count, 60*time.Second+time.Millisecond)
		if s.Errors != 0 || len(s.Status) != 0 || s.Stalls != 0 || s.Missed != 0 || s.Dropped != 0 {
			t.Errorf("got %v", s)
		}
		// Half of the viewers take each rendition: 30 new segments, each at most once.
		for _, rendition := range []string{"/a/", "/b/"} {
			for msn := int64(22); msn < 48; msn++ {
				if got := l.count(rendition, "/"+strconv.FormatInt(msn, 10)+".ts"); got != count/2 {
					t.Errorf("%s%d.ts was taken %d times, want %d", rendition, msn, got, count/2)
				}
			}
			if got := l.count(rendition, ".m3u8"); got < count/2*29 || got > count/2*31 {
				t.Errorf("%s was reloaded %d times, want %d", rendition, got, count/2*30)
			}
		}
		if got := l.count("/there", ""); got != 0 {
			t.Errorf("%d requests for another pathway, want none", got)
		}
		segments := int64(l.count("", ".ts"))
		if s.Segments.Count != segments || s.Playlists.Count != int64(l.count("", ".m3u8")) || s.Requests != s.Segments.Count+s.Playlists.Count {
			t.Errorf("got %v, the server counted %d segments", s, segments)
		}
		if s.Bytes < segments*1000 || s.Bytes > segments*1000+s.Playlists.Count*600 {
			t.Errorf("got %d bytes for %d segments and %d lists", s.Bytes, segments, s.Playlists.Count)
		}
	})
}

func TestRunCounts(t *testing.T) {
	tests := []struct {
		name string
		make func(l *live)
		want func(s *Stats) bool
	}{
		{"segments refused", func(l *live) {
			l.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, ".ts") {
					return false
				}
				w.WriteHeader(http.StatusForbidden)
				return true
			}
		}, func(s *Stats) bool {
			return s.Status[403] > 20 && s.Segments.Count == 0 && s.Errors == 0 && s.Stalls == 0
		}},
		{"lists that cannot be read", func(l *live) {
			l.hook = func(w http.ResponseWriter, r *http.Request) bool {
				fmt.Fprint(w, "<html>")
				return true
			}
		}, func(s *Stats) bool { return s.Errors > 20 && s.Segments.Count == 0 }},
		{"a list that fails for some seconds", func(l *live) {
			l.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if n := l.newest(); n < 30 || n > 33 || r.URL.Path == "/index.m3u8" {
					return false
				}
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
		}, func(s *Stats) bool { return s.Status[503] >= 3 && s.Status[503] <= 5 && s.Stalls == 1 && s.Missed == 0 }},
		{"a stream that stops", func(l *live) {
			l.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if l.newest() > 30 && strings.HasSuffix(r.URL.Path, "a/index.m3u8") {
					body := l.list(30)
					_, _ = w.Write(body.Plain)
					return true
				}
				return false
			}
		}, func(s *Stats) bool {
			return s.Stalls == 1 && s.LongestStall > 30*time.Second && s.LongestStall < 40*time.Second
		}},
		{"a list that runs away", func(l *live) {
			l.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if l.newest() > 30 && strings.HasSuffix(r.URL.Path, "a/index.m3u8") {
					_, _ = w.Write(l.list(l.newest() + 12).Plain)
					return true
				}
				return false
			}
		}, func(s *Stats) bool { return s.Missed >= 4 && s.Missed <= 5 && s.Stalls == 0 }},
		{"a list that begins anew, far above", func(l *live) {
			l.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if l.newest() > 30 && strings.HasSuffix(r.URL.Path, "a/index.m3u8") {
					_, _ = w.Write(l.list(l.newest() + 1000).Plain)
					return true
				}
				return false
			}
		}, func(s *Stats) bool { return s.Missed == 0 && s.Stalls == 0 && s.Segments.Count > 25 }},
		{"a list that begins anew, below", func(l *live) {
			l.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if l.newest() > 30 && strings.HasSuffix(r.URL.Path, "a/index.m3u8") {
					_, _ = w.Write(l.list(l.newest() - 20).Plain)
					return true
				}
				return false
			}
		}, func(s *Stats) bool { return s.Missed == 0 && s.Stalls == 0 && s.Segments.Count > 25 }},
		{"a rendition lost for good", func(l *live) {
			l.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if l.newest() > 30 && strings.HasSuffix(r.URL.Path, "a/index.m3u8") {
					w.WriteHeader(http.StatusNotFound)
					return true
				}
				return false
			}
		}, func(s *Stats) bool { return s.Status[404] > 15 && s.Stalls >= 3 && s.Errors == 0 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLive(2*time.Second, 4, 1000)
				tt.make(l)
				if s := run(t, l, 1, 60*time.Second+time.Millisecond); !tt.want(s) {
					t.Errorf("got %v", s)
				}
			})
		})
	}
}

// Over real sockets: connections are kept, one per viewer, and closed at the end.
func TestRunKeepsOneConnectionPerViewer(t *testing.T) {
	defer goleak.VerifyNone(t)
	l := newLive(200*time.Millisecond, 1, 50_000)
	server := httptest.NewUnstartedServer(l)
	connections := make(chan struct{}, 1000)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections <- struct{}{}
		}
	}
	server.Start()
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	const count = 20
	s := Run(ctx, Options{URL: server.URL + "/index.m3u8", Count: count, Rampup: time.Second})
	if s.Errors != 0 || len(s.Status) != 0 || s.Segments.Count < count || s.Segments.P50 <= 0 || s.Segments.Max < s.Segments.P99 {
		t.Errorf("got %v", s)
	}
	if got := len(connections); got != count {
		t.Errorf("got %d connections for %d viewers", got, count)
	}
}

// BenchmarkRun measures what a viewer costs: 2,000 of them at one request per
// second, for as many seconds as the benchmark repeats.
func BenchmarkRun(b *testing.B) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverEnv+"=1")
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil || err1 != nil || err2 != nil {
		b.Fatal(err, err1, err2)
	}
	defer func() {
		stdin.Close()
		_ = cmd.Wait()
	}()
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	const count = 2000
	length := time.Duration(max(b.N, 15)) * time.Second
	before := cpu(b)
	ctx, cancel := context.WithTimeout(b.Context(), length)
	defer cancel()
	s := Run(ctx, Options{URL: strings.TrimSpace(address) + "/index.m3u8", Count: count, Rampup: 2 * time.Second})
	b.ReportMetric((cpu(b)-before).Seconds()/s.Elapsed.Seconds(), "cores")
	b.ReportMetric(residentMB(b), "MB-peak")
	b.ReportMetric(float64(s.Requests)/s.Elapsed.Seconds(), "requests/s")
	b.Log(s)
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// residentMB is the largest memory that this process ever held.
func residentMB(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("needs /proc")
	}
	var kilobytes float64
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(after, &kilobytes); err != nil {
		b.Fatal(err)
	}
	return kilobytes / 1024
}
