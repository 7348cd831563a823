package controlapi

// Bounds of a page.
const (
	DefaultPageLimit = 50
	MaxPageLimit     = 200
)

// Page asks for a part of a list.
type Page struct {
	// After is the Next of the page before; empty: from the start.
	After string
	// Limit is the most items, 1 to MaxPageLimit; 0: DefaultPageLimit.
	Limit int
}

// List is a page of a list. The order is stable: what is created meanwhile neither
// doubles nor hides an item.
type List[T any] struct {
	Items []T
	// Next asks for the page after this one; empty: this is the last.
	Next string
}
