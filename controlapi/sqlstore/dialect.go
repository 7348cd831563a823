package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/headrace/headrace/controlapi"
)

// dialect is what SQLite and Postgres do differently.
type dialect string

const (
	dialectSQLite   dialect = "sqlite"
	dialectPostgres dialect = "postgres"
)

func dialectOf(database string) (dialect, error) {
	switch scheme, _, found := strings.Cut(database, "://"); {
	case !found && database != "":
		return dialectSQLite, nil
	case scheme == "postgres" || scheme == "postgresql":
		return dialectPostgres, nil
	}
	// The URL may hold a password.
	return "", errors.New("the database is neither a postgres:// URL nor the path of an SQLite file")
}

func (d dialect) open(database string, connections int) (writer, reader *sqlx.DB, err error) {
	if d == dialectSQLite {
		return openSQLite(database)
	}
	config, err := pgx.ParseConfig(database)
	if err != nil {
		// What pgx says repeats the URL, less its password; a URL that it cannot read may
		// hold one anywhere.
		return nil, nil, errors.New("the database's URL is not one that Postgres understands; write postgres://user:password@host:5432/name")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 2 * time.Second
	}
	db := sqlx.NewDb(stdlib.OpenDB(*config, stdlib.OptionAfterConnect(withoutJIT)), "pgx")
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, db, nil
}

// withoutJIT keeps Postgres from compiling questions of a millisecond for seconds, which
// it does where it takes their subqueries for dear. As a statement it gets through poolers
// that refuse settings at the start of a connection.
func withoutJIT(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, `SET jit = off`)
	return err
}

func openSQLite(path string) (writer, reader *sqlx.DB, err error) {
	// Only its owner may read the file: SQLite gives its journal the same mode.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, nil, fmt.Errorf("opening the database: %w", err)
	}
	if writer, err = sqlx.Open("sqlite", dsn(path, "immediate")); err != nil {
		return nil, nil, fmt.Errorf("opening the database %s: %w", path, err)
	}
	writer.SetMaxOpenConns(1)
	if reader, err = sqlx.Open("sqlite", dsn(path, "deferred", "query_only(1)", "cache_size(-16384)")); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("opening the database %s: %w", path, err), writer.Close())
	}
	// 16 MiB of pages in each: with SQLite's default, a hundred thousand users do not fit.
	reader.SetMaxOpenConns(8)
	reader.SetMaxIdleConns(8)
	return writer, reader, nil
}

// dsn names an SQLite file. The time-out comes first, since setting the journal's mode
// may have to wait, too; synchronous is FULL because NORMAL may lose the last commits at
// a loss of power, and they move credits.
func dsn(path, lock string, pragmas ...string) string {
	q := url.Values{"_txlock": {lock}}
	q["_pragma"] = append([]string{"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}, pragmas...)
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode()
}

// bind gives a query in the dialect's words: its placeholders, and a list that came as
// JSON as rows j(value, key) in its order. Row locks are Postgres' alone: writers of SQLite
// come one after another.
func (d dialect) bind(query string) string {
	if d == dialectSQLite {
		return strings.NewReplacer("{list}", "json_each(?) AS j", "{lock}", "", "{share}", "").Replace(query)
	}
	return sqlx.Rebind(sqlx.DOLLAR, strings.NewReplacer(
		"{list}", "jsonb_array_elements_text(CAST(? AS jsonb)) WITH ORDINALITY AS j(value, key)",
		"{lock}", "FOR NO KEY UPDATE",
		"{share}", "FOR KEY SHARE",
	).Replace(query))
}

// snapshot are the options of a transaction that sees one state of the whole database.
func (d dialect) snapshot() *sql.TxOptions {
	if d == dialectSQLite {
		return &sql.TxOptions{} // the reader's pool refuses writes
	}
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

// fault is what an error of the driver means. Errors are recognised by codes.
type fault int

const (
	faultOther       fault = iota
	faultRetry             // somebody else was first; try the transaction again
	faultUnique            // the key is taken
	faultReference         // it refers to what is not there, or is referred to
	faultUnavailable       // the database cannot be reached, or cannot write
)

func faultOf(err error) fault {
	var lite *sqlite.Error
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &lite):
		return sqliteFault(lite.Code())
	case errors.As(err, &pg):
		return postgresFault(pg.Code)
	case errors.As(err, &connect), errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, net.ErrClosed),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), pgconn.SafeToRetry(err):
		return faultUnavailable
	}
	return faultOther
}

func sqliteFault(code int) fault {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return faultUnique
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return faultReference
	}
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return faultRetry
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT:
		return faultUnavailable
	}
	return faultOther
}

// postgresFault goes by the classes of SQLSTATE (PostgreSQL manual, appendix A).
func postgresFault(code string) fault {
	switch code {
	case "40001", "40P01": // serialization failure, deadlock
		return faultRetry
	case "23505":
		return faultUnique
	case "23503", "23001":
		return faultReference
	case "25006": // read only: a standby after a failover
		return faultUnavailable
	}
	switch code[:min(2, len(code))] {
	case "08", "53", "57", "58": // connection, resources, operator's intervention, system
		return faultUnavailable
	}
	return faultOther
}

// domainError gives an error as callers are to see it.
func domainError(err error) error {
	var e *controlapi.Error
	switch {
	case err == nil, errors.As(err, &e):
		return err
	case faultOf(err) == faultUnavailable:
		return &controlapi.Error{Code: controlapi.CodeUnavailable, Message: "the database cannot be reached at the moment; try again with the same idempotency key", Err: err}
	case faultOf(err) == faultRetry, errors.Is(err, errRaced):
		return &controlapi.Error{Code: controlapi.CodeUnavailable, Message: "too many changes at the same time; try again with the same idempotency key", Err: err}
	}
	return &controlapi.Error{Code: controlapi.CodeInternal, Message: "something went wrong here; the log tells what", Err: err}
}
