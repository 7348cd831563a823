package hls_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/logging"

	"github.com/headrace/headrace/caddymodule/edge"
	_ "github.com/headrace/headrace/caddymodule/hls"
	"github.com/headrace/headrace/caddymodule/internal/edgetest"
	_ "github.com/headrace/headrace/caddymodule/streamtoken"
	"github.com/headrace/headrace/controlapi/token"
)

type object = edgetest.Object

// rendition is the only one of the stream news.
const rendition = "low"

// site is the one edge that all tests of this package share, because Caddy has one
// configuration per process and FFmpeg costs.
type site struct {
	folder string
	client *http.Client
}

var shared struct {
	once   sync.Once
	folder string
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.folder != "" {
		if err := caddy.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		_ = os.RemoveAll(shared.folder)
	}
	os.Exit(code)
}

// open returns the shared edge once its stream is live.
func open(tb testing.TB) *site {
	tb.Helper()
	shared.once.Do(func() {
		if shared.folder, shared.err = os.MkdirTemp("", "hls"); shared.err == nil {
			shared.err = load(config(shared.folder, nil))
		}
	})
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	s := &site{shared.folder, newClient(shared.folder)}
	tb.Cleanup(s.client.CloseIdleConnections)
	news := s.host(tb).Engine().Lookup("news")
	edgetest.Until(tb, "news has three segments", func() bool {
		v := news.View()
		return v.Ready() && v.LastMSN() >= v.Rendition(rendition).FirstMSN()+2
	})
	return s
}

// load puts a configuration in force.
func load(config object) error {
	b, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return caddy.Load(b, true)
}

// config is an edge with news, a test pattern, and dead, a stream that never has a
// segment, behind a site on a Unix socket. The options are those of hls.
func config(folder string, options object) object {
	c := edgetest.Config(object{
		"edge": object{
			"state":       filepath.Join(folder, "state"),
			"keys":        []object{{"reseller": "r1", "kid": "k1", "secret": edgetest.Secret}},
			"default_key": object{"reseller": "r1", "kid": "k1"},
			"streams": []object{
				{"id": "news", "sources": []string{"test:"}, "segment": "1s", "longest_gop": "1s", "renditions": []object{
					{"name": rendition, "height": 144, "video_bitrate": 200_000, "audio_bitrate": 32_000},
				}},
				{"id": "dead", "sources": []string{"http://127.0.0.1:1/x.m3u8"}, "segment": "1s", "longest_gop": "1s"},
			},
		},
		"http": object{
			"grace_period": "1s",
			"servers": object{"srv0": object{
				"listen":               []string{"unix/" + socket(folder)},
				"protocols":            []string{"h1", "h2c"},
				"trusted_proxies":      object{"source": "static", "ranges": []string{"127.0.0.1/32"}},
				"trusted_proxies_unix": true,
				"logs":                 object{"default_logger_name": "site"},
				"routes": []object{
					{"match": []object{{"stream_token": object{}}}, "handle": []object{handler(options)}},
					{"handle": []object{handler(nil)}},
					{"handle": []object{{"handler": "static_response", "status_code": 404, "body": "next"}}},
				},
			}},
		},
	})
	file := object{"output": "file", "filename": filepath.Join(folder, "log")}
	c["logging"] = object{"logs": object{"default": object{"writer": file, "level": "DEBUG"}}}
	return c
}

func handler(options object) object {
	h := object{"handler": "hls"}
	for name, value := range options {
		h[name] = value
	}
	return h
}

func socket(folder string) string { return filepath.Join(folder, "socket") }

// newClient speaks to the site, and nothing that it was not told to: no
// Accept-Encoding of its own.
func newClient(folder string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket(folder))
		},
	}}
}

func (s *site) host(tb testing.TB) *edge.Host { return edgetest.Host(tb) }

// do sends a request. Header fields are given as "Name: value".
func (s *site) do(tb testing.TB, method, path string, header ...string) *http.Response {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), method, "http://edge-1.example.com"+path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// get returns the status and body of a path.
func (s *site) get(tb testing.TB, path string, header ...string) (int, string) {
	tb.Helper()
	answer := s.do(tb, http.MethodGet, path, header...)
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// last returns the number of the newest segment of news.
func (s *site) last(tb testing.TB) int64 {
	return s.host(tb).Engine().Lookup("news").View().LastMSN()
}

// signed returns a token of ann's, by default for everything; change it as asked.
func signed(tb testing.TB, change func(*token.Claims)) string {
	tb.Helper()
	c := token.Claims{
		Kid: "k1", Reseller: "r1", User: "ann", Scope: token.AllStreams,
		Expires: time.Now().Add(time.Hour).Unix(),
	}
	if change != nil {
		change(&c)
	}
	text, err := token.Mint(c, edgetest.Secret)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// live returns the path below /live/ of a good token.
func live(tb testing.TB, format string, values ...any) string {
	return "/live/" + signed(tb, nil) + fmt.Sprintf(format, values...)
}
