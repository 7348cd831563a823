// Package sqlstore keeps the control plane's things in SQLite or Postgres: every public
// method is one transaction, and every one that serves a caller takes the caller's Scope
// and adds the predicate itself. What is out of scope is not found.
package sqlstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi/keyring"
)

// Store is the database. It is safe for concurrent use, by several processes, too.
type Store struct {
	dialect dialect
	// writer has one connection on SQLite, so that writers queue here instead of polling
	// the file's lock; reader is another pool there, and the same on Postgres.
	writer, reader *sqlx.DB
	keys           *keyring.Keyring
	log            *zap.Logger
	now            func() time.Time
	bound          sync.Map // query text → text with the dialect's placeholders
	prepared       sync.Map // such a text → *sqlx.Stmt of the reader, on SQLite
	news           *broadcast
	lastUsed       *throttle
}

// Options are what may be left out.
type Options struct {
	// Logger is told of migrations and retries; nil: nobody is.
	Logger *zap.Logger
	// Now is the clock; nil: the machine's.
	Now func() time.Time
	// MaxConnections bounds the connections to Postgres; 0: 16.
	MaxConnections int
}

// Open opens the database, and brings its tables up to date. The database is a URL
// "postgres://…" or the path of an SQLite file, which is made if it is not there. Secrets
// are sealed with keys. Of several that start at once, one migrates and the others wait.
func Open(ctx context.Context, database string, keys *keyring.Keyring, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 16
	}
	d, err := dialectOf(database)
	if err != nil {
		return nil, err
	}
	s := &Store{dialect: d, keys: keys, log: o.Logger, now: o.Now, news: newBroadcast(), lastUsed: newThrottle()}
	if s.writer, s.reader, err = d.open(database, o.MaxConnections); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx, database); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) prepare(ctx context.Context, database string) error {
	if err := s.migrate(ctx, database); err != nil {
		return err
	}
	return s.write(ctx, (*tx).fillSigningKeys)
}

// Close closes the connections. What was acknowledged is on the disk.
func (s *Store) Close() error {
	err := s.writer.Close()
	if s.reader != s.writer {
		err = errors.Join(err, s.reader.Close())
	}
	return err
}

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, func(t *tx) error {
		var one int64
		return t.get(&one, `SELECT 1`)
	})
}
