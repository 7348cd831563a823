package viewer

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// roundTrip is a transport that is a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer is an empty answer.
func answer(r *http.Request, status int) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r}
}

func TestRequestsKeepsItsRate(t *testing.T) {
	urls := []string{"http://edge.example/a.m3u8", "http://edge.example/1.ts"}
	tests := []struct {
		name    string
		workers int
		reply   roundTrip
		want    func(s *Stats) bool
	}{
		{
			"a fast server", 4, func(r *http.Request) (*http.Response, error) { return answer(r, 200), nil },
			func(s *Stats) bool {
				return s.Requests == 1000 && s.Playlists.Count == 500 && s.Segments.Count == 500 && s.Dropped == 0
			},
		},
		{"a slow server with enough workers", 32, func(r *http.Request) (*http.Response, error) {
			time.Sleep(200 * time.Millisecond)
			return answer(r, 200), nil
		}, func(s *Stats) bool {
			// What is under way at the end counts no more than it was sent.
			return s.Requests >= 979 && s.Requests <= 1000 && s.Dropped == 0 && s.Segments.P50 >= 200*time.Millisecond && s.Segments.Max < 210*time.Millisecond
		}},
		// Two workers answer 20 of 100 a second; the rest is dropped, and the latency
		// of those that waited is not hidden.
		{"a server too slow", 2, func(r *http.Request) (*http.Response, error) {
			time.Sleep(100 * time.Millisecond)
			return answer(r, 200), nil
		}, func(s *Stats) bool {
			return s.Requests >= 190 && s.Requests <= 210 && s.Dropped >= 780 && s.Segments.P50 >= 150*time.Millisecond
		}},
		{
			"refusals", 4, func(r *http.Request) (*http.Response, error) { return answer(r, 429), nil },
			func(s *Stats) bool { return s.Requests == 1000 && s.Status[429] == 1000 && s.Segments.Count == 0 },
		},
		{
			"failures", 4, func(r *http.Request) (*http.Response, error) { return nil, errors.New("no route") },
			func(s *Stats) bool { return s.Requests == 0 && s.Errors == 1000 },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second-time.Millisecond)
				defer cancel()
				s := Requests(ctx, urls, 100, RequestOptions{Client: &http.Client{Transport: tt.reply}, Workers: tt.workers})
				if !tt.want(s) {
					t.Errorf("got %v", s)
				}
			})
		})
	}
}

func TestRequestsWithoutAnythingToDo(t *testing.T) {
	for name, urls := range map[string][]string{"no URL": nil, "a bad URL": {"http://%zz"}} {
		t.Run(name, func(t *testing.T) {
			if s := Requests(t.Context(), urls, 10, RequestOptions{}); s.Requests != 0 || s.Errors != int64(len(urls)) {
				t.Errorf("got %v", s)
			}
		})
	}
}

func TestRequestsOverHTTP(t *testing.T) {
	defer goleak.VerifyNone(t)
	var served, connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		_, _ = w.Write(make([]byte, 100_000))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	s := Requests(ctx, []string{server.URL + "/1.ts"}, 200, RequestOptions{Workers: 8})
	if s.Errors != 0 || s.Requests == 0 || s.Bytes < s.Segments.Count*100_000 || s.Requests > served.Load() || s.Requests > 201 { // 200 a second, and one at its very end
		t.Errorf("got %v, the server counted %d", s, served.Load())
	}
	if connections.Load() > 8 {
		t.Errorf("got %d connections for 8 workers", connections.Load())
	}
}
