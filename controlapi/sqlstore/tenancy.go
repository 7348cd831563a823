package sqlstore

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/headrace/headrace/controlapi"
)

// tenant finds a reseller in scope; an empty id is the scope's own. What is out of scope
// costs the same question as what is not there.
func (t *tx) tenant(sc controlapi.Scope, id string) (tenant, error) {
	if id == "" {
		id = sc.ResellerID()
	}
	var path string
	err := t.get(&path, `SELECT path FROM resellers WHERE id = ?`, id)
	if err := orNotFound(err, "reseller"); err != nil {
		return tenant{}, err
	}
	if !sc.Contains(path) {
		return tenant{}, controlapi.NotFound("reseller")
	}
	return tenant{id, path}, nil
}

// own is the scope's reseller.
func own(sc controlapi.Scope) tenant { return tenant{sc.ResellerID(), sc.Path()} }

var operatorTenant = tenant{controlapi.OperatorID, operatorPath}

func operatorOnly(sc controlapi.Scope) error {
	if !sc.IsOperator() {
		return controlapi.Errorf(controlapi.CodeForbidden, "only the operator may do that")
	}
	return nil
}

// newID gives the id of a thing to be made: the one that the operator chose, or one of ours.
func newID(sc controlapi.Scope, what, id string) (string, error) {
	if id == "" {
		return controlapi.NewID(), nil
	}
	if !sc.IsOperator() {
		return "", controlapi.Invalid("id", "only the operator may choose ids; leave it out")
	}
	return id, controlapi.CheckID(what, id)
}

// checkText holds a text to its bounds, and to what can be shown.
func checkText(field, value string, least, most int) error {
	switch {
	case !utf8.ValidString(value), strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }):
		return controlapi.Invalid(field, "it holds characters that cannot be shown")
	case utf8.RuneCountInString(value) < least || utf8.RuneCountInString(value) > most:
		return controlapi.Invalid(field, fmt.Sprintf("it has %d to %d characters", least, most))
	}
	return nil
}

const (
	maxName   = 128
	maxNote   = 1024
	maxReason = 256
)

func checkName(name string) error { return checkText("name", name, 1, maxName) }

// nameKey is the name as it is searched for.
func nameKey(name string) string { return strings.ToLower(name) }

// behind is a text that sorts behind all that begin with the prefix: no text holds an
// octet of 0xff.
func behind(prefix string) string { return prefix + string(utf8.MaxRune) }

func checkRange[N int | int64](field string, value, least, most N) error {
	if value < least || value > most {
		return controlapi.Invalid(field, fmt.Sprintf("%d is out of bounds; choose %d to %d", value, least, most))
	}
	return nil
}

// checkIDs looks at a list of ids, none of which may come twice.
func checkIDs(field, what string, ids []string, most int) error {
	if len(ids) > most {
		return controlapi.Invalid(field, fmt.Sprintf("%d are too many; up to %d are allowed", len(ids), most))
	}
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if err := controlapi.CheckID(what, id); err != nil {
			return controlapi.Invalid(field, fmt.Sprintf("one of them is not the id of a %s: 1 to 32 characters of A-Z a-z 0-9 - _", what))
		}
		if seen[id] {
			return controlapi.Invalid(field, fmt.Sprintf("%s is listed twice", id))
		}
		seen[id] = true
	}
	return nil
}
