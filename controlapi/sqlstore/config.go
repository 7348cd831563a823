package sqlstore

import (
	"context"

	"github.com/headrace/headrace/controlapi"
)

// ConfigVersion gives the version of what snapshots show. It rises in the transaction of
// every such change, in the order of the commits.
func (s *Store) ConfigVersion(ctx context.Context) (epoch, version int64, err error) {
	var row struct{ Epoch, Version int64 }
	err = s.read(ctx, func(t *tx) error {
		return t.get(&row, `SELECT epoch, version FROM config_version WHERE id = 1`)
	})
	return row.Epoch, row.Version, err
}

// Changed gives a channel that is closed when this process has committed a change that
// snapshots show. Changes of other processes are seen by asking ConfigVersion.
func (s *Store) Changed() <-chan struct{} { return s.news.wait() }

// RaiseEpoch begins a new epoch: after a backup was restored, edges take versions again
// that are lower than what they had. It is the operator's step.
func (s *Store) RaiseEpoch(ctx context.Context, sc controlapi.Scope) (epoch int64, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := operatorOnly(sc); err != nil {
			return err
		}
		if err := t.get(&epoch, `UPDATE config_version SET epoch = epoch + 1 WHERE id = 1 RETURNING epoch`); err != nil {
			return err
		}
		t.changed = true
		return t.audit(sc, tenant{controlapi.OperatorID, operatorPath}, "epoch.raise", "config", nil, map[string]int64{"epoch": epoch})
	})
	return epoch, err
}
