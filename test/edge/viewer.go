package edge

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/headrace/headrace/controlapi/token"
)

// Reseller is whose key a node knows.
const (
	Reseller = "r1"
	keyID    = "k1"
)

// Claims are those of an ordinary viewer of one stream, for an hour.
func Claims(stream string) token.Claims {
	return token.Claims{
		Kid: keyID, Reseller: Reseller, User: "viewer", Scope: token.OneStream, ID: stream,
		Expires: time.Now().Add(time.Hour).Unix(),
	}
}

// Mint signs claims with the node's key.
func (n *Node) Mint(c token.Claims) string {
	n.t.Helper()
	tok, err := token.Mint(c, n.secret)
	if err != nil {
		n.t.Fatal(err)
	}
	return tok
}

// BaseURL is the stream's URL with an ordinary viewer's token, ending in a slash.
func (n *Node) BaseURL(stream string) string {
	n.t.Helper()
	return fmt.Sprintf("http://%s/live/%s/%s/", n.Address(), n.Mint(Claims(stream)), stream)
}

// URL is the multivariant playlist of a stream, for an ordinary viewer.
func (n *Node) URL(stream string) string {
	n.t.Helper()
	return n.BaseURL(stream) + "index.m3u8"
}

// PlaylistURL is the media playlist of a stream's default rendition.
func (n *Node) PlaylistURL(stream string) string {
	n.t.Helper()
	return n.BaseURL(stream) + Rendition + "/index.m3u8"
}

// Get asks for a URL and returns status and body. An error is one of the network.
func Get(ctx context.Context, url string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// checksTokens tells whether the edge refuses a token that is none. Before it can
// check, it asks to come back later.
func (n *Node) checksTokens() bool {
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/live/none/none/index.m3u8", n.Address()), nil)
	if err != nil {
		n.t.Fatal(err)
	}
	req.Close = true // a connection of an edge that was killed must not be used again
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusForbidden
}
