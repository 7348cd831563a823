package streamtoken

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/controlapi/token"
)

func TestMatcher(t *testing.T) {
	now := time.Now().Unix()
	relay := func(c *token.Claims) {
		c.Reseller, c.User, c.Operation = token.EdgeReseller, "edge-2", token.Relay
	}
	cases := []struct {
		name   string
		change func(*token.Claims)
		below  string // the path below the token
		header string // Headrace-Relay
		want   token.Reason
	}{
		{name: "multivariant", below: "/news/index.m3u8"},
		{name: "playlist", below: "/news/480p/index.m3u8"},
		{name: "segment", below: "/news/480p/890.ts"},
		{name: "endless", below: "/news/480p/live.ts"},
		{name: "something else", below: "/news/archive/monday.mp4"},
		{name: "short", change: func(c *token.Claims) {
			*c = token.Claims{Short: true, ID: "news", Expires: c.Expires}
		}, below: "/news/index.m3u8"},
		{name: "all streams", change: func(c *token.Claims) { c.Scope, c.ID = token.AllStreams, "" }, below: "/sport/index.m3u8"},
		{name: "relay", change: relay, below: "/news/480p/890.ts", header: "edge-2"},
		{name: "segment within the grace", change: func(c *token.Claims) { c.Expires = now - 30 }, below: "/news/480p/890.ts"},
		{name: "network", change: func(c *token.Claims) { c.Network = netip.MustParsePrefix("203.0.113.0/24") }, below: "/news/index.m3u8"},

		{name: "no token", below: "", want: token.Malformed},
		{name: "dots", below: "/news/../sport/index.m3u8", want: token.Malformed},
		{name: "escaped slash", below: "/news%2findex.m3u8", want: token.Malformed},
		{name: "unknown key", change: func(c *token.Claims) { c.Kid = "k2" }, below: "/news/index.m3u8", want: token.UnknownKey},
		{name: "playlist after the expiry", change: func(c *token.Claims) { c.Expires = now - 30 }, below: "/news/480p/index.m3u8", want: token.Expired},
		{name: "endless after the expiry", change: func(c *token.Claims) { c.Expires = now - 30 }, below: "/news/480p/live.ts", want: token.Expired},
		{name: "archive after the expiry", change: func(c *token.Claims) { c.Expires = now - 30 }, below: "/news/archive/890.ts/x", want: token.Expired},
		{name: "segment after the grace", change: func(c *token.Claims) { c.Expires = now - 90 }, below: "/news/480p/890.ts", want: token.Expired},
		{name: "before its time", change: func(c *token.Claims) { c.NotBefore = now + 90 }, below: "/news/index.m3u8", want: token.NotYetValid},
		{name: "play token for a relay", below: "/news/480p/890.ts", header: "edge-2", want: token.WrongOperation},
		{name: "relay token to play", change: relay, below: "/news/480p/890.ts", want: token.WrongOperation},
		{name: "publish token to play", change: func(c *token.Claims) { c.Operation = token.Publish }, below: "/news/index.m3u8", want: token.WrongOperation},
		{name: "another stream", below: "/sport/index.m3u8", want: token.WrongStream},
		{name: "another case", below: "/News/index.m3u8", want: token.WrongStream},
		{name: "stream without a grant", change: func(c *token.Claims) { c.ID = "secret" }, below: "/secret/index.m3u8", want: token.NotEntitled},
		{name: "another network", change: func(c *token.Claims) { c.Network = netip.MustParsePrefix("198.51.100.0/24") }, below: "/news/index.m3u8", want: token.WrongAddress},
		{name: "denied", change: func(c *token.Claims) { c.User = "eve" }, below: "/news/index.m3u8", want: token.Revoked},
		{name: "too many", change: func(c *token.Claims) { c.Max, c.Session = 1, "j2" }, below: "/news/index.m3u8", want: token.TooManyConnections},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, h := newMatcher(t)
			if !h.sessions.Touch(&token.Claims{Reseller: "r1", User: "ann", Session: "j1"}, netip.Addr{}, "news", time.Now(), time.Hour) {
				t.Fatal("the other session was refused")
			}
			r := newRequest(http.MethodGet, Prefix+signed(t, c.change)+c.below)
			if c.header != "" {
				r.Header.Set(relayHeader, c.header)
			}
			matched, err := m.MatchWithError(r)
			if err != nil {
				t.Errorf("error %v, want none", err)
			}
			if want := c.want == token.Accepted; matched != want {
				t.Errorf("matched %v, want %v", matched, want)
			}
			v := VerdictOf(r.Context())
			if !v.Checked || v.Unready || v.Reason != c.want || (v.Grant != nil) != matched {
				t.Errorf("verdict %+v, want the reason %v", v, c.want)
			}
			if skip, _ := varsOf(r.Context())[caddyhttp.LogSkipVar].(bool); !skip {
				t.Error("the access log would have a line with the token")
			}
			if again := m.Match(r); again != matched {
				t.Errorf("matched %v the second time, %v the first", again, matched)
			}
		})
	}
}

