package distribution

import (
	"context"
	"sync"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/snapshot"
)

// fakeStore is a database in memory: one group, and edges by their credentials. What a
// function field is set for, it does instead.
type fakeStore struct {
	mu      sync.Mutex
	version snapshot.Version
	streams []string
	edges   map[string]controlapi.EdgeIdentity
	acks    map[string]controlapi.Ack
	reads   map[snapshot.Version]int // of the document, by version
	news    chan struct{}

	ConfigVersionFn func() (epoch, version int64, err error)
	DocumentFn      func(ctx context.Context, group string) (*snapshot.Document, error)
	AuthenticateFn  func() (controlapi.EdgeIdentity, error)
}

func newFakeStore(edges ...string) *fakeStore {
	s := &fakeStore{
		version: snapshot.Version{Epoch: 1, Number: 1}, streams: []string{"news"},
		edges: make(map[string]controlapi.EdgeIdentity), acks: make(map[string]controlapi.Ack), reads: make(map[snapshot.Version]int), news: make(chan struct{}),
	}
	for _, id := range edges {
		s.edges["credential-of-"+id] = controlapi.EdgeIdentity{ID: id, GroupID: "default"}
	}
	return s
}

// change counts a new version, with one stream more, and tells it where it is made here.
func (s *fakeStore) change(stream string, here bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if here {
		close(s.news)
		s.news = make(chan struct{})
	}
	s.version.Number++
	s.streams = append(s.streams, stream)
}

func (s *fakeStore) revoke(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.edges, "credential-of-"+id)
}

func (s *fakeStore) readsOf(v snapshot.Version) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads[v]
}

func (s *fakeStore) ConfigVersion(context.Context) (epoch, version int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ConfigVersionFn != nil {
		return s.ConfigVersionFn()
	}
	return s.version.Epoch, s.version.Number, nil
}

func (s *fakeStore) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.news
}

func (s *fakeStore) Document(ctx context.Context, group string) (*snapshot.Document, error) {
	if s.DocumentFn != nil {
		return s.DocumentFn(ctx, group)
	}
	return s.document(group), nil
}

func (s *fakeStore) document(group string) *snapshot.Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads[s.version]++
	d := &snapshot.Document{Epoch: s.version.Epoch, Version: s.version.Number, Group: group, IssuedAt: 1_790_000_000}
	for _, e := range s.edges {
		d.Edges = append(d.Edges, snapshot.Edge{ID: e.ID})
	}
	for _, id := range s.streams {
		d.Streams = append(d.Streams, snapshot.Stream{
			ID: id, Sources: []string{"test:"}, Renditions: []snapshot.Rendition{{Name: "source", Copy: true}},
			SegmentSeconds: 2, LongestGOPSeconds: 2, Window: 8,
		})
	}
	return d
}

func (s *fakeStore) AuthenticateEdge(_ context.Context, credential string) (controlapi.EdgeIdentity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.AuthenticateFn != nil {
		return s.AuthenticateFn()
	}
	if e, ok := s.edges[credential]; ok {
		return e, nil
	}
	return controlapi.EdgeIdentity{}, controlapi.Errorf(controlapi.CodeUnauthenticated, "the edge's credential is not known, or was revoked")
}

func (s *fakeStore) RecordAck(_ context.Context, edgeID string, ack controlapi.Ack) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acks[edgeID] = ack
	return nil
}

func (s *fakeStore) RedeemJoinCode(_ context.Context, code string) (controlapi.Edge, controlapi.Secret, error) {
	if code != "hrj_good" {
		return controlapi.Edge{}, "", controlapi.Errorf(controlapi.CodeUnauthenticated, "the join code is not known, was used, or has expired")
	}
	return controlapi.Edge{ID: "edge-1", GroupID: "default"}, "hre_secret", nil
}
