package sqlstore

import (
	"context"
	"slices"

	"github.com/headrace/headrace/controlapi"
)

// Publishing answers all that an encoder's address needs: the stream as the scope's
// reseller sees it, whether it may feed it, and the key that signs.
func (s *Store) Publishing(ctx context.Context, sc controlapi.Scope, streamID string) (g controlapi.PublishGrant, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		row, err := t.streamRow(sc, streamID)
		if err != nil {
			return err
		}
		stream, err := t.streamOf(&row)
		if err != nil {
			return err
		}
		g = controlapi.PublishGrant{
			ResellerID: sc.ResellerID(), StreamID: stream.ID, GroupID: stream.GroupID, Pushed: slices.Contains(stream.Sources, "push:"),
		}
		if sc.Contains(row.Path) {
			g.Granted = true
		} else {
			condition, args := effective(sc.Path(), toPublish)
			if err := t.get(&g.Granted, `SELECT EXISTS (SELECT 1 FROM streams s WHERE s.id = ? AND `+condition+`)`, append([]any{streamID}, args...)...); err != nil {
				return err
			}
		}
		g.Key, err = t.signingKey(sc.ResellerID(), stream.GroupID)
		return err
	})
	return g, err
}