func TestMatcherGrant(t *testing.T) {
	m, h := newMatcher(t)
	r := newRequest(http.MethodGet, Prefix+signed(t, nil)+"/news/480p/890.ts")
	if !m.Match(r) {
		t.Fatal("not matched")
	}
	g := VerdictOf(r.Context()).Grant
	if g.Claims.User != "ann" || g.Stream != "news" || g.Rendition != "480p" || g.MSN != 890 || g.Kind != edge.KindSegment {
		t.Errorf("got %+v", *g)
	}
	if want := netip.MustParseAddr(clientIP); g.Client != want {
		t.Errorf("client %v, want %v", g.Client, want)
	}
	if got, want := fmt.Sprintf("%v %+v %s", g, g, g), "r1:ann:k1 r1:ann:k1 r1:ann:k1"; got != want {
		t.Errorf("printed as %q, want %q", got, want)
	}
	if got := h.sessions.Viewers("news"); got != 1 {
		t.Errorf("%d viewers, want 1", got)
	}
}

// A relay is an edge, which nobody counts as a viewer.
func TestMatcherRelayIsNoViewer(t *testing.T) {
	m, h := newMatcher(t)
	r := newRequest(http.MethodGet, Prefix+signed(t, func(c *token.Claims) {
		c.Reseller, c.User, c.Operation = token.EdgeReseller, "edge-2", token.Relay
	})+"/news/480p/890.ts")
	r.Header.Set(relayHeader, "edge-2")
	if !m.Match(r) {
		t.Fatal("not matched")
	}
	if got := h.sessions.Len(); got != 0 {
		t.Errorf("%d sessions, want 0", got)
	}
}

func TestMatcherElsewhere(t *testing.T) {
	for _, uri := range []string{"/", "/live", "/x/live/t/news/index.m3u8", "//live/t/news/index.m3u8"} {
		m, _ := newMatcher(t)
		r := newRequest(http.MethodGet, uri)
		if m.Match(r) {
			t.Errorf("%s matched", uri)
		}
		if v := VerdictOf(r.Context()); v.Checked {
			t.Errorf("%s: verdict %+v, want none", uri, v)
		}
		if varsOf(r.Context())[caddyhttp.LogSkipVar] != nil {
			t.Errorf("%s is left out of the access log", uri)
		}
	}
}

func TestMatcherWithoutKeys(t *testing.T) {
	m, h := newMatcher(t)
	h.verifier = nil
	r := newRequest(http.MethodGet, Prefix+signed(t, nil)+"/news/index.m3u8")
	matched, err := m.MatchWithError(r)
	if matched || err != nil {
		t.Errorf("matched %v, error %v", matched, err)
	}
	if v := VerdictOf(r.Context()); !v.Checked || !v.Unready || v.Grant != nil {
		t.Errorf("verdict %+v, want unready", v)
	}
}

func TestMatcherOutsideCaddy(t *testing.T) {
	m, _ := newMatcher(t)
	r := newRequest(http.MethodGet, Prefix+signed(t, nil)+"/news/index.m3u8")
	if m.Match(r.WithContext(t.Context())) {
		t.Error("matched where nothing can be handed on")
	}
}

// A grant is for the path that was checked: after a rewrite it is void.
func TestMatcherAfterRewrite(t *testing.T) {
	m, _ := newMatcher(t)
	tok := signed(t, nil)
	r := newRequest(http.MethodGet, Prefix+tok+"/news/index.m3u8")
	if !m.Match(r) {
		t.Fatal("not matched")
	}
	r.URL.Path = Prefix + tok + "/sport/index.m3u8"
	if m.Match(r) {
		t.Error("a token for news matched for sport")
	}
	if v := VerdictOf(r.Context()); v.Grant != nil || v.Reason != token.WrongStream {
		t.Errorf("verdict %+v, want wrong_stream", v)
	}
}

