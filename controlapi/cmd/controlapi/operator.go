package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/sqlstore"
)

// withStore runs a step of the operator on the database. Its result goes to standard
// output, everything else to standard error.
func (s *settings) withStore(step func(ctx context.Context, store *sqlstore.Store, out io.Writer) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		log, err := s.log()
		if err != nil {
			return err
		}
		store, err := s.open(cmd.Context(), log)
		if err != nil {
			return err
		}
		return errors.Join(step(cmd.Context(), store, cmd.OutOrStdout()), store.Close())
	}
}

// newInit makes the command that prints the operator's first key.
func newInit(s *settings) *cobra.Command {
	return &cobra.Command{
		Use: "init", Short: "Make the database and print the operator's API key, once", Args: noArguments,
		Long: `Makes the database, and an API key of the operator with every permission. The key is the
only thing on standard output, and is shown this once. Where the operator has a key
already, nothing is made: see controlapi key create.`,
		RunE: s.withStore(func(ctx context.Context, store *sqlstore.Store, out io.Writer) error {
			scope := store.LocalOperator()
			if has, err := hasKey(ctx, store, scope); err != nil || has {
				return errors.Join(err, errors.New("the operator has an API key already; for another one: controlapi key create"))
			}
			_, secret, err := store.CreateAPIKey(ctx, scope, controlapi.APIKeyCreate{Name: "operator", Permissions: controlapi.Permissions()})
			if err != nil {
				return fmt.Errorf("making the operator's key: %w", err)
			}
			fmt.Fprintln(out, secret.Reveal())
			return nil
		}),
	}
}

// hasKey tells whether the operator has an API key that is good.
func hasKey(ctx context.Context, store *sqlstore.Store, scope controlapi.Scope) (bool, error) {
	for page := (controlapi.Page{Limit: controlapi.MaxPageLimit}); ; {
		keys, err := store.APIKeys(ctx, scope, controlapi.OperatorID, page)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(keys.Items, func(k controlapi.APIKey) bool {
			return !k.Revoked && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(time.Now()))
		}) {
			return true, nil
		}
		if keys.Next == "" {
			return false, nil
		}
		page.After = keys.Next
	}
}

// newKey makes the commands around API keys.
func newKey(s *settings) *cobra.Command {
	var in controlapi.APIKeyCreate
	var permissions []string
	var life time.Duration
	create := &cobra.Command{
		Use: "create", Short: "Make an API key and print it, once", Args: noArguments,
		RunE: s.withStore(func(ctx context.Context, store *sqlstore.Store, out io.Writer) error {
			if in.Name == "" {
				return usagef("--name is needed: what is the key for?")
			}
			for _, p := range permissions {
				if !slices.Contains(controlapi.Permissions(), controlapi.Permission(p)) {
					return usagef("--permissions: %q is none; there are %s", p, strings.Join(permissionNames(), ", "))
				}
				in.Permissions = append(in.Permissions, controlapi.Permission(p))
			}
			if life > 0 {
				in.ExpiresAt = time.Now().Add(life)
			}
			_, secret, err := store.CreateAPIKey(ctx, store.LocalOperator(), in)
			if err != nil {
				return fmt.Errorf("making the key: %w", err)
			}
			fmt.Fprintln(out, secret.Reveal())
			return nil
		}),
	}
	create.Flags().StringVar(&in.Name, "name", "", "what the key is for")
	create.Flags().StringVar(&in.ResellerID, "reseller", "", "`id` of the reseller for whom it acts (default the operator)")
	create.Flags().StringSliceVar(&permissions, "permissions", permissionNames(), "what it may be used for")
	create.Flags().DurationVar(&life, "life", 0, "how long it is good, 720h for 30 days (default for ever)")
	key := &cobra.Command{Use: "key", Short: "Make API keys at the machine, without one", Args: cobra.ArbitraryArgs, RunE: needsCommand}
	key.AddCommand(create)
	return key
}

func permissionNames() []string {
	names := make([]string, 0, len(controlapi.Permissions()))
	for _, p := range controlapi.Permissions() {
		names = append(names, string(p))
	}
	return names
}

func needsCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s has no command %q", cmd.CommandPath(), args[0])
	}
	return cmd.Help()
}
