package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/distribution"
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

// ballot lets instances tell each other by the database which edges do not answer them.
type ballot struct{ store *sqlstore.Store }

func (b ballot) Cast(ctx context.Context, instance string, down []string, lease time.Duration) (nodehealth.Tally, error) {
	instances, others, err := b.store.CastVotes(ctx, instance, down, lease)
	return nodehealth.Tally{Instances: instances, Down: others}, err
}

// numbers keeps the streams' highest numbers in the database.
type numbers struct{ store *sqlstore.Store }

func (n numbers) Raise(ctx context.Context, list []controlapi.Numbers) error {
	return n.store.RaiseNumbers(ctx, list)
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

// notify tells the edges' side of changes at once; it would find them by itself within a
// second.
func notify(ctx context.Context, store *sqlstore.Store, edges *distribution.Service) {
	for {
		changed := store.Changed()
		select {
		case <-ctx.Done():
			return
		case <-changed:
			edges.Notify()
		}
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
