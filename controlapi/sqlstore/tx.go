package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jmoiron/sqlx"
	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi"
)

// tx is one transaction: what is done in it happens at one time, and whole or not at all.
type tx struct {
	ctx context.Context
	s   *Store
	q   querier
	now time.Time // whole microseconds

	records   []auditRecord               // to be chained and written before the commit
	changed   bool                        // a snapshot shows what was changed
	atVersion []func(version int64) error // told the version that shows it first
	failed    error                       // a method in it failed: it may not be committed
}

// querier is a transaction or a connection.
type querier interface {
	sqlx.QueryerContext
	sqlx.ExecerContext
}

// prepared asks SQLite by statements that were parsed once per connection: that is half
// of what a question costs there. pgx does so by itself.
type prepared struct {
	*sqlx.DB
	s *Store
}

func (p prepared) QueryxContext(ctx context.Context, query string, args ...any) (*sqlx.Rows, error) {
	statement, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return statement.QueryxContext(ctx, args...)
}

func (p prepared) QueryRowxContext(ctx context.Context, query string, args ...any) *sqlx.Row {
	statement, err := p.statement(ctx, query)
	if err != nil {
		return p.DB.QueryRowxContext(ctx, query, args...) // gives the same error
	}
	return statement.QueryRowxContext(ctx, args...)
}

func (p prepared) statement(ctx context.Context, query string) (*sqlx.Stmt, error) {
	if kept, ok := p.s.prepared.Load(query); ok {
		return kept.(*sqlx.Stmt), nil
	}
	statement, err := p.PreparexContext(ctx, query)
	if err != nil {
		return nil, err
	}
	kept, there := p.s.prepared.LoadOrStore(query, statement)
	if there {
		_ = statement.Close()
	}
	return kept.(*sqlx.Stmt), nil
}

// attempts is how often a transaction is tried that others were faster than.
const attempts = 12

// errRaced is given by a method that read what somebody else has changed since, where
// the caller did not say which version it means: trying again is right.
var errRaced = errors.New("somebody else was faster")

type txKey struct{}

// write runs fn in a transaction that may write, and again if somebody else was faster.
// In the context of Idempotent it runs in that transaction.
func (s *Store) write(ctx context.Context, fn func(*tx) error) error {
	if t := s.joined(ctx); t != nil {
		return t.join(fn)
	}
	return s.retry(ctx, func() error {
		return s.transact(ctx, s.writer, &sql.TxOptions{}, func(t *tx) error {
			if err := fn(t); err != nil {
				return err
			}
			return t.finish()
		})
	})
}

// snapshot runs fn in a transaction that sees one state of the whole database.
func (s *Store) snapshot(ctx context.Context, fn func(*tx) error) error {
	if t := s.joined(ctx); t != nil {
		return t.join(fn)
	}
	return s.retry(ctx, func() error { return s.transact(ctx, s.reader, s.dialect.snapshot(), fn) })
}

// read runs fn without a transaction: its one question sees one state by itself.
func (s *Store) read(ctx context.Context, fn func(*tx) error) error {
	if t := s.joined(ctx); t != nil {
		return t.join(fn)
	}
	return s.retry(ctx, func() error {
		if s.dialect == dialectSQLite {
			return fn(&tx{ctx: ctx, s: s, q: prepared{s.reader, s}, now: s.clock()})
		}
		return s.connect(ctx, s.reader, func(ctx context.Context, q *sqlx.Conn) error {
			return fn(&tx{ctx: ctx, s: s, q: q, now: s.clock()})
		})
	})
}

// statementTime bounds the work on a connection where the caller sets no deadline.
const statementTime = 30 * time.Second

// connect runs fn on a connection. A caller that goes away while it waits for one gets
// none; afterwards the work is short and is finished: to break it off would cost the
// connection, and clients that hang up could keep the database busy with making new ones.
// A deadline holds all the same.
func (s *Store) connect(ctx context.Context, db *sqlx.DB, fn func(context.Context, *sqlx.Conn) error) error {
	q, err := db.Connx(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(statementTime)
	}
	work, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	return fn(work, q)
}

func (s *Store) joined(ctx context.Context) *tx {
	t, _ := ctx.Value(txKey{}).(*tx)
	if t == nil || t.s != s {
		return nil
	}
	return t
}

func (t *tx) join(fn func(*tx) error) error {
	err := domainError(fn(t))
	if err != nil && t.failed == nil {
		t.failed = err
	}
	return err
}

