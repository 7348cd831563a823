package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/controlapi/keyring"
	"github.com/headrace/headrace/controlapi/sqlstore"
)

// newBackup makes the command that copies the database while it is in use.
func newBackup(s *settings) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "backup", Short: "Copy the SQLite database to a file, while it is in use", Args: noArguments,
		Long: `Copies the database as it is at one moment; the API goes on meanwhile. The copy's secrets
are sealed: keep a copy of the key file too, in another place. Postgres has pg_dump.`,
		RunE: s.withStore(func(ctx context.Context, store *sqlstore.Store, out io.Writer) error {
			if to == "" {
				return usagef("--to is needed: which file?")
			}
			if err := store.Backup(ctx, store.LocalOperator(), to); err != nil {
				return fmt.Errorf("backing up: %w", err)
			}
			fmt.Fprintln(out, to)
			return nil
		}),
	}
	cmd.Flags().StringVar(&to, "to", "", "`file` to write; it must not be there")
	return cmd
}

// newRewrap makes the command that exchanges the key under which secrets are sealed.
func newRewrap(s *settings) *cobra.Command {
	var newKey, retire bool
	cmd := &cobra.Command{
		Use: "rewrap", Short: "Exchange the key under which secrets are sealed", Args: noArguments,
		Long: `To exchange the key, in three steps:

	controlapi rewrap --new-key    puts a new key in front of the key file's others;
	                               then restart every controlapi, so that each knows it
	controlapi rewrap              seals every secret of the database under it
	controlapi rewrap --retire     takes the old keys out of the file; backups from
	                               before need them, so keep a copy of the old file`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case newKey && retire:
				return usagef("--new-key and --retire are two steps: secrets are sealed anew between them")
			case newKey:
				_, err := keyring.Rotate(s.keyPath())
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), "the new key is in the file; restart every controlapi, then run controlapi rewrap")
				}
				return err
			}
			return s.withStore(func(ctx context.Context, store *sqlstore.Store, out io.Writer) error {
				n, err := store.Rewrap(ctx, store.LocalOperator())
				if err != nil {
					return fmt.Errorf("sealing secrets anew: %w", err)
				}
				fmt.Fprintf(out, "%d secrets sealed anew\n", n)
				if !retire {
					return nil
				}
				if n > 0 {
					return errors.New("secrets were still sealed under an old key just now: restart every controlapi that does not know the new one, then try again")
				}
				if _, err := keyring.Retire(s.keyPath()); err != nil {
					return err
				}
				fmt.Fprintln(out, "the old keys are out of the file")
				return nil
			})(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&newKey, "new-key", false, "put a new key in front")
	cmd.Flags().BoolVar(&retire, "retire", false, "take the old keys out")
	return cmd
}
