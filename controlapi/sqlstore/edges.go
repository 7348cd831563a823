package sqlstore

import (
	"context"
	"math"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/keyring"
)

const edgeColumns = `SELECT id, group_id, url, health_url, egress, streams, latitude, longitude, state, credential_id, probe_key, join_expires,
	applied_epoch, applied_version, applied_at, rejected_epoch, rejected_version, rejected_at, rejected_reason, version, created FROM edges `

type edgeRow struct {
	ID              string
	GroupID         string `db:"group_id"`
	URL             string
	HealthURL       string `db:"health_url"`
	Egress          int64
	Streams         int
	Latitude        *float64
	Longitude       *float64
	State           string
	CredentialID    *string `db:"credential_id"`
	ProbeKey        *string `db:"probe_key"`
	JoinExpires     int64   `db:"join_expires"`
	AppliedEpoch    int64   `db:"applied_epoch"`
	AppliedVersion  int64   `db:"applied_version"`
	AppliedAt       int64   `db:"applied_at"`
	RejectedEpoch   int64   `db:"rejected_epoch"`
	RejectedVersion int64   `db:"rejected_version"`
	RejectedAt      int64   `db:"rejected_at"`
	RejectedReason  string  `db:"rejected_reason"`
	Version         int64
	Created         int64
}

func (r *edgeRow) domain() (controlapi.Edge, error) {
	e := controlapi.Edge{
		ID: r.ID, GroupID: r.GroupID, URL: r.URL, HealthURL: r.HealthURL, Capacity: controlapi.Capacity{Egress: r.Egress, Streams: r.Streams},
		State: controlapi.EdgeState(r.State), Joined: r.CredentialID != nil, JoinExpiresAt: fromMicros(r.JoinExpires),
		Report: controlapi.EdgeReport{
			Epoch: r.AppliedEpoch, Version: r.AppliedVersion, AppliedAt: fromMicros(r.AppliedAt),
			RejectedEpoch: r.RejectedEpoch, RejectedVersion: r.RejectedVersion, RejectedAt: fromMicros(r.RejectedAt), RejectedReason: r.RejectedReason,
		},
		Version: r.Version, CreatedAt: fromMicros(r.Created),
	}
	if r.Latitude != nil && r.Longitude != nil {
		e.Location = &controlapi.Location{Latitude: *r.Latitude, Longitude: *r.Longitude}
	}
	return e, nil
}

func (t *tx) edge(sc controlapi.Scope, id string) (controlapi.Edge, error) {
	var row edgeRow
	err := orNotFound(t.get(&row, edgeColumns+`WHERE id = ?`, id), "edge")
	if err == nil && !sc.IsOperator() {
		err = controlapi.NotFound("edge")
	}
	if err != nil {
		return controlapi.Edge{}, err
	}
	return row.domain()
}

// Edge gives one. Edges are the operator's: for everybody else there are none.
func (s *Store) Edge(ctx context.Context, sc controlapi.Scope, id string) (e controlapi.Edge, err error) {
	err = s.read(ctx, func(t *tx) error {
		e, err = t.edge(sc, id)
		return err
	})
	return e, err
}

// Edges lists them, those of one group if it is not empty.
func (s *Store) Edges(ctx context.Context, sc controlapi.Scope, groupID string, p controlapi.Page) (l controlapi.List[controlapi.Edge], err error) {
	err = s.read(ctx, func(t *tx) error {
		limit, err := limitOf(p)
		if err != nil {
			return err
		}
		c, err := parseCursor(p.After, 2)
		if err != nil {
			return err
		}
		created, err := c.number(0)
		if err != nil {
			return err
		}
		var rows []edgeRow
		if sc.IsOperator() {
			err = t.list(&rows, edgeColumns+`WHERE (created, id) > (?, ?) AND (group_id = ? OR ? = '') ORDER BY created, id LIMIT ?`,
				created, c[1], groupID, groupID, limit+1)
		}
		if err != nil {
			return err
		}
		l, err = pageOf(rows, limit, (*edgeRow).domain, func(r *edgeRow) cursor { return cursor{text(r.Created), r.ID} })
		return err
	})
	return l, err
}

