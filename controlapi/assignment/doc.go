// Package assignment says which edge packages each stream and which others hold it warm.
//
// [Plan] is a pure function of what is assigned, of how the edges are and of the time. Every
// instance of the control plane computes it and commits by compare-and-swap on the
// assignment's revision: there is no leader, and whoever is second changes nothing.
//
//	the stream's edge            | what happens
//	-----------------------------|--------------------------------------------------------
//	none                         | the edge with the most left becomes its primary
//	down or quarantined, by the  | a relay that has the stream becomes primary, else the
//	word of most instances; gone | edge with the most left
//	draining, not the pinned one | an edge is made relay, and primary once it has the
//	                             | stream, or after 30 s
//	anything else                | it stays; relays are added, or replaced, up to the number
//	                             | of replicas
//
// A pinned stream is packaged by its pinned primary, while that is gone by the first of its
// pinned relays that is not, and by nobody else: the usual reason for a pin is a source that
// answers only there. Nothing is moved for the sake of balance.
//
// Limits, so that a mistake is small: 20 moves per second and group; an edge takes at most
// 30 % of what it has free within 5 s; a stream is changed once per minute, unless its edge
// is gone. First placements are no moves.
package assignment
