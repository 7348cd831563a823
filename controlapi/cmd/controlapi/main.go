// Command controlapi is Headrace's control plane: it decides who may watch what, and
// tells edges what to do.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/controlapi"
)

const about = `controlapi is the control plane of Headrace: an API in front of a database that decides
who may watch what, and tells the edges what to do.

	controlapi init     print the operator's first API key, once
	controlapi          serve the API: http://127.0.0.1:8090, its documentation at /docs

Without options, everything is kept in the folder data. Every option can be given in the
environment as well: --tls-cert as HEADRACE_TLS_CERT.`

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // what was to be done failed; the last line says why
	exitUsage  = 2 // the command line is wrong
)

// commit is what the program was built from; the Makefile sets it.
var commit string

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	// A second signal ends the program as if it knew nothing of signals.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "controlapi: %v\nsee: controlapi --help\n", usage)
		return exitUsage
	default:
		fmt.Fprintf(os.Stderr, "controlapi: %v\n", plain(err))
		return exitFailed
	}
}

// plain is an error as its finder is told: without the code that programs go by.
func plain(err error) error {
	var known *controlapi.Error
	if errors.As(err, &known) && known.Err == nil {
		return errors.New(known.Message)
	}
	return err
}

// usageError is an error of the command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func newRoot() *cobra.Command {
	s := &settings{}
	serve := newServe(s)
	root := &cobra.Command{
		Use: "controlapi", Short: "The control plane of Headrace", Long: about, Version: version(),
		SilenceErrors: true, SilenceUsage: true, CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args: noArguments, RunE: serve.RunE,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd.Flags()) },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	s.addTo(root.PersistentFlags())
	serve.Flags().VisitAll(root.Flags().AddFlag)
	root.AddCommand(serve, newInit(s), newKey(s), newEdge(s), newBackup(s), newRestore(s), newRewrap(s), newOpenAPI())
	return root
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument %q", cmd.CommandPath(), args[0])
	}
	return nil
}
