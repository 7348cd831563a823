package edge

import "github.com/headrace/headrace/ingest"

// Readiness says in a word whether new viewers may come. The set is closed.
type Readiness string

// The words. Only Ready is a yes.
const (
	Ready    Readiness = "ready"
	Starting Readiness = "starting"  // no configuration is in force yet, or none any more
	Draining Readiness = "draining"  // an operator wants the edge to be left alone
	NoStream Readiness = "no_stream" // there are streams to carry, and none is live
)

// Readiness tells whether this edge may take new viewers: one live stream is
// enough, or one that its first viewer starts, and so is having none to carry.
// Whether the process is alive is another question, which any answer answers.
func (h *Host) Readiness() Readiness {
	doc := h.Document()
	switch {
	case doc == nil:
		return Starting
	case h.Draining():
		return Draining
	case len(doc.Streams) > 0 && !h.counters.anyIn(ingest.StateLive) && !h.counters.anyIn(ingest.StateIdle):
		return NoStream
	}
	return Ready
}
