package edge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/headrace/headrace/caddymodule/follower"
	"github.com/headrace/headrace/controlapi/snapshot"
)

// defaultTokenFile is where `edge join` keeps the credential unless told.
const defaultTokenFile = "/etc/headrace/edge.token" //nolint:gosec // a path, and no credential

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "join",
		Usage: "<url> <code>",
		Short: "Makes this machine an edge of a control plane",
		Long: `
Exchanges a join code, which the control plane shows once when an edge is created,
for this edge's credential. The credential goes into a file that only its owner may
read: run this as the user that the edge runs as. What the Caddyfile then needs is
printed.

A code is good once. It names the certificate of the control plane, so that nobody
else is told the secret. Give - in its place to have it read from standard input,
where other users of the machine cannot see it.`,
		CobraFunc: func(cmd *cobra.Command) {
			var o joinOptions
			cmd.Example = `  edge join https://control.example:8443 - --token-file /etc/headrace/edge.token`
			cmd.Args = cobra.ExactArgs(2)
			cmd.SilenceUsage = true
			cmd.Flags().StringVar(&o.tokenFile, "token-file", defaultTokenFile, "where the credential is kept")
			cmd.Flags().BoolVar(&o.replace, "replace", false, "take the place of a credential that is there")
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				o.url, o.code = args[0], args[1]
				return join(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), o)
			}
		},
	})
}

// joinOptions are the arguments of `edge join`.
type joinOptions struct {
	url, code, tokenFile string
	replace              bool
}

// join exchanges the code and keeps the credential. All that can fail here is tried
// before the code is used up.
func join(ctx context.Context, in io.Reader, out io.Writer, o joinOptions) error {
	if _, err := follower.CheckURL(o.url); err != nil {
		return err
	}
	code, err := o.readCode(in)
	if err != nil {
		return err
	}
	file, err := o.prepare()
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	joined, err := follower.Join(ctx, o.url, code)
	if err != nil {
		return errors.Join(fmt.Errorf("joining %s: %w", o.url, err), file.Close())
	}
	if err := o.keep(file, joined.Credential); err != nil {
		return fmt.Errorf("keeping the credential of edge %q: %w; the code is used up, make a new one", joined.EdgeID, err)
	}
	o.explain(out, joined, code.Fingerprint)
	return nil
}

func (o joinOptions) readCode(in io.Reader) (snapshot.JoinCode, error) {
	text := o.code
	if text == "-" {
		line, err := bufio.NewReader(io.LimitReader(in, 1024)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return snapshot.JoinCode{}, fmt.Errorf("reading the join code: %w", err)
		}
		text = strings.TrimSpace(line)
	}
	return snapshot.ParseJoinCode(text)
}

// prepare opens a file beside the place of the credential.
func (o joinOptions) prepare() (*os.File, error) {
	if _, err := os.Lstat(o.tokenFile); err == nil && !o.replace {
		return nil, fmt.Errorf("%s is there: this edge has joined already; give --replace to join anew, or another --token-file", o.tokenFile)
	}
	file, err := os.CreateTemp(filepath.Dir(o.tokenFile), ".join-*") // for its owner alone
	if err != nil {
		return nil, fmt.Errorf("preparing the file of the credential: %w; make its folder, or name another one with --token-file", err)
	}
	return file, nil
}

// keep puts the credential in its place. Unless it may replace one, it never does.
func (o joinOptions) keep(file *os.File, credential string) error {
	_, err := file.WriteString(credential + "\n")
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if o.replace {
		return os.Rename(file.Name(), o.tokenFile)
	}
	return os.Link(file.Name(), o.tokenFile)
}

func (o joinOptions) explain(out io.Writer, joined snapshot.Joined, pin snapshot.Fingerprint) {
	path := o.tokenFile
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	_, _ = fmt.Fprintf(out, "%v has joined. Its credential is in %s.\nPut this into the edge block of its Caddyfile, in the place of streams and keys:\n\n", joined, path)
	_, _ = fmt.Fprintf(out, "\tid %s\n\tgroup %s\n\tcontrol %s {\n\t\ttoken_file %s\n", joined.EdgeID, joined.Group, o.url, path)
	if pin != (snapshot.Fingerprint{}) {
		_, _ = fmt.Fprintf(out, "\t\tfingerprint %v\n", pin)
	}
	_, _ = fmt.Fprint(out, "\t}\n")
}
