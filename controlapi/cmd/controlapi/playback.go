package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/httpapi"
	"github.com/headrace/headrace/controlapi/playback"
	"github.com/headrace/headrace/controlapi/routing"
)

// playbackAPI is playback in the words of the API.
type playbackAPI struct{ service *playback.Service }

func (p playbackAPI) Issue(ctx context.Context, scope controlapi.Scope, in httpapi.PlaybackRequest) (httpapi.Issued, error) {
	var client netip.Addr
	if in.Client != "" {
		addr, err := netip.ParseAddr(in.Client)
		if err != nil {
			return httpapi.Issued{}, controlapi.Invalid("client", "it is no IPv4 or IPv6 address")
		}
		client = addr.Unmap()
	}
	t, err := p.service.Issue(ctx, scope, playback.Request{
		UserID: in.UserID, StreamID: in.StreamID, BouquetID: in.BouquetID, GroupID: in.GroupID, Client: client, BindOctets: in.BindTo,
	})
	if err != nil {
		return httpapi.Issued{}, err
	}
	issued := httpapi.Issued{URL: t.URL, Token: t.Token, ExpiresAt: t.ExpiresAt, EdgeID: t.EdgeID, Why: make([]httpapi.Judged, 0, len(t.Why))}
	for _, e := range t.Why {
		issued.Why = append(issued.Why, httpapi.Judge(e))
	}
	return issued, nil
}

func (p playbackAPI) Publish(ctx context.Context, scope controlapi.Scope, streamID string, lifetime time.Duration) (httpapi.Publishing, error) {
	x, err := p.service.Publish(ctx, scope, streamID, lifetime)
	if err != nil {
		return httpapi.Publishing{}, err
	}
	return httpapi.Publishing{Server: x.Server, StreamKey: x.StreamKey, EdgeID: x.EdgeID, ExpiresAt: x.ExpiresAt}, nil
}

func (p playbackAPI) Route(ctx context.Context, scope controlapi.Scope, streamID, userID string, client netip.Addr) ([]routing.Explanation, error) {
	return p.service.Route(ctx, scope, streamID, userID, client)
}
