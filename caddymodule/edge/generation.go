package edge

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/guard"
)

// generation is one configuration, made ready to be put in force. It is kept as
// long as it runs, because it can be needed again: see Host.stop.
type generation struct {
	node     Node
	logger   *zap.Logger
	document *snapshot.Document // its keys have no secrets any more
	specs    []ingest.StreamSpec
	verifier *token.Verifier
	// pushed are the streams that an encoder may push, listeners where to.
	pushed    map[string]bool
	listeners []listenerSpec
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

// checkReload refuses what the engine was opened with and cannot change.
func (n Node) checkReload(next Node) error {
	for _, fixed := range []struct {
		option   string
		is, want any
	}{
		{"id", n.ID, next.ID},
		{"state", n.State, next.State},
		{"ffmpeg", n.FFmpeg, next.FFmpeg},
		{"hwaccel", n.HWAccel, next.HWAccel},
		{"starts_per_second", n.StartsPerSecond, next.StartsPerSecond},
		{"sandbox", n.Sandbox, next.Sandbox},
	} {
		if fixed.is != fixed.want {
			return fmt.Errorf("a reload cannot change option %q from %v to %v; restart the edge", fixed.option, fixed.is, fixed.want)
		}
	}
	return nil
}

// newGeneration translates a document that was checked into what the engine and
// the verifier take.
func newGeneration(node Node, doc *snapshot.Document, defaultKey token.KeyRef, logger *zap.Logger) (*generation, error) {
	verifier, err := token.NewVerifier(tokenConfig(doc, defaultKey, time.Now().Unix()))
	if err != nil {
		return nil, err
	}
	specs, err := streamSpecs(doc, node.ID)
	if err != nil {
		return nil, err
	}
	if err := checkCores(specs, node.Capacity.CPU); err != nil {
		return nil, err
	}
	g := &generation{node: node, logger: logger, document: withoutSecrets(doc), specs: specs, verifier: verifier}
	g.pushed = g.pushedStreams()
	return g, nil
}

// checkCores refuses the stream with which all together would keep more cores busy
// than the node may give. 0 is no bound.
func checkCores(specs []ingest.StreamSpec, capacity float64) error {
	var sum float64
	for i := range specs {
		cores := specs[i].Cores()
		if sum += cores; capacity > 0 && sum > capacity {
			return fmt.Errorf("stream %q is one too many: it takes about %.2f cores, which makes %.2f of the %g that the capacity gives; raise it, take streams away, or copy instead of encoding",
				specs[i].ID, cores, sum, capacity)
		}
	}
	return nil
}
