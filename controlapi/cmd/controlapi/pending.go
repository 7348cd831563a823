package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/httpapi"
	"github.com/headrace/headrace/controlapi/routing"
)

// pending refuses playback until package playback is there.
type pending struct{}

var errPending = controlapi.Errorf(controlapi.CodeUnavailable, "this control plane does not issue playback yet")

func (pending) Issue(context.Context, controlapi.Scope, httpapi.PlaybackRequest) (httpapi.Issued, error) {
	return httpapi.Issued{}, errPending
}

func (pending) Publish(context.Context, controlapi.Scope, string, time.Duration) (httpapi.Publishing, error) {
	return httpapi.Publishing{}, errPending
}

func (pending) Route(context.Context, controlapi.Scope, string, string, netip.Addr) ([]routing.Explanation, error) {
	return nil, errPending
}
