package sqlstore

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/headrace/headrace/controlapi"
)

// limitOf gives a page's limit.
func limitOf(p controlapi.Page) (int, error) {
	switch {
	case p.Limit == 0:
		return controlapi.DefaultPageLimit, nil
	case p.Limit < 0 || p.Limit > controlapi.MaxPageLimit:
		return 0, controlapi.Invalid("limit", fmt.Sprintf("a page has 1 to %d items", controlapi.MaxPageLimit))
	}
	return p.Limit, nil
}

// cursor is the place in a list behind which the next page begins: the members of the
// last item that the list is sorted by.
type cursor []string

func (c cursor) String() string {
	text, _ := json.Marshal([]string(c)) // strings always can be
	return base64.RawURLEncoding.EncodeToString(text)
}

// parseCursor reads a cursor of n members; one of empty members for the start of a list.
func parseCursor(text string, n int) (cursor, error) {
	if text == "" {
		return make(cursor, n), nil
	}
	var c cursor
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil || len(c) != n {
		return nil, controlapi.Invalid("after", "it is not the end of a page of this list; take next from the page before")
	}
	return c, nil
}

// number reads a member that is one; the start of a list is below all.
func (c cursor) number(i int) (int64, error) {
	if c[i] == "" {
		return -1, nil
	}
	n, err := strconv.ParseInt(c[i], 10, 64)
	if err != nil {
		return 0, controlapi.Invalid("after", "it is not the end of a page of this list; take next from the page before")
	}
	return n, nil
}

func text(n int64) string { return strconv.FormatInt(n, 10) }

// pageOf makes a page of rows, of which one more than the limit was asked for.
func pageOf[R, T any](rows []R, limit int, item func(*R) (T, error), end func(*R) cursor) (controlapi.List[T], error) {
	l := controlapi.List[T]{Items: make([]T, 0, min(len(rows), limit))}
	for i := range rows[:min(len(rows), limit)] {
		x, err := item(&rows[i])
		if err != nil {
			return l, err
		}
		l.Items = append(l.Items, x)
	}
	if len(rows) > limit {
		l.Next = end(&rows[limit-1]).String()
	}
	return l, nil
}

// after is a path that sorts behind all that begin with the given one: "/a/" → "/a0".
func after(path string) string { return path[:len(path)-1] + "0" }
