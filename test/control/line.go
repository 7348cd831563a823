package control

import (
	"context"
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Line is a connection that others have to a control plane, which can be cut.
type Line struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

// NewLine lays a line to a control plane that serves.
func NewLine(t testing.TB, n *Node) *Line {
	t.Helper()
	l := &Line{t: t, proxy: toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "control", "127.0.0.1:0", n.address)}
	if err := l.proxy.Start(); err != nil {
		t.Fatal("laying a line to the control plane:", err)
	}
	t.Cleanup(l.proxy.Stop)
	return l
}

// URL is the control plane's, as seen from the other end.
func (l *Line) URL() string { return "http://" + l.proxy.Listen }

// Cut makes the line a black hole: connections are made, and nothing comes through.
func (l *Line) Cut() {
	l.t.Helper()
	for _, way := range []string{"upstream", "downstream"} {
		toxic := `{"name": "` + way + `", "type": "timeout", "stream": "` + way + `", "attributes": {"timeout": 0}}`
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			l.t.Fatal("cutting the line:", err)
		}
	}
}

// Mend brings the line back. What was lost in it is lost.
func (l *Line) Mend() {
	l.t.Helper()
	for _, way := range []string{"upstream", "downstream"} {
		if err := l.proxy.Toxics.RemoveToxic(context.Background(), way); err != nil {
			l.t.Fatal("mending the line:", err)
		}
	}
}
