package assignment

import (
	"context"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/nodehealth"
)

// Store keeps the assignments.
type Store interface {
	AllAssignments(ctx context.Context) ([]controlapi.Assignment, error)
	// CommitAssignment changes an assignment that is still at a revision; false: it is not.
	CommitAssignment(ctx context.Context, streamID string, fromRev int64, primary string, relays []string) (bool, error)
	// RaiseNumbers notes the highest numbers of streams. It never lowers one.
	RaiseNumbers(ctx context.Context, numbers []controlapi.Numbers) error
	// Changed is closed at the next change of what streams and edges there are.
	Changed() <-chan struct{}
}

// Nodes tells how the edges are.
type Nodes interface {
	View() *nodehealth.View
	// Changed is closed when the state of an edge changes.
	Changed() <-chan struct{}
}

// Runner plans and commits, for as long as it runs, on any instance.
type Runner struct {
	Store Store
	Nodes Nodes
	// Notify is told of each change that this instance committed; nil: nobody is.
	Notify func(context.Context, Move)
	Logger *zap.Logger
}

const (
	// idle is how long nothing is looked at if nothing is known to have changed. Other
	// instances change things too.
	idle = 5 * time.Second
	// busy is the same while a plan is not finished.
	busy = time.Second
	// settleFor keeps changes that come together in one plan.
	settleFor = 20 * time.Millisecond
	// patience bounds one round.
	patience = 20 * time.Second
)

// Run goes on until ctx is done.
func (r *Runner) Run(ctx context.Context) {
	for {
		// Before the round, so that what changes during it is not missed.
		nodes, store := r.Nodes.Changed(), r.Store.Changed()
		wait := idle
		if r.round(ctx) {
			wait = busy
		}
		spread := time.Duration(rand.Int64N(int64(wait) / 5)) //nolint:gosec // spreading needs no secrecy
		if !sleep(ctx, wait-spread, nodes, store) || !sleep(ctx, settleFor, nil, nil) {
			return
		}
	}
}

// sleep waits for a time, or less if something changes. False: ctx is done.
func sleep(ctx context.Context, d time.Duration, a, b <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-a:
	case <-b:
	}
	return true
}

// round plans and commits once. It tells whether more is to be done soon.
func (r *Runner) round(ctx context.Context) (more bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	view := r.Nodes.View()
	if len(view.Nodes) == 0 {
		return false // nothing is known yet, or there is no edge
	}
	assignments, err := r.Store.AllAssignments(ctx)
	if err != nil {
		r.Logger.Warn("reading the assignments failed; trying again", zap.Error(err))
		return true
	}
	moves, more := Plan(time.Now(), assignments, view)
	// Whoever packages next must begin above every number that was seen.
	if numbers := numbersOf(moves, view); len(numbers) > 0 {
		if err := r.Store.RaiseNumbers(ctx, numbers); err != nil {
			r.Logger.Warn("writing down the numbers of streams failed; trying again before they are moved", zap.Error(err))
			return true
		}
	}
	for _, m := range moves {
		done, err := r.Store.CommitAssignment(ctx, m.StreamID, m.FromRev, m.Primary, m.Relays)
		if err != nil {
			r.Logger.Warn("committing an assignment failed; trying again", zap.String("stream_id", m.StreamID), zap.Error(err))
			return true
		}
		if !done {
			more = true // somebody else was faster: look again at what is so now
			continue
		}
		r.Logger.Info("stream was assigned", zap.String("stream_id", m.StreamID), zap.String("group", m.GroupID), zap.String("from", m.From),
			zap.String("edge_id", m.Primary), zap.Strings("relays", m.Relays), zap.String("reason", string(m.Reason)))
		if r.Notify != nil {
			r.Notify(ctx, m)
		}
	}
	return more
}

// numbersOf gives the highest numbers that any edge reported of the streams that move.
func numbersOf(moves []Move, view *nodehealth.View) []controlapi.Numbers {
	var numbers []controlapi.Numbers
	for _, m := range moves {
		if !m.Moved() {
			continue
		}
		highest := controlapi.Numbers{StreamID: m.StreamID}
		for i := range view.Nodes {
			s := view.Nodes[i].Streams[m.StreamID]
			highest.MSN, highest.Discontinuity = max(highest.MSN, s.MSN), max(highest.Discontinuity, s.Discontinuity)
		}
		if highest.MSN > 0 || highest.Discontinuity > 0 {
			numbers = append(numbers, highest)
		}
	}
	return numbers
}
