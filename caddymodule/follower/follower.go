// Package follower keeps an edge at the newest snapshot of its control plane: it asks,
// checks, has it put in force, keeps it for the next start, and says what became of it.
package follower

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi/snapshot"
)

// Options are what a Follower is told.
type Options struct {
	Control
	// EdgeID and Group are the edge's own: a document for another group, or one that
	// does not list the edge, is refused.
	EdgeID, Group string
	// Archive keeps the last good documents.
	Archive *Archive
	// Apply puts a document in force, or says why not and changes nothing. ErrEnded
	// means that it is not about the document.
	Apply func(*snapshot.Document) error
	// Count counts what became of documents; nil: nobody does.
	Count func(snapshot.Outcome)
	// Health is how the edge is.
	Health func() snapshot.Health
	// UseCredential is told the credential, each time that it is read; nil: nobody asks.
	UseCredential func(string)
	Logger        *zap.Logger
}

// Follower follows one control plane. Boot comes first, then Run.
type Follower struct {
	o       Options
	client  *client
	log     *zap.Logger
	backoff backoff
	status  atomic.Pointer[Status]
	again   atomic.Bool // see Retry

	// What follows is Boot's and then Run's own.

	// inForce is the version that the edge serves, seen the newest that it was given,
	// floor the lowest that it may be given.
	inForce, seen, floor snapshot.Version
	// pending waits to be acknowledged.
	pending *snapshot.Ack
	// unsaved could not be written down yet.
	unsaved *document
}

// document is one that is in force, as it is to be kept.
type document struct {
	version snapshot.Version
	octets  []byte
}

// Status is what is known of the control plane and its documents. It never changes.
type Status struct {
	// Version is the one in force; zero: none yet.
	Version snapshot.Version
	// Confirmed is when the control plane last said that this is its newest; for one
	// that was read from the disk, when that was in the life before. Zero: never.
	Confirmed time.Time
	// Connected tells that the last exchange with the control plane went well.
	Connected bool
	// Problem is what keeps it from doing so; empty: nothing.
	Problem string
	// Rejected is the last document that was refused and not followed by a good one;
	// nil: none.
	Rejected *Rejection
	// Unsaved tells that the document in force could not be written down: a restart
	// would begin with an older one.
	Unsaved bool
}

