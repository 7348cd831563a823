package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/snapshot"
	"github.com/headrace/headrace/controlapi/sqlstore"
)

// newEdge makes the commands around edges, for scripts at the machine.
func newEdge(s *settings) *cobra.Command {
	var in controlapi.EdgeCreate
	var certFile string
	create := &cobra.Command{
		Use: "create", Short: "Make an edge and print its join code, once", Args: noArguments,
		Long: `Makes an edge and prints the code with which it joins, on its machine:

	edge join <URL of this control plane> <code>

The code is good once, for 24 hours, and carries the fingerprint of the certificate that
the edge is to trust.`,
		RunE: s.withStore(func(ctx context.Context, store *sqlstore.Store, out io.Writer) error {
			if in.ID == "" || in.URL == "" {
				return usagef("--id and --url are needed: which edge, and where do viewers find it?")
			}
			fingerprint, err := s.fingerprint(certFile)
			if err != nil {
				return err
			}
			_, secret, err := store.CreateEdge(ctx, store.LocalOperator(), in)
			if err != nil {
				return fmt.Errorf("making the edge: %w", err)
			}
			fmt.Fprintln(out, snapshot.JoinCode{Secret: secret.Reveal(), Fingerprint: fingerprint}.Text())
			return nil
		}),
	}
	flags := create.Flags()
	flags.StringVar(&in.ID, "id", "", "`id` of the edge")
	flags.StringVar(&in.GroupID, "group", "", "`id` of its group (default default)")
	flags.StringVar(&in.URL, "url", "", "`URL` at which viewers find it")
	flags.StringVar(&in.HealthURL, "health-url", "", "`URL` at which it is probed (default --url)")
	flags.StringVar(&certFile, "tls-cert", "", "`file` with the certificate that controlapi serve is given (default the one that it made for itself, if it did)")
	edge := &cobra.Command{Use: "edge", Short: "Make edges at the machine, without an API key", Args: cobra.ArbitraryArgs, RunE: needsCommand}
	edge.AddCommand(create)
	return edge
}

// fingerprint is that of the certificate with which this control plane is served.
func (s *settings) fingerprint(certFile string) (snapshot.Fingerprint, error) {
	if certFile == "" {
		certFile = filepath.Join(s.data, ownCertFile)
		if _, err := os.Stat(certFile); err != nil {
			return snapshot.Fingerprint{}, nil // it is served on loopback, or was not yet
		}
	}
	leaf, between, err := readCertificates(certFile)
	if err != nil {
		return snapshot.Fingerprint{}, err
	}
	return fingerprintOf(leaf, between), nil
}
