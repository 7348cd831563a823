// Package session knows who is watching now.
//
// A session opens with a viewer's first request and ends when three target
// durations pass without another. It belongs to one user of one reseller, and
// within that to the session that the token names or else to the client's
// address: a household behind one address that shares a token is one session.
package session
