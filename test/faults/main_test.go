package faults

import (
	"flag"
	"os"
	"testing"

	"github.com/headrace/headrace/test/control"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// loops are made once for all tests.
var loops origin.Library

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(control.With(func() int { return edge.Main(m) }))
}

// studio is where a test's feeds come from.
type studio struct {
	*origin.Server
	t testing.TB
}

func newStudio(t testing.TB) studio {
	t.Helper()
	s, err := origin.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return studio{s, t}
}

// loop makes a recipe's loop.
func (s studio) loop(r origin.Recipe) *origin.Loop {
	s.t.Helper()
	l, err := loops.Loop(s.t.Context(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// feed puts a recipe on the air.
func (s studio) feed(name string, r origin.Recipe, o origin.Options) *origin.Feed {
	s.t.Helper()
	return s.Add(name, s.loop(r), o)
}

// stream puts a recipe on the air and gives the stream that copies it.
func (s studio) stream(name string, r origin.Recipe, o origin.Options) edge.Stream {
	s.t.Helper()
	return edge.Copy(name, s.URL(s.feed(name, r, o)))
}