// Rejection is a document that was refused.
type Rejection struct {
	snapshot.Version
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// New returns a follower. It touches neither disk nor network.
func New(o Options) (*Follower, error) {
	c, err := newClient(o.Control)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Count == nil {
		o.Count = func(snapshot.Outcome) {}
	}
	if o.UseCredential == nil {
		o.UseCredential = func(string) {}
	}
	f := &Follower{o: o, client: c, log: o.Logger}
	f.status.Store(new(Status))
	return f, nil
}

// Status is how things are. It may be asked for at any time.
func (f *Follower) Status() Status { return *f.status.Load() }

// Retry makes the next poll ask anew for a document that was rejected: the edge has
// changed, and may take it now.
func (f *Follower) Retry() { f.again.Store(true) }

// Continue takes over from a follower that has ended: the document in force is not read
// from the disk again.
func (f *Follower) Continue(version snapshot.Version, before Status) {
	f.inForce, f.seen, f.floor = version, version, version
	f.change(func(s *Status) { s.Version, s.Confirmed, s.Unsaved = version, before.Confirmed, before.Unsaved })
}

// ErrNoDocument says that there is no document to begin with.
var ErrNoDocument = errors.New("no good snapshot is kept on this edge; it needs its control plane once")

// ErrEnded says that nothing is put in force any more: the edge ends, or follows another
// control plane.
var ErrEnded = errors.New("this edge does not follow that control plane any more")

// Boot has the newest good document of the archive put in force by apply. It needs no
// network.
func (f *Follower) Boot(apply func(*snapshot.Document) error) error {
	f.readCredential()
	floor, confirmed := f.o.Archive.Current()
	f.floor = floor
	for _, version := range f.o.Archive.Versions() {
		doc, err := f.o.Archive.Read(version)
		if err == nil {
			err = f.check(doc)
		}
		if err == nil {
			err = apply(doc)
		}
		if err != nil {
			f.log.Error("a kept snapshot cannot be used; trying an older one", zap.Stringer("snapshot_version", version), zap.Error(err))
			continue
		}
		f.log.Info("serving from the last good snapshot", zap.Stringer("snapshot_version", version))
		f.inForce, f.seen = version, version
		if version.Compare(f.floor) > 0 {
			f.floor = version
		}
		f.pending = &snapshot.Ack{Version: version, Outcome: snapshot.Applied}
		f.change(func(s *Status) { s.Version, s.Confirmed = version, confirmed })
		return nil
	}
	return ErrNoDocument
}

// readCredential makes the credential known before the control plane is asked, as far
// as it can be read: the edge can then answer questions for its health.
func (f *Follower) readCredential() {
	if credential, err := readCredential(f.o.TokenFile); err == nil {
		f.o.UseCredential(credential)
	}
}

// Run follows until ctx is done.
func (f *Follower) Run(ctx context.Context) {
	defer f.client.close()
	for ctx.Err() == nil {
		began := time.Now()
		news, err := f.round(ctx)
		if ctx.Err() != nil {
			return
		}
		f.note(err)
		var pause time.Duration
		switch {
		case err != nil:
			// A poll that was held, and broken off, had been let in: all edges lose theirs at
			// once, and this is the first failure of each.
			if time.Since(began) >= shortestPoll && !isTimeout(err) {
				f.backoff.reset()
			}
			pause = f.backoff.after(err)
		case !news:
			f.backoff.reset()
			pause = unhurried(time.Since(began))
		default:
			f.backoff.reset()
		}
		f.rest(ctx, pause)
	}
}

// round acknowledges what is to be acknowledged, and asks once. news tells that there
// was something to do.
func (f *Follower) round(ctx context.Context) (news bool, err error) {
	credential, err := readCredential(f.o.TokenFile)
	if err != nil {
		return false, err
	}
	f.o.UseCredential(credential)
	if f.again.Swap(false) {
		f.seen = f.inForce
	}
	if err := f.acknowledge(ctx, credential); err != nil {
		return false, err
	}
	// A document that could not be written down is tried again between short polls.
	wait := pollWait
	if f.unsaved != nil {
		f.save()
	}
	if f.unsaved != nil {
		wait = saveEvery
	}
	a, err := f.client.poll(ctx, credential, f.seen, wait, f.o.Health())
	if err != nil {
		return false, err
	}
	if a.octets == nil {
		f.confirm()
		return f.unsaved != nil, nil
	}
	unsound := f.take(a)
	return true, cmp.Or(unsound, f.acknowledge(ctx, credential))
}

// acknowledge says what became of a version, if that has not been said. What the control
// plane does not want to hear is not said again.
func (f *Follower) acknowledge(ctx context.Context, credential string) error {
	if f.pending == nil {
		return nil
	}
	f.pending.Health = f.o.Health()
	err := f.client.ack(ctx, credential, *f.pending)
	if refused := (*statusError)(nil); errors.As(err, &refused) && refused.isFinal() {
		f.log.Warn("the control plane does not take an acknowledgement", zap.Stringer("snapshot_version", f.pending.Version), zap.Error(err))
		err = nil
	}
	if err == nil {
		f.pending = nil
	}
	return err
}

// take checks a document, puts it in force and keeps it. An error means that the
// exchange itself is not sound, and must not be repeated at once.
func (f *Follower) take(a answer) error {
	doc, err := snapshot.Decode(a.octets)
	if err != nil {
		return f.reject(a.version, err)
	}
	version := doc.Name()
	if version.Compare(f.seen) <= 0 || version.Compare(f.floor) < 0 {
		return f.reject(version, fmt.Errorf("version %v is not above %v, which this edge has had", version, latest(f.seen, f.floor)))
	}
	if err = f.check(doc); err == nil {
		err = f.o.Apply(doc)
	}
	if errors.Is(err, ErrEnded) {
		return err
	}
	if err != nil {
		_ = f.reject(version, err) // as the acknowledgement says
		f.seen = version
		return nil
	}
	f.inForce, f.seen, f.floor = version, version, version
	f.pending = &snapshot.Ack{Version: version, Outcome: snapshot.Applied}
	f.o.Count(snapshot.Applied)
	f.change(func(s *Status) { s.Version, s.Confirmed, s.Rejected = version, time.Now(), nil })
	f.unsaved = &document{version, a.octets}
	f.save()
	return nil
}

// check refuses what is not meant for this edge.
func (f *Follower) check(doc *snapshot.Document) error {
	if doc.Group != f.o.Group {
		return fmt.Errorf("it is for group %q, and this edge is in group %q", doc.Group, f.o.Group)
	}
	if !slices.ContainsFunc(doc.Edges, func(e snapshot.Edge) bool { return e.ID == f.o.EdgeID }) {
		return fmt.Errorf("it does not list this edge, %q", f.o.EdgeID)
	}
	return nil
}

// reject refuses a document by name, and returns why.
func (f *Follower) reject(version snapshot.Version, why error) error {
	reason := snapshot.Reason(why.Error())
	f.o.Count(snapshot.Rejected)
	f.log.Error("snapshot rejected; the one before stays in force", zap.Stringer("snapshot_version", version), zap.String("reason", reason))
	if version != (snapshot.Version{}) {
		f.pending = &snapshot.Ack{Version: version, Outcome: snapshot.Rejected, Reason: reason}
	}
	f.change(func(s *Status) { s.Rejected = &Rejection{version, reason, time.Now()} })
	return fmt.Errorf("snapshot %v: %w", version, why)
}

// confirm takes note that there is nothing newer.
func (f *Follower) confirm() {
	if f.inForce != f.seen || f.inForce == (snapshot.Version{}) {
		return // it speaks of a document that was rejected
	}
	f.change(func(s *Status) { s.Confirmed = time.Now() })
	if f.unsaved == nil {
		f.o.Archive.Confirm()
	}
}

// save writes the document in force down.
func (f *Follower) save() {
	err := f.o.Archive.Save(f.unsaved.version, f.unsaved.octets)
	was := f.Status().Unsaved
	switch {
	case err == nil:
		if was {
			f.log.Info("snapshot is kept at last", zap.Stringer("snapshot_version", f.unsaved.version))
		}
		f.unsaved = nil
	case !was:
		f.log.Error("keeping the snapshot failed; a restart would begin with an older one", zap.Stringer("snapshot_version", f.unsaved.version), zap.Error(err))
	}
	f.change(func(s *Status) { s.Unsaved = err != nil })
}

// note logs when the control plane goes and when it comes back, not all the time.
func (f *Follower) note(err error) {
	before := f.Status()
	problem := ""
	if err != nil {
		problem = snapshot.Reason(err.Error())
	}
	switch {
	case err != nil && problem != before.Problem:
		f.log.Warn("following the control plane failed; the snapshot in force goes on", zap.Stringer("snapshot_version", f.inForce), zap.Error(err))
	case err == nil && !before.Connected:
		f.log.Info("following the control plane", zap.String("control", f.o.URL), zap.Stringer("snapshot_version", f.inForce))
	}
	f.change(func(s *Status) { s.Connected, s.Problem = err == nil, problem })
}

func (f *Follower) change(how func(*Status)) {
	s := f.Status()
	how(&s)
	f.status.Store(&s)
}

// rest waits, and goes on trying to write down what is not kept yet.
func (f *Follower) rest(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		var again <-chan time.Time
		if f.unsaved != nil {
			again = time.After(saveEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-again:
			f.save()
		}
	}
}

func latest(a, b snapshot.Version) snapshot.Version {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}
