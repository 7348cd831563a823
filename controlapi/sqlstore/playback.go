package sqlstore

import (
	"context"
	"crypto/subtle"
	"time"

	"github.com/headrace/headrace/controlapi"
)

type playbackRow struct {
	UserID       string `db:"user_id"`
	ResellerID   string `db:"reseller_id"`
	Path         string
	Suspended    bool
	Halted       bool
	Expires      int64
	UserMax      int `db:"user_max"`
	PlanMax      int `db:"plan_max"`
	Session      int64
	KeyHash      []byte  `db:"key_hash"`
	TargetID     *string `db:"target_id"`
	GroupID      *string `db:"group_id"`
	Entitled     bool
	OnDemand     *bool `db:"on_demand"`
	Replicas     *int
	Rev          *int64
	Primary      *string `db:"primary_edge"`
	Relays       *string
	Acked        *int64
	Kid          *string
	Secret       *string
	State        *string
	NotAfter     *int64 `db:"not_after"`
	SinceVersion *int64 `db:"since_version"`
}

// The question of a playback check is put together of who asks and for what. It has one
// row per live signing key.
const (
	playbackHead = `WITH RECURSIVE who (id, hash) AS (`
	byUser       = `SELECT id, NULL FROM users WHERE id = ?`
	byPlayKey    = `SELECT user_id, hash FROM play_keys WHERE id = ?`
	// chain are the resellers from the user's up to, but without, the operator.
	playbackChain = `), chain (id, parent_id, path) AS (
			SELECT r.id, r.parent_id, r.path FROM who JOIN users u ON u.id = who.id JOIN resellers r ON r.id = u.reseller_id
			UNION ALL
			SELECT r.id, r.parent_id, r.path FROM chain JOIN resellers r ON r.id = chain.parent_id)
		SELECT u.id AS user_id, u.reseller_id, u.path, u.suspended, r.halted, u.expires, u.max_connections AS user_max, p.max_connections AS plan_max,
			p.session, who.hash AS key_hash, g.id AS group_id, ` + lowestAcked + ` AS acked, k.kid, k.secret, k.state, k.not_after, k.since_version, `
	playbackFrom = ` FROM who JOIN users u ON u.id = who.id JOIN resellers r ON r.id = u.reseller_id JOIN plans p ON p.id = u.plan_id `
	playbackKeys = ` LEFT JOIN signing_keys k ON k.reseller_id = u.reseller_id AND k.group_id = g.id AND k.state IN ('current', 'previous')`
)

var (
	forStream = `s.id AS target_id, s.on_demand, s.replicas, a.rev, a.primary_edge, a.relays,
			EXISTS (SELECT 1 FROM bouquet_streams m JOIN plan_bouquets pb ON pb.bouquet_id = m.bouquet_id WHERE m.stream_id = s.id AND pb.plan_id = u.plan_id)
			AND NOT EXISTS (SELECT 1 FROM chain a WHERE a.parent_id IS NOT NULL AND NOT (` + ownsStream + `) AND NOT ` + granted(toShow) + `) AS entitled` +
		playbackFrom + `LEFT JOIN streams s ON s.id = ? LEFT JOIN assignments a ON a.stream_id = s.id LEFT JOIN edge_groups g ON g.id = s.group_id` + playbackKeys

	// What the reseller may not show of a bouquet, the edges refuse; but a bouquet of which
	// it may show nothing is none.
	forBouquet = `b.id AS target_id, NULL AS on_demand, NULL AS replicas, NULL AS rev, NULL AS primary_edge, NULL AS relays,
			b.id IS NOT NULL AND EXISTS (SELECT 1 FROM bouquet_streams m JOIN streams s ON s.id = m.stream_id WHERE m.bouquet_id = b.id AND s.group_id = g.id
			AND NOT EXISTS (SELECT 1 FROM chain a WHERE a.parent_id IS NOT NULL AND NOT (` + ownsStream + `) AND NOT ` + granted(toShow) + `)) AS entitled` +
		playbackFrom + `LEFT JOIN plan_bouquets b0 ON b0.plan_id = u.plan_id AND b0.bouquet_id = ? LEFT JOIN bouquets b ON b.id = b0.bouquet_id
			LEFT JOIN edge_groups g ON g.id = ?` + playbackKeys

	streamByUser     = playbackHead + byUser + playbackChain + forStream
	streamByPlayKey  = playbackHead + byPlayKey + playbackChain + forStream
	bouquetByUser    = playbackHead + byUser + playbackChain + forBouquet
	bouquetByPlayKey = playbackHead + byPlayKey + playbackChain + forBouquet
)