func (s *Store) retry(ctx context.Context, fn func() error) error {
	for i := 1; ; i++ {
		err := fn()
		if err == nil || i == attempts || faultOf(err) != faultRetry && !errors.Is(err, errRaced) || ctx.Err() != nil {
			return domainError(err)
		}
		s.log.Debug("transaction tried again", zap.Int("attempt", i), zap.Error(err))
		pause := time.NewTimer(rand.N(time.Millisecond << min(i, 7))) //nolint:gosec // a pause is no secret
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return domainError(ctx.Err())
		}
	}
}

func (s *Store) transact(ctx context.Context, db *sqlx.DB, o *sql.TxOptions, fn func(*tx) error) error {
	return s.connect(ctx, db, func(ctx context.Context, c *sqlx.Conn) (err error) {
		q, err := c.BeginTxx(ctx, o)
		if err != nil {
			return err
		}
		defer func() {
			if err != nil {
				_ = q.Rollback()
			}
		}()
		t := &tx{ctx: ctx, s: s, q: q, now: s.clock()}
		if err := fn(t); err != nil {
			return err
		}
		if err := q.Commit(); err != nil {
			return err
		}
		if t.changed {
			s.news.tell()
		}
		return nil
	})
}

func (s *Store) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// finish writes what belongs to every change: its audit records, then the raised
// version. Both lock one row, always in this order, and as late as can be.
func (t *tx) finish() error {
	if t.failed != nil {
		return t.failed
	}
	if err := t.writeAudit(); err != nil {
		return err
	}
	if !t.changed {
		return nil
	}
	var version int64
	if err := t.get(&version, `UPDATE config_version SET version = version + 1, raised = ? WHERE id = 1 RETURNING version`, micros(t.now)); err != nil {
		return fmt.Errorf("raising the version: %w", err)
	}
	for _, fn := range t.atVersion {
		if err := fn(version); err != nil {
			return err
		}
	}
	return nil
}

// get reads one row; sql.ErrNoRows if there is none.
func (t *tx) get(into any, query string, args ...any) error {
	return sqlx.GetContext(t.ctx, t.q, into, t.s.bind(query), args...)
}

// list reads rows.
func (t *tx) list(into any, query string, args ...any) error {
	return sqlx.SelectContext(t.ctx, t.q, into, t.s.bind(query), args...)
}

// exec runs a statement and tells how many rows it touched.
func (t *tx) exec(query string, args ...any) (int64, error) {
	r, err := t.q.ExecContext(t.ctx, t.s.bind(query), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// do runs a statement.
func (t *tx) do(query string, args ...any) error {
	_, err := t.exec(query, args...)
	return err
}

// bind gives a query in the dialect's words, which is worked out once.
func (s *Store) bind(query string) string {
	if bound, ok := s.bound.Load(query); ok {
		return bound.(string)
	}
	bound := s.dialect.bind(query)
	s.bound.Store(query, bound)
	return bound
}

// none tells whether a row was not there.
func none(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// ignoreNone leaves the zero row where there is none.
func ignoreNone(err error) error {
	if none(err) {
		return nil
	}
	return err
}

// orNotFound makes the one answer out of a row that is not there.
func orNotFound(err error, what string) error {
	if none(err) {
		return controlapi.NotFound(what)
	}
	return err
}

// orExists makes the one answer out of a key that is taken.
func orExists(err error, what, id string) error {
	if err != nil && faultOf(err) == faultUnique {
		return &controlapi.Error{Code: controlapi.CodeExists, Field: "id", Message: fmt.Sprintf("there is a %s with the id %s already; choose another one", what, id)}
	}
	return err
}

// changedRow turns the count of an UPDATE … WHERE version = ? into an answer.
func changedRow(n int64, err error, what string) error {
	if err == nil && n == 0 {
		return controlapi.Errorf(controlapi.CodePreconditionFailed, "the %s has changed since it was read; read it again", what)
	}
	return err
}

// checkVersion compares what the caller read with what is there.
func checkVersion(want, have int64, what string) error {
	switch want {
	case have:
		return nil
	case 0:
		return controlapi.Errorf(controlapi.CodePreconditionRequired, "say which version of the %s is to be changed", what)
	}
	return changedRow(0, nil, what)
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// list of strings as it is handed to {list} and kept in columns.
func jsonList(list []string) string {
	if list == nil {
		return "[]"
	}
	text, _ := json.Marshal(list) // strings always can be
	return string(text)
}

func fromJSONList(text string) ([]string, error) {
	list := []string{}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("reading a list: %w", err)
	}
	return list, nil
}
