// Package controlapi holds the words of the control plane: its domain types, the scope
// in which a caller acts, and the codes of its errors. It has no mechanism; package
// sqlstore keeps these things, package httpapi speaks of them to the world.
//
// Times are UTC and whole microseconds; the zero time is none. Credits are whole numbers.
// Ids are 1 to 32 characters of A-Za-z0-9_-, because stream tokens carry them.
package controlapi
