package sqlstore

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/sql"
)

// migrationLock is the advisory lock of Postgres under which one starter migrates.
const migrationLock = 0x68656164_72616365 // "headrace"

// migrate brings the tables up to date. One starter does it while the others wait: a
// lock of the session on Postgres, of a file beside the database on SQLite. Both end
// with the process that holds them.
func (s *Store) migrate(ctx context.Context, path string) error {
	unlock, err := s.lockMigrations(ctx, path)
	if err != nil {
		return domainError(fmt.Errorf("waiting to migrate the database: %w", err))
	}
	defer unlock()
	folder, err := fs.Sub(sql.Migrations, string(s.dialect))
	if err != nil {
		return err
	}
	dialect := database.DialectSQLite3
	if s.dialect == dialectPostgres {
		dialect = database.DialectPostgres
	}
	p, err := goose.NewProvider(dialect, s.writer.DB, folder, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return domainError(fmt.Errorf("migrating the database: %w", err))
	}
	for _, m := range done {
		s.log.Info("database migrated", zap.Int64("migration", m.Source.Version), zap.Duration("duration", m.Duration))
	}
	return nil
}

func (s *Store) lockMigrations(ctx context.Context, path string) (unlock func(), err error) {
	if s.dialect == dialectPostgres {
		conn, err := s.writer.Conn(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return func() {
			// The connection goes back to the pool, so the lock must not stay with it.
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(migrationLock))
			_ = conn.Close()
		}, nil
	}
	f, err := os.OpenFile(path+".migrate", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR { //nolint:errorlint // the system call's own value
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
