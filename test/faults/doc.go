// Package faults is the suite that backs the promises of an edge: each test makes
// something go wrong on purpose, with the built edge, real FFmpeg and real
// sockets, and compares what viewers see with the budget of that fault. A test
// prints its figures whether it passes or not.
//
// The tests that load the machine or measure fractions of a second run one by one
// and first; the others, which mostly wait, run side by side after them. All have
// ports and folders of their own.
package faults
