package edge

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/controlapi/token"
)

const pushSecret = "test-secret-00000000000000000000000000000"

// pushHostWith is a Host with one pushed and one pulled stream in force, both granted to r1.
func pushHostWith(t *testing.T, denied ...snapshot.Denial) *Host {
	t.Helper()
	doc := &snapshot.Document{
		Group: "default", Edges: []snapshot.Edge{{ID: "edge-1"}}, Denied: denied,
		Keys:   []snapshot.Key{{Reseller: "r1", KeyID: "k1", Secret: pushSecret}},
		Grants: map[string]snapshot.Grant{"r1": {Show: []string{"news", "pulled"}, Publish: []string{"news", "pulled"}}},
	}
	for id, src := range map[string]string{"news": "push:", "pulled": "test:"} {
		doc.Streams = append(doc.Streams, snapshot.Stream{
			ID: id, Primary: "edge-1", Sources: []string{src}, Renditions: []snapshot.Rendition{{Name: "source", Copy: true}},
			SegmentSeconds: 2, LongestGOPSeconds: 2, Window: 8,
		})
	}
	g, err := newGeneration(&configuration{node: Node{ID: "edge-1"}, logger: zap.NewNop()}, doc)
	if err != nil {
		t.Fatal(err)
	}
	h := newHost()
	h.inForce.Store(g)
	return h
}

func publishToken(t *testing.T, edit func(*token.Claims)) string {
	t.Helper()
	c := token.Claims{
		Kid: "k1", Reseller: "r1", User: "encoder", Scope: token.OneStream, ID: "news",
		Operation: token.Publish, Expires: time.Now().Add(time.Hour).Unix(),
	}
	edit(&c)
	tok, err := token.Mint(c, pushSecret)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestAuthorize(t *testing.T) {
	plain := func(*token.Claims) {}
	client := netip.MustParseAddr("203.0.113.9")
	for _, tt := range []struct {
		name, key string
		err       string // part of the error; empty: let in
	}{
		{"stream and token", "news?token=" + publishToken(t, plain), ""},
		{"token alone", publishToken(t, plain), ""},
		{"token alone of all streams", publishToken(t, func(c *token.Claims) { c.Scope, c.ID = token.AllStreams, "" }), "malformed"},
		{"token of all streams with a stream", "news?token=" + publishToken(t, func(c *token.Claims) { c.Scope, c.ID = token.AllStreams, "" }), ""},
		{"two tokens", "news?token=a&token=" + publishToken(t, plain), "malformed"},
		{"no token", "news", "malformed"},
		{"nothing", "", "malformed"},
		{"another stream's token", "pulled?token=" + publishToken(t, plain), "wrong_stream"},
		{"a stream that is pulled", publishToken(t, func(c *token.Claims) { c.ID = "pulled" }), "no source push:"},
		{"play token", "news?token=" + publishToken(t, func(c *token.Claims) { c.Operation = token.Play }), "wrong_operation"},
		{"expired", "news?token=" + publishToken(t, func(c *token.Claims) { c.Expires = time.Now().Unix() - 1 }), "expired"},
		{"another network", "news?token=" + publishToken(t, func(c *token.Claims) { c.Network = netip.MustParsePrefix("198.51.100.0/24") }), "wrong_address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := pushHostWith(t).authorize(tt.key, client)
			if tt.err == "" {
				if err != nil || g.Stream != "news" || !g.Renew(time.Now()) {
					t.Errorf("got %+v, %v", g, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
			if tt.key != "" && strings.Contains(err.Error(), tt.key) {
				t.Errorf("the error tells the key: %v", err)
			}
		})
	}
}

// A lasting connection goes on until expiry and grace, and ends with its stream, its
// user and its key.
func TestRenewal(t *testing.T) {
	h := pushHostWith(t)
	g, err := h.authorize("news?token="+publishToken(t, func(*token.Claims) {}), netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]bool{0: true, time.Hour + 50*time.Second: true, time.Hour + 70*time.Second: false} {
		if got := g.Renew(time.Now().Add(after)); got != want {
			t.Errorf("after %v of an hour: got %v, want %v", after, got, want)
		}
	}
	h.inForce.Store(pushHostWith(t, snapshot.Denial{Reseller: "r1", User: "encoder", Until: time.Now().Add(time.Hour).Unix()}).inForce.Load())
	if g.Renew(time.Now()) {
		t.Error("a denied user goes on")
	}
	h.inForce.Store(nil)
	if g.Renew(time.Now()) {
		t.Error("a publisher goes on where nothing is in force")
	}
}

func FuzzSplitKey(f *testing.F) {
	for _, key := range []string{"news?token=x", "?token=", "a?b", "%zz?token=%", "a?token=b&token=c", strings.Repeat("a", 400)} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if stream, tok, ok := splitKey(key); ok && stream == "" && tok == "" && key != "?token=" {
			t.Errorf("%q gives nothing and is taken", key)
		}
	})
}
