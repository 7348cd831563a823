package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi/sqlstore"
)

// newRestore makes the command that goes back to a backup.
func newRestore(s *settings) *cobra.Command {
	var from string
	var above int64
	cmd := &cobra.Command{
		Use: "restore", Short: "Go back to a backup, and let edges follow", Args: noArguments,
		Long: `Puts a backup in the place of the SQLite database and raises its epoch: without that,
edges refuse the older versions of a database that went back. Stop controlapi first. The
database that was there stays beside it. Secrets need the key file of the backup's time.

On Postgres restore with its own tools first; controlapi restore then raises the epoch.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := s.log()
			if err != nil {
				return err
			}
			return s.restore(cmd.Context(), from, above, cmd.OutOrStdout(), log)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "`file` of the backup; not on Postgres")
	cmd.Flags().Int64Var(&above, "above", 0, "`epoch` that edges have seen last, if the database that was there cannot tell")
	return cmd
}

func (s *settings) restore(ctx context.Context, from string, above int64, out io.Writer, log *zap.Logger) error {
	isPostgres := strings.Contains(s.databasePath(), "://")
	switch {
	case isPostgres && from != "":
		return usagef("--from is for SQLite: restore Postgres with pg_restore, then run controlapi restore without it")
	case !isPostgres && from == "":
		return usagef("--from is needed: which backup?")
	}
	if !isPostgres {
		old, err := s.replaceDatabase(ctx, from, log)
		if err != nil {
			return err
		}
		above = max(above, old)
	}
	store, err := s.open(ctx, log)
	if err != nil {
		return err
	}
	epoch, err := raiseEpoch(ctx, store, above)
	if err := errors.Join(err, store.Close()); err != nil {
		return fmt.Errorf("raising the epoch: %w", err)
	}
	fmt.Fprintf(out, "restored; edges follow at epoch %d\n", epoch)
	return nil
}

// raiseEpoch raises the epoch above its own and the given one: a backup can be restored
// more than once.
func raiseEpoch(ctx context.Context, store *sqlstore.Store, above int64) (int64, error) {
	for {
		epoch, err := store.RaiseEpoch(ctx, store.LocalOperator())
		if err != nil || epoch > above {
			return epoch, err
		}
	}
}

// replaceDatabase puts a backup in the place of the database, which it moves aside, and
// tells the epoch that it had.
func (s *settings) replaceDatabase(ctx context.Context, from string, log *zap.Logger) (epoch int64, err error) {
	path := s.databasePath()
	if err := isSQLite(from); err != nil {
		return 0, err
	}
	fresh := path + ".restoring"
	if err := copyFile(from, fresh); err != nil {
		return 0, fmt.Errorf("copying the backup: %w", err)
	}
	if _, err := os.Stat(path); err == nil {
		if epoch, err = s.epochOf(ctx, log); err != nil {
			log.Warn("database that is replaced cannot be read", zap.Error(err))
		}
	}
	aside := path + time.Now().UTC().Format(".20060102T150405Z")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		// All of them: a journal beside a database that it does not belong to destroys it.
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("moving the database aside: %w", err)
		}
	}
	if err := os.Rename(fresh, path); err != nil {
		return 0, fmt.Errorf("placing the backup: %w", err)
	}
	return epoch, syncFolder(filepath.Dir(path))
}

func (s *settings) epochOf(ctx context.Context, log *zap.Logger) (int64, error) {
	store, err := s.open(ctx, log)
	if err != nil {
		return 0, err
	}
	epoch, _, err := store.ConfigVersion(ctx)
	return epoch, errors.Join(err, store.Close())
}

func isSQLite(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("opening the backup: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	magic := []byte("SQLite format 3\x00")
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(f, head); err != nil || !bytes.Equal(head, magic) {
		return fmt.Errorf("%s is no backup of a control plane: it is no SQLite database", file)
	}
	return nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Sync()
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
