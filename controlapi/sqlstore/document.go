package sqlstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/controlapi/token"
)

// Document builds the snapshot of a group as it is at one moment. Who is suspended, or
// below one who is, has neither keys nor grants in it.
func (s *Store) Document(ctx context.Context, groupID string) (d *snapshot.Document, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		d, err = t.document(groupID)
		return err
	})
	return d, err
}

func (t *tx) document(groupID string) (*snapshot.Document, error) {
	group, err := t.group(groupID)
	if err != nil {
		return nil, err
	}
	d := &snapshot.Document{
		Group: groupID, SteerURL: group.SteerURL, Edges: []snapshot.Edge{}, Keys: []snapshot.Key{}, Grants: map[string]snapshot.Grant{},
		Streams: []snapshot.Stream{}, Denied: []snapshot.Denial{},
	}
	for _, part := range []func(*snapshot.Document) error{t.documentVersion, t.documentEdges, t.documentStreams, t.documentKeys, t.documentGrants, t.documentDenials} {
		if err := part(d); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (t *tx) documentVersion(d *snapshot.Document) error {
	var raised int64
	if err := t.q.QueryRowxContext(t.ctx, `SELECT epoch, version, raised FROM config_version WHERE id = 1`).Scan(&d.Epoch, &d.Version, &raised); err != nil {
		return err
	}
	d.IssuedAt = raised / int64(time.Second/time.Microsecond)
	return nil
}

func (t *tx) documentEdges(d *snapshot.Document) error {
	return t.list(&d.Edges, `SELECT id, url FROM edges WHERE group_id = ? AND state <> 'revoked' ORDER BY id`, d.Group)
}

func (t *tx) documentStreams(d *snapshot.Document) error {
	listed := make(map[string]bool, len(d.Edges))
	for _, e := range d.Edges {
		listed[e.ID] = true
	}
	var rows []struct {
		streamRow
		Rev              int64
		Primary          string `db:"primary_edge"`
		Relays           string
		MinMSN           int64 `db:"min_msn"`
		MinDiscontinuity int64 `db:"min_discontinuity"`
	}
	if err := t.list(&rows, `SELECT s.id, s.owner_id, s.path, s.group_id, s.name, s.name_key, s.spec, s.sources, s.pin_primary, s.pin_relays, s.version, s.created,
		a.rev, a.primary_edge, a.relays, a.min_msn, a.min_discontinuity
		FROM streams s JOIN assignments a ON a.stream_id = s.id WHERE s.group_id = ? ORDER BY s.id`, d.Group); err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		s, err := t.streamOf(&r.streamRow)
		if err != nil {
			return err
		}
		relays, err := fromJSONList(r.Relays)
		if err != nil {
			return err
		}
		x := s.Snapshot(s.ID)
		x.AssignmentRev, x.MinMSN, x.MinDiscontinuity = r.Rev, r.MinMSN, r.MinDiscontinuity
		// An edge that has just been revoked is not listed any more, and may still be assigned.
		if listed[r.Primary] {
			x.Primary = r.Primary
		}
		x.Relays = slices.DeleteFunc(relays, func(id string) bool { return !listed[id] })
		d.Streams = append(d.Streams, x)
	}
	return nil
}

func (t *tx) documentKeys(d *snapshot.Document) error {
	var rows []signingKeyRow
	if err := t.list(&rows, signingKeyColumns+`WHERE group_id = ? AND (state = 'current' OR state = 'previous' AND not_after > ?)
		AND (reseller_id = '`+token.EdgeReseller+`' OR EXISTS (SELECT 1 FROM resellers r WHERE r.id = signing_keys.reseller_id AND NOT r.halted))
		ORDER BY reseller_id, kid`, d.Group, micros(t.now)); err != nil {
		return err
	}
	for i := range rows {
		k, err := rows[i].domain(t.s.keys, true)
		if err != nil {
			return err
		}
		x := snapshot.Key{Reseller: k.ResellerID, KeyID: k.KeyID, Secret: k.Secret.Reveal()}
		if !k.NotAfter.IsZero() {
			x.NotAfter = k.NotAfter.Unix()
		}
		d.Keys = append(d.Keys, x)
	}
	return nil
}

func (t *tx) documentDenials(d *snapshot.Document) error {
	var rows []struct {
		ResellerID string `db:"reseller_id"`
		UserID     string `db:"user_id"`
		Until      int64
	}
	if err := t.list(&rows, `SELECT reseller_id, user_id, until FROM denials WHERE until > ? ORDER BY reseller_id, user_id`, micros(t.now)); err != nil {
		return err
	}
	for _, r := range rows {
		d.Denied = append(d.Denied, snapshot.Denial{Reseller: r.ResellerID, User: r.UserID, Until: fromMicros(r.Until).Unix()})
	}
	return nil
}

// entitlement is what effective grants are worked out from, by reseller.
type entitlement struct {
	show, publish map[string]bool
}

func (t *tx) documentGrants(d *snapshot.Document) error {
	var resellers []struct {
		ID, Path string
		ParentID *string `db:"parent_id"`
		Halted   bool
	}
	// Parents come before their children.
	if err := t.list(&resellers, `SELECT id, path, parent_id, halted FROM resellers ORDER BY path`); err != nil {
		return err
	}
	owned, err := t.ownedStreams(d.Group)
	if err != nil {
		return err
	}
	bouquets, err := t.groupBouquets(d.Group)
	if err != nil {
		return err
	}
	granted, err := t.grantedStreams(d.Group, bouquets)
	if err != nil {
		return err
	}
	effective := make(map[string]entitlement, len(resellers))
	for _, r := range resellers {
		e := entitlement{map[string]bool{}, map[string]bool{}}
		if r.ParentID != nil {
			above := effective[*r.ParentID]
			e.take(granted[r.ID], func(id string) (bool, bool) { return above.show[id], above.publish[id] })
		}
		for path, streams := range owned {
			if strings.HasPrefix(path, r.Path) {
				e.takeAll(streams)
			}
		}
		effective[r.ID] = e
		if !r.Halted {
			d.Grants[r.ID] = e.grant(bouquets, r.Path)
		}
	}
	all := make([]string, len(d.Streams))
	for i := range d.Streams {
		all[i] = d.Streams[i].ID
	}
	d.Grants[token.EdgeReseller] = snapshot.Grant{Show: []string{}, Publish: []string{}, Relay: all, Bouquets: map[string][]string{}}
	return nil
}

func (e entitlement) take(rows []grantRow, allowed func(id string) (show, publish bool)) {
	for _, g := range rows {
		show, publish := allowed(g.ID)
		if g.CanShow && show {
			e.show[g.ID] = true
		}
		if g.CanPublish && publish {
			e.publish[g.ID] = true
		}
	}
}

func (e entitlement) takeAll(streams []string) {
	for _, id := range streams {
		e.show[id], e.publish[id] = true, true
	}
}

// grant is what the snapshot says of it, with the bouquets of the reseller and of those
// above it, as far as they hold what it may show.
func (e entitlement) grant(bouquets []groupBouquet, path string) snapshot.Grant {
	g := snapshot.Grant{Show: sorted(e.show), Publish: sorted(e.publish), Relay: []string{}, Bouquets: map[string][]string{}}
	for _, b := range bouquets {
		if !strings.HasPrefix(path, b.path) {
			continue
		}
		for _, id := range b.streams {
			if e.show[id] {
				g.Bouquets[b.id] = append(g.Bouquets[b.id], id)
			}
		}
	}
	return g
}

func sorted(set map[string]bool) []string {
	list := make([]string, 0, len(set))
	for id := range set {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// grantedStreams gives what each reseller is granted of a group's streams, by bouquets
// or one by one. Bouquets are opened here: a database would send each of their streams
// once per reseller.
func (t *tx) grantedStreams(group string, bouquets []groupBouquet) (map[string][]grantRow, error) {
	type ofReseller struct {
		ResellerID string `db:"reseller_id"`
		grantRow
	}
	granted := make(map[string][]grantRow)
	var rows []ofReseller
	if err := t.list(&rows, `SELECT g.reseller_id, g.stream_id AS id, g.can_show, g.can_publish FROM stream_grants g JOIN streams s ON s.id = g.stream_id
		WHERE s.group_id = ?`, group); err != nil {
		return nil, err
	}
	for _, r := range rows {
		granted[r.ResellerID] = append(granted[r.ResellerID], r.grantRow)
	}
	streams := make(map[string][]string, len(bouquets))
	for _, b := range bouquets {
		streams[b.id] = b.streams
	}
	rows = nil
	if err := t.list(&rows, `SELECT reseller_id, bouquet_id AS id, can_show, can_publish FROM bouquet_grants`); err != nil {
		return nil, err
	}
	for _, r := range rows {
		for _, id := range streams[r.ID] {
			granted[r.ResellerID] = append(granted[r.ResellerID], grantRow{id, r.CanShow, r.CanPublish})
		}
	}
	return granted, nil
}

// ownedStreams gives a group's streams by the path of their owner.
func (t *tx) ownedStreams(group string) (map[string][]string, error) {
	var rows []struct{ ID, Path string }
	if err := t.list(&rows, `SELECT id, path FROM streams WHERE group_id = ?`, group); err != nil {
		return nil, err
	}
	owned := make(map[string][]string)
	for _, r := range rows {
		// The operator has all, by the same rule as everybody above an owner.
		owned[r.Path] = append(owned[r.Path], r.ID)
	}
	return owned, nil
}

// groupBouquet is a bouquet with its streams of one group.
type groupBouquet struct {
	id, path string // its owner's
	streams  []string
}

func (t *tx) groupBouquets(group string) ([]groupBouquet, error) {
	var rows []struct {
		ID, Path string
		StreamID string `db:"stream_id"`
	}
	if err := t.list(&rows, `SELECT b.id, b.path, m.stream_id FROM bouquets b JOIN bouquet_streams m ON m.bouquet_id = b.id JOIN streams s ON s.id = m.stream_id
		WHERE s.group_id = ? ORDER BY b.id, m.position, m.stream_id`, group); err != nil {
		return nil, err
	}
	var bouquets []groupBouquet
	for _, r := range rows {
		if n := len(bouquets); n == 0 || bouquets[n-1].id != r.ID {
			bouquets = append(bouquets, groupBouquet{id: r.ID, path: r.Path})
		}
		b := &bouquets[len(bouquets)-1]
		b.streams = append(b.streams, r.StreamID)
	}
	return bouquets, nil
}