func TestGrantRenew(t *testing.T) {
	now := time.Now()
	cases := []struct {
		name   string
		expiry time.Duration
		after  time.Duration
		change func(*Matcher, *fakeHost)
		want   bool
	}{
		{name: "valid", expiry: time.Hour, want: true},
		{name: "within the grace", expiry: time.Minute, after: 2 * time.Minute, want: true},
		{name: "after the grace", expiry: time.Minute, after: 2*time.Minute + 2*time.Second},
		{name: "no keys any more", expiry: time.Hour, change: func(_ *Matcher, h *fakeHost) { h.verifier = nil }},
		{name: "denied meanwhile", expiry: time.Hour, change: func(_ *Matcher, h *fakeHost) {
			h.verifier, _ = token.NewVerifier(token.Config{
				Keys:   []token.Key{{KeyRef: token.KeyRef{Reseller: "r1", Kid: "k1"}, Secret: secret}},
				Grants: map[string]token.Grant{"r1": {Show: []string{"news"}}},
				Denied: []token.Denial{{Reseller: "r1", User: "ann", Until: 9999999999}},
			})
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, h := newMatcher(t)
			r := newRequest(http.MethodGet, Prefix+signed(t, func(k *token.Claims) { k.Expires = now.Add(c.expiry).Unix() })+"/news/480p/live.ts")
			if !m.Match(r) {
				t.Fatal("not matched")
			}
			if c.change != nil {
				c.change(m, h)
			}
			if got := VerdictOf(r.Context()).Grant.Renew(now.Add(c.after)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// A lasting connection keeps its session, and so its place among the user's.
func TestGrantRenewKeepsSession(t *testing.T) {
	m, _ := newMatcher(t)
	one := func(session string) func(*token.Claims) {
		return func(c *token.Claims) { c.Max, c.Session = 1, session }
	}
	r := newRequest(http.MethodGet, Prefix+signed(t, one("j1"))+"/news/480p/live.ts")
	if !m.Match(r) {
		t.Fatal("not matched")
	}
	g := VerdictOf(r.Context()).Grant
	if !g.Renew(time.Now().Add(sessionDefault)) {
		t.Fatal("not renewed")
	}
	other := &Grant{Stream: "news", token: signed(t, one("j2"))}
	if got := m.check(other, token.Segment, time.Now().Add(sessionDefault+time.Second)); got != token.TooManyConnections {
		t.Errorf("a second viewer gets %v, want too_many_connections", got)
	}
}

func TestVerdictString(t *testing.T) {
	cases := []struct {
		verdict Verdict
		want    string
	}{
		{Verdict{}, "refused:no_matcher"},
		{Verdict{Checked: true, Unready: true}, "refused:unready"},
		{Verdict{Checked: true, Reason: token.BadSignature}, "refused:bad_signature"},
		{Verdict{Checked: true, Grant: &Grant{Claims: token.Claims{Reseller: "r1", User: "ann", Kid: "k1"}}}, "r1:ann:k1"},
		{Verdict{Checked: true, Grant: &Grant{Claims: token.Claims{Short: true, Reseller: "r1", Kid: "k1"}}}, "r1::k1"},
	}
	for _, c := range cases {
		if got := c.verdict.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// The debug log tells the reason, and nothing that might be a token.
func TestMatcherLogsNoToken(t *testing.T) {
	var log bytes.Buffer
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&log), zapcore.DebugLevel)
	m, _ := newMatcher(t)
	m.logger = zap.New(core)
	tok := signed(t, func(c *token.Claims) { c.Kid = "k9" })
	for _, uri := range []string{Prefix + tok + "/news/index.m3u8", Prefix + "news/" + tok + "/index.m3u8"} {
		if m.Match(newRequest(http.MethodGet, uri)) {
			t.Fatal("matched")
		}
	}
	text := log.String()
	if strings.Count(text, "\n") != 2 || !strings.Contains(text, `"reason":"unknown_key"`) || !strings.Contains(text, `"reason":"malformed"`) {
		t.Errorf("got %q, want a line for each reason", text)
	}
	if strings.Contains(text, tok[len(tok)-64:]) {
		t.Errorf("the log holds a signature: %q", text)
	}
}

func TestLogged(t *testing.T) {
	cases := []struct {
		name string
		skip any
		want bool
	}{
		{"nothing said", nil, true},
		{"log_skip", true, false},
		{"log_skip off", false, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRequest(http.MethodGet, "/live/x")
			caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, c.skip)
			Unlog(r.Context())
			Unlog(r.Context()) // the handler after the matcher
			if got := Logged(r.Context()); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// FuzzPath asks for anything with a token for news. Whatever matches has to be
// below news for everyone, however often they decode and clean it.
func FuzzPath(f *testing.F) {
	for _, below := range []string{
		"/news/index.m3u8", "/news/480p/890.ts", "/sport/index.m3u8", "/news/../sport/index.m3u8",
		"/news/..%2fsport/index.m3u8", "/news/%2e%2e/sport", "/news/%252e%252e%252fsport", `/news/..\sport`,
		"/news%00/x", "/news/./x", "//news/x", "/news//x", "/news/", "/news", "", "/%6eews/x", "/news;/x", "/news?x=/../sport",
		"/news/" + strings.Repeat("../", 40), "/ｎews/x", "/news/%c0%ae%c0%ae/sport", "/news/%u002e",
	} {
		f.Add(below)
	}
	m, _ := newMatcher(f)
	tok := signed(f, nil)
	f.Fuzz(func(t *testing.T, below string) {
		u, err := url.ParseRequestURI(Prefix + tok + below)
		if err != nil {
			return
		}
		r := newRequest(http.MethodGet, "/")
		r.URL = u
		if !m.Match(r) {
			return
		}
		if g := VerdictOf(r.Context()).Grant; g.Stream != "news" {
			t.Fatalf("%q matched as %q", below, g.Stream)
		}
		for p, i := u.Path, 0; i < 3; i++ {
			clean := path.Clean(strings.ReplaceAll(p, `\`, "/"))
			if home := Prefix + tok + "/news"; clean != home && !strings.HasPrefix(clean, home+"/") {
				t.Fatalf("%q matched, and reads as %q", below, clean)
			}
			if decoded, err := url.PathUnescape(p); err == nil {
				p = decoded
			}
		}
	})
}

// One allocation for the grant, also for refusals; the verdict is in it.
func TestMatcherAllocations(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	m, _ := newMatcher(t)
	cases := []struct {
		name string
		uri  string
		most float64
	}{
		{"accepted", Prefix + signed(t, nil) + "/news/480p/890.ts", 1},
		{"refused", Prefix + signed(t, nil) + "/sport/480p/890.ts", 1},
		{"malformed", Prefix + "x/sport/480p/890.ts", 1},
		{"not plain", Prefix + "x/../480p/890.ts", 0},
		{"elsewhere", "/index.html", 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRequest(http.MethodGet, c.uri)
			vars := varsOf(r.Context())
			m.Match(r)
			if got := testing.AllocsPerRun(200, func() {
				forget(vars)
				m.Match(r)
			}); got > c.most {
				t.Errorf("%v allocations, want at most %v", got, c.most)
			}
		})
	}
}

// forget makes the request as if no matcher had seen it.
func forget(vars map[string]any) {
	delete(vars, grantVar)
	delete(vars, refusalVar)
}

func BenchmarkMatcher(b *testing.B) {
	m, _ := newMatcher(b)
	cases := []struct{ name, uri string }{
		{"accepted", Prefix + signed(b, nil) + "/news/480p/890.ts"},
		{"short", Prefix + signed(b, func(c *token.Claims) {
			*c = token.Claims{Short: true, ID: "news", Expires: c.Expires}
		}) + "/news/480p/890.ts"},
		{"bad signature", Prefix + strings.Replace(signed(b, nil), "uann", "ubob", 1) + "/news/480p/890.ts"},
		{"wrong stream", Prefix + signed(b, nil) + "/sport/480p/890.ts"},
		{"elsewhere", "/index.html"},
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			r := newRequest(http.MethodGet, c.uri)
			vars := varsOf(r.Context())
			b.ReportAllocs()
			for b.Loop() {
				forget(vars)
				m.Match(r)
			}
		})
	}
}
