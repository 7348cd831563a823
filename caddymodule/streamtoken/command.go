package streamtoken

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/controlapi/token/vectors"
)

// defaultSecretEnv is where `token mint` finds the secret unless told.
const defaultSecretEnv = "HEADRACE_KEY"

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "token",
		Usage: "mint|check",
		Short: "Makes stream tokens, and checks test vectors",
		Long: `
Makes stream tokens, and tells people who make them in another language whether
an edge would agree.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(mintCommand(), checkCommand())
		},
	})
}

// mintOptions are the flags of `token mint` as they were given.
type mintOptions struct {
	stream, bouquet, operation string
	all, short                 bool
	kid, reseller, user        string
	max                        int
	network, session           string
	notBefore, expires         string
	expiresIn                  time.Duration
	secretFile, secretEnv      string
}

func mintCommand() *cobra.Command {
	var o mintOptions
	cmd := &cobra.Command{
		Use:   "mint (--stream S | --bouquet B | --all) (--reseller R --kid K --user U | --short)",
		Short: "Prints a stream token",
		Long: `
Prints a stream token, signed with the secret in --secret-file or in the
environment variable HEADRACE_KEY (another one with --secret-env): never in an
argument, which other users of the machine can see.

Times are UNIX seconds, or as in 2030-01-01T00:00:00Z.`,
		Example: `  edge token mint --stream news --short --secret-file key
  edge token mint --stream news --reseller r1 --kid k1 --user 1007 --max 2 --expires-in 6h`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return mint(cmd.OutOrStdout(), o, time.Now())
		},
	}
	o.define(cmd)
	cmd.MarkFlagsOneRequired("stream", "bouquet", "all")
	cmd.MarkFlagsMutuallyExclusive("stream", "bouquet", "all")
	cmd.MarkFlagsMutuallyExclusive("expires", "expires-in")
	cmd.MarkFlagsMutuallyExclusive("secret-file", "secret-env")
	return cmd
}

func (o *mintOptions) define(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.stream, "stream", "", "the stream that the token is for")
	f.StringVar(&o.bouquet, "bouquet", "", "the reseller's bouquet that it is for")
	f.BoolVar(&o.all, "all", false, "it is for all that the reseller is granted")
	f.BoolVar(&o.short, "short", false, "short form: plays one stream, signed with the edge's default key")
	f.StringVar(&o.reseller, "reseller", "", "the reseller whose key signs")
	f.StringVar(&o.kid, "kid", "", "the id of that key")
	f.StringVar(&o.user, "user", "", "viewer account, encoder or edge; no personal data")
	f.IntVar(&o.max, "max", 0, "sessions that the user may have open, 1 to 999 (default no limit)")
	f.StringVar(&o.network, "network", "", "where the client must be, in whole octets: 203.0.113.0/24 (default anywhere)")
	f.StringVar(&o.operation, "operation", token.Play.String(), "play, publish, relay or catchup")
	f.StringVar(&o.session, "session", "", "requests that carry it count as one connection")
	f.StringVar(&o.notBefore, "not-before", "", "when the token begins to be valid (default at once)")
	f.StringVar(&o.expires, "expires", "", "the last second of the token")
	f.DurationVar(&o.expiresIn, "expires-in", 24*time.Hour, "the same, from now")
	f.StringVar(&o.secretFile, "secret-file", "", "a file with the secret, which may end in a newline")
	f.StringVar(&o.secretEnv, "secret-env", defaultSecretEnv, "the environment variable with the secret")
}

// mint prints the token that o describes.
func mint(w io.Writer, o mintOptions, now time.Time) error {
	claims, err := o.claims(now)
	if err != nil {
		return err
	}
	secret, err := o.secret()
	if err != nil {
		return err
	}
	tok, err := token.Mint(claims, secret)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, tok)
	return err
}

func (o mintOptions) claims(now time.Time) (c token.Claims, err error) {
	if !o.short && (o.reseller == "" || o.kid == "" || o.user == "") {
		return c, errors.New("whose token? give --reseller, --kid and --user, or --short for an edge's default key")
	}
	c = token.Claims{
		Short: o.short, Kid: o.kid, Reseller: o.reseller, User: o.user, ID: o.stream,
		Max: o.max, Session: o.session,
	}
	switch {
	case o.all:
		c.Scope = token.AllStreams
	case o.bouquet != "":
		c.Scope, c.ID = token.OneBouquet, o.bouquet
	}
	var ok bool
	if c.Operation, ok = token.ParseOperation(o.operation); !ok {
		return c, fmt.Errorf("--operation %q: must be play, publish, relay or catchup", o.operation)
	}
	if o.network != "" {
		if c.Network, err = netip.ParsePrefix(o.network); err != nil {
			return c, fmt.Errorf("--network: give an address and its bits, as in 203.0.113.0/24: %w", err)
		}
	}
	if o.notBefore != "" {
		if c.NotBefore, err = parseTime("--not-before", o.notBefore); err != nil {
			return c, err
		}
	}
	c.Expires, err = o.expiry(now)
	return c, err
}

func (o mintOptions) expiry(now time.Time) (int64, error) {
	if o.expires != "" {
		return parseTime("--expires", o.expires)
	}
	if o.expiresIn < time.Second {
		return 0, fmt.Errorf("--expires-in %v: must be a second or more, as in 24h", o.expiresIn)
	}
	return now.Add(o.expiresIn).Unix(), nil
}

// parseTime reads UNIX seconds or RFC 3339.
func parseTime(flag, text string) (int64, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, fmt.Errorf("%s %q: give UNIX seconds, or a time as in 2030-01-01T00:00:00Z", flag, text)
	}
	return t.Unix(), nil
}

// secret reads the secret, which never appears in an error.
func (o mintOptions) secret() (string, error) {
	if o.secretFile == "" {
		secret := os.Getenv(o.secretEnv)
		if secret == "" {
			return "", fmt.Errorf("no secret: give --secret-file, or set the environment variable %s", o.secretEnv)
		}
		return secret, nil
	}
	text, err := os.ReadFile(o.secretFile)
	if err != nil {
		return "", fmt.Errorf("reading the secret: %w", err)
	}
	line, ended := strings.CutSuffix(string(text), "\n")
	if ended {
		line = strings.TrimSuffix(line, "\r")
	}
	return line, nil
}

// errDisagrees ends a check whose failures have been printed.
var errDisagrees = errors.New("the verifier disagrees with some cases")

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Checks test vectors against this edge's verifier",
		Long: `
