// Package edge is the Caddy app "edge": it owns the media engine across
// reloads and tells it what to carry.
//
// Caddy makes a new App for every configuration that it loads, and for a while
// the old and the new one exist together. Neither owns anything that a viewer
// would miss: that is the [Host]'s, of which there is one per process.
package edge