// joinCodeLife is how long a join code is good.
const joinCodeLife = 24 * time.Hour

// CreateEdge makes an edge and its join code, which is to be had only now.
func (s *Store) CreateEdge(ctx context.Context, sc controlapi.Scope, in controlapi.EdgeCreate) (e controlapi.Edge, code controlapi.Secret, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := operatorOnly(sc); err != nil {
			return err
		}
		id, err := newID(sc, "edge", in.ID)
		if err != nil {
			return err
		}
		if in.GroupID == "" {
			in.GroupID = controlapi.DefaultGroupID
		}
		if err := checkEdge(in.URL, in.HealthURL, in.Capacity, in.Location); err != nil {
			return err
		}
		if _, err := t.group(in.GroupID); err != nil {
			return err
		}
		lat, lon := degrees(in.Location)
		join := controlapi.NewCredential(controlapi.JoinCode)
		err = t.do(`INSERT INTO edges (id, group_id, url, health_url, egress, streams, latitude, longitude, state, join_id, join_hash, join_expires, created)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'active', ?, ?, ?, ?)`,
			id, in.GroupID, in.URL, in.HealthURL, in.Capacity.Egress, in.Capacity.Streams, lat, lon, join.ID, join.Hash[:], micros(t.now.Add(joinCodeLife)), micros(t.now))
		if err := orExists(err, "edge", id); err != nil {
			return err
		}
		if e, err = t.edge(sc, id); err != nil {
			return err
		}
		code = join.Text
		t.changed = true
		return t.audit(sc, operatorTenant, "edge.create", "edge/"+id, nil, e)
	})
	return e, code, err
}

func checkEdge(url, healthURL string, c controlapi.Capacity, at *controlapi.Location) error {
	if err := checkURL("url", url, true); err != nil {
		return err
	}
	if err := checkURL("health_url", healthURL, false); err != nil {
		return err
	}
	if err := checkRange("capacity.egress", c.Egress, 0, 1<<50); err != nil {
		return err
	}
	if err := checkRange("capacity.streams", c.Streams, 0, 100_000); err != nil {
		return err
	}
	if at != nil && !(math.Abs(at.Latitude) <= 90 && math.Abs(at.Longitude) <= 180) {
		return controlapi.Invalid("location", "a latitude is -90 to 90, a longitude -180 to 180 degrees")
	}
	return nil
}

func degrees(at *controlapi.Location) (lat, lon *float64) {
	if at == nil {
		return nil, nil
	}
	return &at.Latitude, &at.Longitude
}

// UpdateEdge changes an edge: also whether it drains.
func (s *Store) UpdateEdge(ctx context.Context, sc controlapi.Scope, id string, version int64, in controlapi.EdgeUpdate) (e controlapi.Edge, err error) {
	err = s.write(ctx, func(t *tx) error {
		before, err := t.edge(sc, id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "edge"); err != nil {
			return err
		}
		e = before
		set(&e.URL, in.URL)
		set(&e.HealthURL, in.HealthURL)
		set(&e.Capacity, in.Capacity)
		set(&e.State, in.State)
		if in.Location != nil || in.ClearLocation {
			e.Location = in.Location
		}
		if err := checkEdge(e.URL, e.HealthURL, e.Capacity, e.Location); err != nil {
			return err
		}
		switch {
		case before.State == controlapi.EdgeRevoked && e.State != before.State:
			return controlapi.Errorf(controlapi.CodeConflict, "the edge was revoked; give it a new join code")
		case before.State != controlapi.EdgeRevoked && e.State != controlapi.EdgeActive && e.State != controlapi.EdgeDraining:
			return controlapi.Invalid("state", "choose active or draining")
		}
		lat, lon := degrees(e.Location)
		n, err := t.exec(`UPDATE edges SET url = ?, health_url = ?, egress = ?, streams = ?, latitude = ?, longitude = ?, state = ?, version = version + 1
			WHERE id = ? AND version = ?`, e.URL, e.HealthURL, e.Capacity.Egress, e.Capacity.Streams, lat, lon, string(e.State), id, version)
		if err := changedRow(n, err, "edge"); err != nil {
			return err
		}
		e.Version++
		t.changed = true
		return t.audit(sc, operatorTenant, "edge.update", "edge/"+id, before, e)
	})
	return e, err
}

