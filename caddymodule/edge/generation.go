package edge

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/caddymodule/follower"
	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/guard"
)

// configuration is what one Caddy configuration says of the edge. It is kept as long as
// it runs, because it can be needed again: see Host.stop.
type configuration struct {
	node       Node
	group      string
	logger     *zap.Logger
	defaultKey token.KeyRef
	// listeners are where encoders may push.
	listeners []listenerSpec
	// control is whose documents the edge follows. Where there is none, own is the
	// configuration's own document.
	control *follower.Control
	own     *generation
}

// generation is a document under a configuration, made ready to be put in force.
type generation struct {
	*configuration
	document *snapshot.Document // its keys have no secrets any more
	specs    []ingest.StreamSpec
	verifier *token.Verifier
	// pushed are the streams that an encoder may push.
	pushed map[string]bool
}

// Node is what a configuration says of the edge itself, not of its streams.
type Node struct {
	ID       string
	State    string // folder
	FFmpeg   string // program
	HWAccel  HWAccel
	Capacity Capacity
	// StartsPerSecond is 0 for the engine's default.
	StartsPerSecond int
	Sandbox         ingest.SandboxMode
	// Guard is where sources may be.
	Guard guard.Policy
}

// checkReload refuses what the engine was opened with and cannot change; and another
// group, whose documents are counted like those of this one and are others.
func (c *configuration) checkReload(next *configuration) error {
	n, m := c.node, next.node
	fixed := []struct {
		option   string
		is, want any
	}{
		{"id", n.ID, m.ID},
		{"state", n.State, m.State},
		{"ffmpeg", n.FFmpeg, m.FFmpeg},
		{"hwaccel", n.HWAccel, m.HWAccel},
		{"starts_per_second", n.StartsPerSecond, m.StartsPerSecond},
		{"sandbox", n.Sandbox, m.Sandbox},
	}
	for _, f := range fixed {
		if f.is != f.want {
			return cannotChange(f.option, f.is, f.want)
		}
	}
	if c.control != nil && next.control != nil && c.group != next.group {
		return cannotChange("group", c.group, next.group)
	}
	return nil
}

func cannotChange(option string, is, want any) error {
	return fmt.Errorf("a reload cannot change option %q from %v to %v; restart the edge", option, is, want)
}

// newGeneration translates a document that was checked into what the engine and
// the verifier take. It is the one way from a document to streams, whoever wrote it.
func newGeneration(c *configuration, doc *snapshot.Document) (*generation, error) {
	verifier, err := token.NewVerifier(tokenConfig(doc, c.defaultKey, time.Now().Unix()))
	if err != nil {
		return nil, err
	}
	specs, err := streamSpecs(doc, c.node.ID)
	if err != nil {
		return nil, err
	}
	if err := c.node.Capacity.check(specs); err != nil {
		return nil, err
	}
	g := &generation{configuration: c, document: withoutSecrets(doc), specs: specs, verifier: verifier}
	g.pushed = g.pushedStreams()
	return g, nil
}

// check refuses the stream that is one too many for the node, or with which all together
// would keep more cores busy than it may give. 0 is no bound.
func (c Capacity) check(specs []ingest.StreamSpec) error {
	if c.Streams > 0 && len(specs) > c.Streams {
		return fmt.Errorf("stream %q is one too many: the capacity is %d streams; raise it or take streams away", specs[c.Streams].ID, c.Streams)
	}
	var sum float64
	for i := range specs {
		cores := specs[i].Cores()
		if sum += cores; c.CPU > 0 && sum > c.CPU {
			return fmt.Errorf("stream %q is one too many: it takes about %.2f cores, which makes %.2f of the %g that the capacity gives; raise it, take streams away, or copy instead of encoding",
				specs[i].ID, cores, sum, c.CPU)
		}
	}
	return nil
}
