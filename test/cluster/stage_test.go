// Package cluster runs control planes and edges together, and breaks what is between
// them.
package cluster

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/test/control"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/postgres"
)

func TestMain(m *testing.M) {
	os.Exit(postgres.With(func() int {
		return control.With(func() int { return edge.Main(m) })
	}))
}

// stage is a control plane, an edge that has joined it by a line, and a viewer account.
type stage struct {
	t       *testing.T
	control *control.Node
	line    *control.Line
	edge    *edge.Node
	market  control.Market
}

// newStage returns when the streams, which are test pictures, are on the air.
func newStage(t *testing.T, c control.Config, streams ...string) *stage {
	t.Helper()
	s := &stage{t: t, control: control.Start(t, c)}
	s.line = control.NewLine(t, s.control)
	s.edge = edge.New(t, edge.Config{})
	s.edge.Join(s.line.URL(), s.control.Edge("edge-1", "http://"+s.edge.Address()))
	for _, id := range streams {
		s.control.Stream(id)
	}
	s.market = s.control.Open(streams...)
	s.edge.Launch()
	s.edge.AwaitStreams(time.Minute, streams...)
	return s
}

// playback is a URL that plays a stream.
func (s *stage) playback(stream string) string {
	s.t.Helper()
	tick := time.NewTicker(200 * time.Millisecond) // requests are limited
	defer tick.Stop()
	var p control.Playback
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		var err error
		if p, err = s.control.Playback(s.market, stream); err == nil {
			break
		}
		if control.Refused(err) != http.StatusServiceUnavailable || time.Now().After(end) {
			s.t.Fatal("asking for playback: ", err)
		}
	}
	return p.URL
}

// media is the URL of the media playlist of a stream's one rendition.
func (s *stage) media(stream string) string {
	s.t.Helper()
	return strings.TrimSuffix(s.playback(stream), "index.m3u8") + "240p/index.m3u8"
}