// RevokeEdge ends an edge's credential and its join code, and takes it from the
// snapshots. It may join again with a new code.
func (s *Store) RevokeEdge(ctx context.Context, sc controlapi.Scope, id string, version int64) (e controlapi.Edge, err error) {
	err = s.write(ctx, func(t *tx) error {
		before, err := t.edge(sc, id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "edge"); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE edges SET state = 'revoked', credential_id = NULL, credential_hash = NULL, probe_key = NULL,
			join_id = NULL, join_hash = NULL, join_expires = 0, version = version + 1 WHERE id = ? AND version = ?`, id, version)
		if err := changedRow(n, err, "edge"); err != nil {
			return err
		}
		if e, err = t.edge(sc, id); err != nil {
			return err
		}
		t.changed = true
		return t.audit(sc, operatorTenant, "edge.revoke", "edge/"+id, before, e)
	})
	return e, err
}

// DeleteEdge takes an edge away. Streams that are pinned to it must be unpinned before.
func (s *Store) DeleteEdge(ctx context.Context, sc controlapi.Scope, id string, version int64) error {
	return s.write(ctx, func(t *tx) error {
		before, err := t.edge(sc, id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "edge"); err != nil {
			return err
		}
		var pinned int64
		if err := t.get(&pinned, `SELECT COUNT(*) FROM streams WHERE group_id = ? AND (pin_primary = ? OR pin_relays LIKE ? ESCAPE '\')`,
			before.GroupID, id, `%"`+likeEscape.Replace(id)+`"%`); err != nil {
			return err
		}
		if pinned > 0 {
			return controlapi.Errorf(controlapi.CodeConflict, "%d streams are pinned to the edge; unpin them first", pinned)
		}
		n, err := t.exec(`DELETE FROM edges WHERE id = ? AND version = ?`, id, version)
		if err := changedRow(n, err, "edge"); err != nil {
			return err
		}
		t.changed = true
		return t.audit(sc, operatorTenant, "edge.delete", "edge/"+id, before, nil)
	})
}

func probeKeyPlace(edge string) keyring.Place {
	return keyring.Place{Table: "edges", Row: edge, Column: "probe_key"}
}

// ProbeTargets are all edges that have not been revoked, with what the prober needs.
func (s *Store) ProbeTargets(ctx context.Context) (targets []controlapi.ProbeTarget, err error) {
	err = s.read(ctx, func(t *tx) error {
		var rows []edgeRow
		if err := t.list(&rows, edgeColumns+`WHERE state <> 'revoked' ORDER BY id`); err != nil {
			return err
		}
		targets = make([]controlapi.ProbeTarget, 0, len(rows))
		for i := range rows {
			e, err := rows[i].domain()
			if err != nil {
				return err
			}
			target := controlapi.ProbeTarget{
				ID: e.ID, GroupID: e.GroupID, URL: e.ProbeURL(), ViewURL: e.URL, State: e.State, Capacity: e.Capacity, Location: e.Location, Report: e.Report,
			}
			if sealed := rows[i].ProbeKey; sealed != nil {
				if target.ProbeKey, err = t.s.keys.Unseal(probeKeyPlace(e.ID), *sealed); err != nil {
					return err
				}
			}
			targets = append(targets, target)
		}
		return nil
	})
	return targets, err
}
