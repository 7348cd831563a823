//go:build race

package httpapi

// underRace tells that the race detector is on, under which SQLite takes ten times as
// long: what only repeats is done less then. `make test` runs it without, too.
const underRace = true
