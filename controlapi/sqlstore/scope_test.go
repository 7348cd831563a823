package sqlstore

import (
	"context"
	"reflect"
	"testing"

	"github.com/headrace/headrace/controlapi"
)

// TestEveryMethodTakesScope: a public method without one serves our own parts only, and
// is named with its reason.
func TestEveryMethodTakesScope(t *testing.T) {
	store, scope := reflect.TypeFor[*Store](), reflect.TypeFor[controlapi.Scope]()
	seen := 0
	for i := range store.NumMethod() {
		m := store.Method(i)
		takes := m.Type.NumIn() > 2 && m.Type.In(1) == reflect.TypeFor[context.Context]() && m.Type.In(2) == scope
		if _, named := unscoped[m.Name]; named == takes {
			t.Errorf("%s: takes a scope: %v, named as one that does not: %v", m.Name, takes, named)
		} else if named {
			seen++
		}
	}
	if seen != len(unscoped) {
		t.Errorf("%d methods are named that take no scope, but %d are there", len(unscoped), seen)
	}
}
