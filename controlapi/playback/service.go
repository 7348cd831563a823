// Package playback decides who may watch what, and on which edge: it checks the user,
// chooses the edge, and signs the token. From then on the edge alone is asked.
package playback

import (
	"context"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/nodehealth"
	"github.com/headrace/headrace/controlapi/routing"
	"github.com/headrace/headrace/controlapi/token"
)

// Store answers what the checks need, each in one question to the database.
type Store interface {
	Playback(ctx context.Context, scope controlapi.Scope, q controlapi.PlaybackQuery) (controlapi.PlaybackGrant, error)
	PlaybackByKey(ctx context.Context, q controlapi.PlaybackQuery) (controlapi.PlaybackGrant, error)
	Publishing(ctx context.Context, scope controlapi.Scope, streamID string) (controlapi.PublishGrant, error)
	Stream(ctx context.Context, scope controlapi.Scope, id string) (controlapi.Stream, error)
}

// Nodes tells how the edges are.
type Nodes interface{ View() *nodehealth.View }

// Locator tells where addresses are; nil: it does not know.
type Locator interface {
	Locate(addr netip.Addr) *routing.Position
}

// Service issues what viewers and encoders need. Its methods may be called by many
// goroutines. Make it with New.
type Service struct {
	store   Store
	nodes   Nodes
	locator Locator
	now     func() time.Time
	recent  *recent
}

// New makes a Service. Without a locator nobody's place is known.
func New(store Store, nodes Nodes, locator Locator) *Service {
	return &Service{store: store, nodes: nodes, locator: locator, now: time.Now, recent: newRecent()}
}

// Request is a user who wants to watch a stream, or any stream of a bouquet.
type Request struct {
	UserID    string
	StreamID  string
	BouquetID string
	// GroupID is the edge group to play a bouquet in; empty: "default".
	GroupID string
	// Client is the viewer's address; the zero one: not known.
	Client netip.Addr
	// BindOctets binds the token to so many leading octets of the client's address; 0: to none.
	BindOctets int
}

// Ticket is a way to watch.
type Ticket struct {
	// URL is the playlist with its token. Of a bouquet it has {stream} in the place of the
	// stream's id.
	URL       string
	Token     string
	ExpiresAt time.Time
	EdgeID    string
	Why       []routing.Explanation
}

// placeholder stands for the stream in the URL of a bouquet.
const placeholder = "{stream}"

// Issue checks a user in scope and gives it a way to watch. What keeps it from watching is
// an error of code forbidden with a sentence that the viewer may read.
func (s *Service) Issue(ctx context.Context, scope controlapi.Scope, r Request) (Ticket, error) {
	if (r.StreamID == "") == (r.BouquetID == "") {
		return Ticket{}, controlapi.Invalid("stream_id", "give a stream_id or a bouquet_id, one of them")
	}
	network, err := network(r.Client, r.BindOctets)
	if err != nil {
		return Ticket{}, err
	}
	grant, err := s.store.Playback(ctx, scope, controlapi.PlaybackQuery{UserID: r.UserID, StreamID: r.StreamID, BouquetID: r.BouquetID, GroupID: r.GroupID})
	if err != nil {
		return Ticket{}, err
	}
	return s.ticket(&grant, r.Client, network)
}

// EnterByKey gives the URL for whoever has a user's play key.
func (s *Service) EnterByKey(ctx context.Context, streamID string, key controlapi.Secret, client netip.Addr) (string, error) {
	grant, err := s.store.PlaybackByKey(ctx, controlapi.PlaybackQuery{PlayKey: key, StreamID: streamID})
	if err != nil {
		return "", err
	}
	t, err := s.ticket(&grant, client, netip.Prefix{})
	return t.URL, err
}

// EnterByToken gives the URL for the bearer of a token, which its reseller may have signed
// itself. The edge checks the token; here it is only seen to that it can be good there.
// The database is not asked: viewers who have a token get in when it is down.
func (s *Service) EnterByToken(_ context.Context, streamID, text string, client netip.Addr) (string, error) {
	claims, ok := token.Parse(text)
	covers := claims.Operation == token.Play && (claims.Scope != token.OneStream || claims.ID == streamID)
	if !ok || !covers || claims.Expires < s.now().Unix() {
		return "", controlapi.Errorf(controlapi.CodeUnauthenticated, "the token is not one for this stream, or has expired")
	}
	view := s.nodes.View()
	group, known := groupOf(view, streamID)
	if !known {
		return "", controlapi.NotFound("stream")
	}
	user := claims.User
	if user == "" {
		user = text // the short form names nobody
	}
	node, _, err := s.choose(view, want{group: group, stream: streamID}, user, client)
	if err != nil {
		return "", err
	}
	return address(node, text, streamID), nil
}

// Route explains where a viewer of a stream would be sent. An empty user is anybody.
func (s *Service) Route(ctx context.Context, scope controlapi.Scope, streamID, userID string, client netip.Addr) ([]routing.Explanation, error) {
	stream, err := s.store.Stream(ctx, scope, streamID)
	if err != nil {
		return nil, err
	}
	view := s.nodes.View()
	candidates, _ := s.candidates(view, want{group: stream.GroupID, stream: streamID})
	_, why := routing.Explain(routing.Request{User: userID, Client: s.locate(client)}, candidates)
	return why, nil
}

// ticket checks a grant, chooses an edge and signs.
func (s *Service) ticket(g *controlapi.PlaybackGrant, client netip.Addr, network netip.Prefix) (Ticket, error) {
	now := s.now()
	if err := check(g, now); err != nil {
		return Ticket{}, err
	}
	w := want{group: g.GroupID, stream: g.StreamID, assigned: g.Assignment.Carriers()}
	node, why, err := s.choose(s.nodes.View(), w, g.UserID, client)
	if err != nil {
		return Ticket{}, err
	}
	expires := now.Add(g.Session)
	if g.ExpiresAt.Before(expires) {
		expires = g.ExpiresAt
	}
	claims := claimsOf(g, network, expires)
	text, err := token.Mint(claims, g.Key.Secret.Reveal())
	if err != nil {
		return Ticket{}, err
	}
	stream := g.StreamID
	if stream == "" {
		stream = placeholder
	}
	s.recent.add(now, node)
	return Ticket{
		URL: address(node, text, stream), Token: text, ExpiresAt: time.Unix(claims.Expires, 0).UTC(), EdgeID: node.ID, Why: why,
	}, nil
}

// choose gives the edge for a viewer.
func (s *Service) choose(view *nodehealth.View, w want, user string, client netip.Addr) (*nodehealth.Node, []routing.Explanation, error) {
	candidates, nodes := s.candidates(view, w)
	i, why := routing.Explain(routing.Request{User: user, Client: s.locate(client)}, candidates)
	if i < 0 {
		return nil, nil, controlapi.Errorf(controlapi.CodeUnavailable, "no edge of group %q can carry %s now; its route explains why", w.group, w)
	}
	return nodes[i], why, nil
}

func (s *Service) locate(client netip.Addr) *routing.Position {
	if s.locator == nil || !client.IsValid() {
		return nil
	}
	return s.locator.Locate(client)
}

// address is where a stream is played with a token.
func address(n *nodehealth.Node, text, stream string) string {
	return strings.TrimSuffix(n.URL, "/") + "/live/" + text + "/" + stream + "/index.m3u8"
}

// host is the name of the machine in an edge's URL; empty: there is none.
func host(n *nodehealth.Node) string {
	u, err := url.Parse(n.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
