package distribution

import (
	"encoding/json"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/snapshot"
)

// Bounds of bodies, in octets.
const (
	maxAck  = 16 << 10
	maxJoin = 1 << 10
)

// serveAck takes down what became of a version on an edge.
func (s *Service) serveAck(w http.ResponseWriter, r *http.Request) {
	edge, err := s.store.AuthenticateEdge(r.Context(), bearer(r))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var ack snapshot.Ack
	if err := read(w, r, maxAck, &ack); err != nil {
		s.fail(w, r, err)
		return
	}
	if err := ack.Check(); err != nil {
		s.fail(w, r, controlapi.Invalid("body", err.Error()))
		return
	}
	record := controlapi.Ack{Epoch: ack.Epoch, Version: ack.Number}
	if ack.Outcome == snapshot.Rejected {
		record.Rejected = ack.Reason
		if record.Rejected == "" {
			record.Rejected = "the edge gave no reason"
		}
	}
	if err := s.store.RecordAck(r.Context(), edge.ID, record); err != nil {
		s.fail(w, r, err)
		return
	}
	if ack.Outcome == snapshot.Applied { // of one that was rejected, the next poll says what the edge has
		s.report(edge.ID, ack.Version, ack.Health)
	}
	if ack.Outcome == snapshot.Applied {
		s.counts.applied.Add(1)
	} else {
		s.counts.rejected.Add(1)
		s.log.Error("an edge rejected a snapshot and goes on with the one before",
			zap.String("edge_id", edge.ID), zap.Stringer("snapshot_version", ack.Version), zap.String("reason", ack.Reason))
	}
	w.WriteHeader(http.StatusNoContent)
}

// serveJoin exchanges a join code for a credential.
func (s *Service) serveJoin(w http.ResponseWriter, r *http.Request) {
	var join snapshot.Join
	if err := read(w, r, maxJoin, &join); err != nil {
		s.fail(w, r, err)
		return
	}
	edge, credential, err := s.store.RedeemJoinCode(r.Context(), join.Code)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.Info("an edge has joined", zap.String("edge_id", edge.ID), zap.String("group", edge.GroupID))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(snapshot.Joined{ // a failed write is the asker's loss: a new code helps
		EdgeID: edge.ID, Group: edge.GroupID, Credential: credential.Reveal(),
	})
}

// read reads a body of JSON. Members that are not known are ignored: an edge may be
// newer than its control plane.
func read(w http.ResponseWriter, r *http.Request, limit int64, to any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit)).Decode(to)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return errTooLarge
	case err != nil:
		return controlapi.Invalid("body", "it is not the JSON that belongs here")
	}
	return nil
}
