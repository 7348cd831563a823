package httpapi

import (
	"context"
	"net/netip"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/routing"
)

// decided decides as if there were one edge that takes everybody.
type decided struct{ store Store }

func (d decided) Issue(ctx context.Context, scope controlapi.Scope, in PlaybackRequest) (Issued, error) {
	if _, err := d.store.User(ctx, scope, in.UserID); err != nil {
		return Issued{}, err
	}
	return Issued{URL: "https://edge.example/live/t/501/index.m3u8", Token: "t", ExpiresAt: time.Now().Add(time.Hour), EdgeID: "edge-1", Why: []Judged{}}, nil
}

func (d decided) Publish(ctx context.Context, scope controlapi.Scope, streamID string, lifetime time.Duration) (Publishing, error) {
	if _, err := d.store.Stream(ctx, scope, streamID); err != nil {
		return Publishing{}, err
	}
	return Publishing{Server: "rtmp://edge.example/live", StreamKey: "501?token=t", EdgeID: "edge-1", ExpiresAt: time.Now().Add(lifetime)}, nil
}

func (d decided) Route(ctx context.Context, scope controlapi.Scope, streamID, _ string, _ netip.Addr) ([]routing.Explanation, error) {
	_, err := d.store.Stream(ctx, scope, streamID)
	return nil, err
}

// seen has seen one edge, which is well.
type seen struct{}

func (seen) Edge(string) EdgeHealth       { return EdgeHealth{State: "healthy", Score: 100, Headroom: 1} }
func (seen) Stream(string) []StreamOnEdge { return nil }
