package sqlstore

import (
	"strings"

	"github.com/headrace/headrace/controlapi"
)

// A stream is effective for a reseller if each of the chain from the operator down to it
// either owns it (itself or by one below it) or is granted it, one by one or by a
// bouquet. The operator has all.

// granted is the condition that reseller a has a grant of stream s that allows what.
//
// SQLite takes a CROSS JOIN in the order that it is written in: a stream is in few
// bouquets, but a reseller may be granted many. Postgres would work out all grants of
// all streams beforehand for an EXISTS, and does not for a subquery with a limit.
func granted(what string) string {
	what = strings.ReplaceAll(what, "x.", "g.")
	return `((SELECT 1 FROM stream_grants g WHERE g.reseller_id = a.id AND g.stream_id = s.id AND ` + what + ` LIMIT 1) IS NOT NULL
		OR (SELECT 1 FROM bouquet_streams m CROSS JOIN bouquet_grants g
			WHERE m.stream_id = s.id AND g.bouquet_id = m.bouquet_id AND g.reseller_id = a.id AND ` + what + ` LIMIT 1) IS NOT NULL)`
}

const (
	toShow     = `x.can_show`
	toPublish  = `x.can_publish`
	ownsStream = `substr(s.path, 1, length(a.path)) = a.path`
)

// effective is the condition that stream s is effective for the reseller of a path, and
// its arguments.
func effective(path, what string) (condition string, args []any) {
	chain := strings.Split(strings.Trim(path, "/"), "/")[1:]
	if len(chain) == 0 {
		return `TRUE`, nil
	}
	return `NOT EXISTS (SELECT 1 FROM resellers a WHERE a.id IN (SELECT j.value FROM {list}) AND NOT (` + ownsStream + `) AND NOT ` + granted(what) + `)`,
		[]any{jsonList(chain)}
}

// visible is the condition that the reseller of a path may see stream s: that it may show
// or publish it.
func visible(path string) (condition string, args []any) {
	show, args := effective(path, toShow)
	publish, more := effective(path, toPublish)
	return `(` + show + ` OR ` + publish + `)`, append(args, more...)
}

// seesAll tells whether the reseller of a path may name all of some streams.
func (t *tx) seesAll(of tenant, streams []string) (bool, error) {
	condition, args := visible(of.path)
	var unseen int64
	err := t.get(&unseen, `SELECT COUNT(*) FROM {list} WHERE NOT EXISTS (SELECT 1 FROM streams s WHERE s.id = j.value AND `+condition+`)`,
		append([]any{jsonList(streams)}, args...)...)
	return unseen == 0, err
}

// visibleBouquet is the condition that bouquet b may be named by the reseller of a path:
// it is its own or one's below it, the operator's or one's above it who lets it show some.
func visibleBouquet(of tenant) (condition string, args []any) {
	if of.id == controlapi.OperatorID {
		return `TRUE`, nil
	}
	return `(b.path >= ? AND b.path < ? OR EXISTS (SELECT 1 FROM bouquet_grants g WHERE g.bouquet_id = b.id AND g.reseller_id = ?))`,
		[]any{of.path, after(of.path), of.id}
}
