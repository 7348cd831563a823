package ingest

import (
	"errors"
	"time"

	"github.com/headrace/headrace/ingest/source"
)

// trouble is what the edge knows of a source that failed. It is more than FFmpeg can
// say: the edge makes the connections.
type trouble struct {
	err *source.Error
	at  time.Time
}

// openWay opens the run's way to its source, if that is one of http, and gives what
// the child's environment must hold for it.
func (r *run) openWay() (environment []string, err error) {
	src := r.spec.Sources[r.source]
	if src.Kind() != source.HTTP {
		return nil, nil
	}
	way, err := r.host.guard.Open(src.URL())
	if err != nil {
		return nil, err
	}
	r.way.Store(way)
	return []string{way.Environment()}, nil
}

// wayPort is the port to which the child must connect; 0: none.
func (r *run) wayPort() uint16 {
	if way := r.way.Load(); way != nil {
		return way.Port()
	}
	return 0
}

// closeWay ends every connection to the source.
func (r *run) closeWay() {
	if way := r.way.Load(); way != nil {
		way.Close()
	}
}

// trouble is what is wrong with the source; nil: nothing that the edge knows of.
// r.mu is held.
func (r *run) trouble() *trouble {
	var failed *source.Error
	if errors.As(r.feedErr, &failed) {
		return &trouble{failed, r.feedEndedAt}
	}
	if way := r.way.Load(); way != nil {
		if failed, at := way.Failure(); failed != nil {
			return &trouble{failed, at}
		}
	}
	return nil
}
