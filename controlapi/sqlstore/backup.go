package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/headrace/headrace/controlapi"
)

// Backup writes a copy of an SQLite database, as it is at one moment, to a file that
// must not exist yet. It is the operator's. The key file is not in it, and nothing can be
// read from it without.
func (s *Store) Backup(ctx context.Context, sc controlapi.Scope, path string) error {
	if err := operatorOnly(sc); err != nil {
		return err
	}
	if s.dialect == dialectPostgres {
		return controlapi.Errorf(controlapi.CodeConflict, "Postgres has its own way: pg_dump --format=custom --file=headrace.dump \"$DATABASE_URL\"")
	}
	// Made here so that only its owner may read it; SQLite fills an empty file.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return controlapi.Errorf(controlapi.CodeExists, "%s is there already; choose another name", path)
	case err != nil:
		return domainError(fmt.Errorf("writing the backup: %w", err))
	}
	if err := f.Close(); err != nil {
		return domainError(err)
	}
	if _, err := s.writer.ExecContext(ctx, `VACUUM INTO ?`, path); err != nil {
		return errors.Join(domainError(fmt.Errorf("writing the backup: %w", err)), os.Remove(path))
	}
	return domainError(syncFile(path))
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