Reads test vectors in the format of token_vectors.json ("-" reads standard
input), prints a line for each case in which this edge's verifier disagrees and
then how many passed and failed. The exit status is 1 unless all passed.

What a file leaves out is as in the published vectors. So a file with the member
valid alone tests tokens signed with the published secrets.`,
		Args:         cobra.ExactArgs(1),
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := checkFile(cmd.OutOrStdout(), cmd.InOrStdin(), args[0])
			// Its failures are printed, and the count must be the last line.
			cmd.SilenceErrors = errors.Is(err, errDisagrees)
			return err
		},
	}
}

// checkFile checks the named file, or stdin for "-".
func checkFile(w io.Writer, stdin io.Reader, name string) error {
	if name == "-" {
		return check(w, stdin)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading test vectors: %w", err)
	}
	if err := check(w, bytes.NewReader(text)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// check prints what became of the vectors in r, the count last.
func check(w io.Writer, r io.Reader) error {
	d, err := vectors.Read(r)
	if err != nil {
		return err
	}
	results, err := d.Check()
	if err != nil {
		return err
	}
	failed := 0
	for _, result := range results {
		if !result.Agrees() {
			failed++
			fmt.Fprintf(w, "%s: got %s, want %s\n", result.Case, result.Got, result.Want)
		}
	}
	if _, err := fmt.Fprintf(w, "%d passed, %d failed\n", len(results)-failed, failed); err != nil {
		return err
	}
	if failed > 0 {
		return errDisagrees
	}
	return nil
}
