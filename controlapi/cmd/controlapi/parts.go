package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/assignment"
	"github.com/headrace/headrace/controlapi/nodehealth"
	"github.com/headrace/headrace/controlapi/sqlstore"
)

// What fits the parts to each other.

// instanceName is this instance's among those of the control plane: no two are the same,
// on one machine either.
func instanceName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "controlapi"
	}
	return host + "-" + rand.Text()[:8]
}

// recordChange makes an event of an edge that went from one state to another.
func recordChange(ctx context.Context, store *sqlstore.Store, c nodehealth.Change, log *zap.Logger) {
	data, err := json.Marshal(map[string]any{"from": c.From, "to": c.To, "instance": c.Instance, "group_id": c.GroupID})
	if err == nil {
		err = store.AddEvent(ctx, controlapi.Event{Time: c.At, Kind: "edge_state", Subject: "edge/" + c.EdgeID, ResellerID: controlapi.OperatorID, Reason: string(c.Reason), Data: data})
	}
	if err != nil {
		log.Warn("event not recorded", zap.String("edge_id", c.EdgeID), zap.Error(err))
	}
}

// recordMove makes an event of a stream that was given to other edges.
func recordMove(ctx context.Context, store *sqlstore.Store, m assignment.Move, log *zap.Logger) {
	data, err := json.Marshal(m)
	if err == nil {
		err = store.AddEvent(ctx, controlapi.Event{Kind: "assignment", Subject: "stream/" + m.StreamID, ResellerID: controlapi.OperatorID, Reason: string(m.Reason), Data: data})
	}
	if err != nil {
		log.Warn("event not recorded", zap.String("stream_id", m.StreamID), zap.Error(err))
	}
}

// pruneEvery is how often what has had its time is taken out of the database.
const pruneEvery = 10 * time.Minute

func prune(ctx context.Context, store *sqlstore.Store, log *zap.Logger) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		if err := store.Prune(ctx); err != nil && ctx.Err() == nil {
			log.Warn("database not pruned", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
