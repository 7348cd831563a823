package playback

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/nodehealth"
	"github.com/headrace/headrace/controlapi/token"
)

// Publication is where an encoder sends a stream.
type Publication struct {
	// Server is the address as encoders ask for it, StreamKey the rest: it holds the token.
	Server    string
	StreamKey string
	EdgeID    string
	ExpiresAt time.Time
}

const (
	// rtmpPort and rtmpApp are where edges listen unless their Caddyfile says otherwise.
	rtmpPort = 1935
	rtmpApp  = "live"
	// encoder is the user in the tokens of encoders.
	encoder = "encoder"
)

// Publish gives the address and the token with which the scope's reseller feeds a stream.
func (s *Service) Publish(ctx context.Context, scope controlapi.Scope, streamID string, lifetime time.Duration) (Publication, error) {
	g, err := s.store.Publishing(ctx, scope, streamID)
	switch {
	case err != nil:
		return Publication{}, err
	case !g.Granted:
		return Publication{}, controlapi.Errorf(controlapi.CodeForbidden, "reseller %q may not publish stream %q", g.ResellerID, streamID)
	case !g.Pushed:
		return Publication{}, controlapi.Errorf(controlapi.CodeConflict, "stream %q is not pushed; add push: to its sources", streamID)
	case g.Key.KeyID == "":
		return Publication{}, noKey(g.ResellerID, g.GroupID)
	}
	node := packager(s.nodes.View(), g.GroupID, streamID)
	if node == nil || host(node) == "" {
		return Publication{}, controlapi.Errorf(controlapi.CodeUnavailable, "no edge packages stream %q now", streamID)
	}
	claims := token.Claims{
		Kid: g.Key.KeyID, Reseller: g.ResellerID, User: encoder, ID: streamID, Operation: token.Publish, Expires: s.now().Add(lifetime).Unix(),
	}
	text, err := token.Mint(claims, g.Key.Secret.Reveal())
	if err != nil {
		return Publication{}, err
	}
	return Publication{
		Server:    "rtmp://" + net.JoinHostPort(host(node), strconv.Itoa(rtmpPort)) + "/" + rtmpApp,
		StreamKey: streamID + "?token=" + text,
		EdgeID:    node.ID, ExpiresAt: time.Unix(claims.Expires, 0).UTC(),
	}, nil
}

// packager gives the edge that packages a stream; nil: none that answers does.
func packager(view *nodehealth.View, group, stream string) (best *nodehealth.Node) {
	for _, n := range view.Group(group) {
		on, there := n.Streams[stream]
		if !there || on.Role != "primary" || n.State == nodehealth.Down || n.State == nodehealth.Quarantined {
			continue
		}
		// Two may say so for a moment, while one takes over: the later assignment counts.
		if best == nil || on.AssignmentRev > best.Streams[stream].AssignmentRev {
			best = n
		}
	}
	return best
}