// Playback answers all that the playback check of a user in scope needs, in one question
// to the database. A stream that is not there is one that nobody is entitled to.
func (s *Store) Playback(ctx context.Context, sc controlapi.Scope, q controlapi.PlaybackQuery) (g controlapi.PlaybackGrant, err error) {
	err = s.read(ctx, func(t *tx) error {
		rows, err := t.playback(streamByUser, bouquetByUser, q.UserID, q)
		if err != nil {
			return err
		}
		if len(rows) == 0 || !sc.Contains(rows[0].Path) {
			return controlapi.NotFound("user")
		}
		g, err = t.playbackGrant(rows, q)
		return err
	})
	return g, err
}

// PlaybackByKey is Playback for whoever has a user's play key.
func (s *Store) PlaybackByKey(ctx context.Context, q controlapi.PlaybackQuery) (g controlapi.PlaybackGrant, err error) {
	id, hash, ok := controlapi.ParseCredential(controlapi.PlayKeyCredential, q.PlayKey.Reveal())
	if !ok {
		return g, errCredential
	}
	err = s.read(ctx, func(t *tx) error {
		rows, err := t.playback(streamByPlayKey, bouquetByPlayKey, id, q)
		if err != nil {
			return err
		}
		var kept []byte
		if len(rows) > 0 {
			kept = rows[0].KeyHash
		}
		if subtle.ConstantTimeCompare(kept, hash[:]) != 1 {
			return errCredential
		}
		g, err = t.playbackGrant(rows, q)
		return err
	})
	return g, err
}

func (t *tx) playback(stream, bouquet, who string, q controlapi.PlaybackQuery) (rows []playbackRow, err error) {
	if q.BouquetID == "" {
		return rows, t.list(&rows, stream, who, q.StreamID)
	}
	group := q.GroupID
	if group == "" {
		group = controlapi.DefaultGroupID
	}
	return rows, t.list(&rows, bouquet, who, q.BouquetID, group)
}

func (t *tx) playbackGrant(rows []playbackRow, q controlapi.PlaybackQuery) (controlapi.PlaybackGrant, error) {
	r := &rows[0]
	g := controlapi.PlaybackGrant{
		UserID: r.UserID, ResellerID: r.ResellerID, Suspended: r.Suspended, Halted: r.Halted, ExpiresAt: fromMicros(r.Expires),
		MaxConnections: connections(r.UserMax, r.PlanMax), Session: time.Duration(r.Session) * time.Second,
		Entitled: r.Entitled, StreamID: q.StreamID, BouquetID: q.BouquetID, GroupID: deref(r.GroupID), OnDemand: deref(r.OnDemand),
	}
	if r.TargetID == nil || r.GroupID == nil {
		g.Entitled = false
		return g, nil
	}
	if q.BouquetID == "" {
		relays, err := fromJSONList(deref(r.Relays))
		if err != nil {
			return g, err
		}
		g.Assignment = controlapi.Assignment{
			StreamID: q.StreamID, GroupID: g.GroupID, Rev: deref(r.Rev), Primary: deref(r.Primary), Relays: relays,
			Replicas: deref(r.Replicas), OnDemand: g.OnDemand,
		}
	}
	var keys []signingKeyRow
	for _, k := range rows {
		if k.Kid != nil {
			keys = append(keys, signingKeyRow{
				ResellerID: r.ResellerID, GroupID: g.GroupID, KeyID: *k.Kid, Secret: k.Secret, State: deref(k.State),
				NotAfter: deref(k.NotAfter), Since: deref(k.SinceVersion),
			})
		}
	}
	var err error
	g.Key, err = t.pick(keys, r.Acked)
	return g, err
}

// connections is what counts of a user's own limit and its plan's, of which 0 is none.
func connections(user, plan int) int {
	if user == 0 || plan > 0 && plan < user {
		return plan
	}
	return user
}

func deref[T any](p *T) (x T) {
	if p != nil {
		x = *p
	}
	return x
}
