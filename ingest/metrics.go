package ingest

// Metrics is told what happens. Its methods are called by many goroutines and must
// not block.
type Metrics interface {
	// Started counts a child that was started.
	Started(stream string)
	// Restarted counts a child that ended and why.
	Restarted(stream string, reason Reason)
	// Published counts a numbered set of segments and its bytes over all renditions.
	Published(stream string, bytes int)
	// State is the stream's new state.
	State(stream string, state State)
	// Removed says that the stream is gone and its series may go too.
	Removed(stream string)
}

// NopMetrics counts nothing.
type NopMetrics struct{}

// Started implements Metrics.
func (NopMetrics) Started(string) {}

// Restarted implements Metrics.
func (NopMetrics) Restarted(string, Reason) {}

// Published implements Metrics.
func (NopMetrics) Published(string, int) {}

// State implements Metrics.
func (NopMetrics) State(string, State) {}

// Removed implements Metrics.
func (NopMetrics) Removed(string) {}
