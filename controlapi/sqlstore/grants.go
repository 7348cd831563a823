package sqlstore

import (
	"context"
	"slices"

	"github.com/headrace/headrace/controlapi"
)

type grantRow struct {
	ID         string
	CanShow    bool `db:"can_show"`
	CanPublish bool `db:"can_publish"`
}

// Grants gives what a reseller's parent lets it do. What is effective may be less, if
// the parent's own grant is.
func (s *Store) Grants(ctx context.Context, sc controlapi.Scope, resellerID string) (g controlapi.Grants, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		r, err := t.reseller(sc, resellerID)
		if err != nil {
			return err
		}
		g, err = t.grants(r)
		return err
	})
	return g, err
}

func (t *tx) grants(r controlapi.Reseller) (controlapi.Grants, error) {
	g := controlapi.Grants{ResellerID: r.ID, Version: r.Version}
	var streams, bouquets []grantRow
	if err := t.list(&streams, `SELECT stream_id AS id, can_show, can_publish FROM stream_grants WHERE reseller_id = ? ORDER BY stream_id`, r.ID); err != nil {
		return g, err
	}
	if err := t.list(&bouquets, `SELECT bouquet_id AS id, can_show, can_publish FROM bouquet_grants WHERE reseller_id = ? ORDER BY bouquet_id`, r.ID); err != nil {
		return g, err
	}
	g.Show.Streams, g.Publish.Streams = split(streams)
	g.Show.Bouquets, g.Publish.Bouquets = split(bouquets)
	return g, nil
}

func split(rows []grantRow) (show, publish []string) {
	show, publish = []string{}, []string{}
	for _, r := range rows {
		if r.CanShow {
			show = append(show, r.ID)
		}
		if r.CanPublish {
			publish = append(publish, r.ID)
		}
	}
	return show, publish
}

// SetGrants replaces what a reseller is granted; it is for those above it. The reseller
// id and version within the grants are ignored. Only streams that the reseller's parent can
// see can be granted, and bouquets that are the parent's or were granted to it.
func (s *Store) SetGrants(ctx context.Context, sc controlapi.Scope, resellerID string, version int64, in controlapi.Grants) (g controlapi.Grants, err error) {
	err = s.write(ctx, func(t *tx) error {
		r, err := t.reseller(sc, resellerID)
		if err != nil {
			return err
		}
		if r.ID == sc.ResellerID() {
			return controlapi.Errorf(controlapi.CodeForbidden, "the reseller above sets the grants")
		}
		if err := checkVersion(version, r.Version, "reseller"); err != nil {
			return err
		}
		parent := tenant{r.ParentID, r.Path[:len(r.Path)-len(r.ID)-1]}
		if err := t.checkGrants(parent, in); err != nil {
			return err
		}
		before, err := t.grants(r)
		if err != nil {
			return err
		}
		n, err := t.exec(`UPDATE resellers SET version = version + 1 WHERE id = ? AND version = ?`, r.ID, version)
		if err := changedRow(n, err, "reseller"); err != nil {
			return err
		}
		for _, kind := range []struct {
			table, column string
			show, publish []string
		}{
			{"stream_grants", "stream_id", in.Show.Streams, in.Publish.Streams},
			{"bouquet_grants", "bouquet_id", in.Show.Bouquets, in.Publish.Bouquets},
		} {
			if err := t.replaceGrants(r.ID, kind.table, kind.column, kind.show, kind.publish); err != nil {
				return err
			}
		}
		r.Version++
		if g, err = t.grants(r); err != nil {
			return err
		}
		t.changed = true
		return t.audit(sc, tenant{r.ID, r.Path}, "grants.set", "reseller/"+r.ID, before, g)
	})
	return g, err
}

func (t *tx) replaceGrants(reseller, table, column string, show, publish []string) error {
	if err := t.do(`DELETE FROM `+table+` WHERE reseller_id = ?`, reseller); err != nil {
		return err
	}
	if err := t.do(`INSERT INTO `+table+` (reseller_id, `+column+`, can_show, can_publish) SELECT ?, j.value, TRUE, FALSE FROM {list}`, reseller, jsonList(show)); err != nil {
		return err
	}
	both, only := []string{}, []string{}
	for _, id := range publish {
		if slices.Contains(show, id) {
			both = append(both, id)
		} else {
			only = append(only, id)
		}
	}
	if err := t.do(`UPDATE `+table+` SET can_publish = TRUE WHERE reseller_id = ? AND `+column+` IN (SELECT j.value FROM {list})`, reseller, jsonList(both)); err != nil {
		return err
	}
	return t.do(`INSERT INTO `+table+` (reseller_id, `+column+`, can_show, can_publish) SELECT ?, j.value, FALSE, TRUE FROM {list}`, reseller, jsonList(only))
}

func (t *tx) checkGrants(parent tenant, in controlapi.Grants) error {
	for _, l := range []struct {
		field, what string
		ids         []string
	}{
		{"show.streams", "stream", in.Show.Streams},
		{"publish.streams", "stream", in.Publish.Streams},
		{"show.bouquets", "bouquet", in.Show.Bouquets},
		{"publish.bouquets", "bouquet", in.Publish.Bouquets},
	} {
		if err := checkIDs(l.field, l.what, l.ids, controlapi.MaxGrants); err != nil {
			return err
		}
		sees := t.seesAll
		if l.what == "bouquet" {
			sees = t.seesAllBouquets
		}
		ok, err := sees(parent, l.ids)
		if err != nil {
			return err
		}
		if !ok {
			return controlapi.Invalid(l.field, "one of them is not a "+l.what+" that the reseller above can grant")
		}
	}
	return nil
}

// seesAllBouquets tells whether a reseller may pass on all of some bouquets: its own, and
// those that it was granted. Not those of resellers below it, who could put into them what
// nobody meant to grant.
func (t *tx) seesAllBouquets(of tenant, bouquets []string) (bool, error) {
	var unseen int64
	err := t.get(&unseen, `SELECT COUNT(*) FROM {list} WHERE NOT EXISTS (SELECT 1 FROM bouquets b WHERE b.id = j.value AND (b.owner_id = ?
		OR EXISTS (SELECT 1 FROM bouquet_grants g WHERE g.bouquet_id = b.id AND g.reseller_id = ?)))`, jsonList(bouquets), of.id, of.id)
	return unseen == 0, err
}
