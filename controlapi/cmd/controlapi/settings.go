package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/headrace/headrace/controlapi/keyring"
	"github.com/headrace/headrace/controlapi/sqlstore"
)

// settings are the options of all commands.
type settings struct {
	data     string
	database string
	keyFile  string
	logLevel string
}

func (s *settings) addTo(flags *pflag.FlagSet) {
	flags.StringVar(&s.data, "data", "data", "folder for what is kept: database, key file, certificate")
	flags.StringVar(&s.database, "database", "", "`URL` postgres://user@host/name for a cluster, or the path of an SQLite file (default control.db in --data). A password belongs in HEADRACE_DATABASE or a PGPASSFILE: other users of the machine see arguments")
	flags.StringVar(&s.keyFile, "key-file", "", "`file` with the keys that seal secrets in the database; made if it is not there (default control.keys in --data)")
	flags.StringVar(&s.logLevel, "log-level", "info", "least `level` of log lines: debug, info, warn or error")
}

// fromEnvironment gives every option that is not on the command line its value from the
// environment.
func fromEnvironment(flags *pflag.FlagSet) (err error) {
	if given := flags.Lookup("database"); given.Changed && hasPassword(given.Value.String()) {
		return usagef("--database holds a password, which other users of the machine can see: give it as HEADRACE_DATABASE, or leave the password to a PGPASSFILE")
	}
	flags.VisitAll(func(f *pflag.Flag) {
		name := "HEADRACE_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, isSet := os.LookupEnv(name); isSet && !f.Changed && err == nil {
			if bad := flags.Set(f.Name, value); bad != nil {
				err = usagef("%s: %w", name, bad)
			}
		}
	})
	return err
}

func hasPassword(database string) bool {
	u, err := url.Parse(database)
	if err != nil {
		return strings.Contains(database, "://")
	}
	_, isSet := u.User.Password()
	return isSet || u.Query().Has("password")
}

// log makes the program's log: JSON lines on standard error.
func (s *settings) log() (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(s.logLevel)
	if err != nil {
		return nil, usagef("--log-level %q: choose debug, info, warn or error", s.logLevel)
	}
	c := zap.NewProductionConfig()
	c.Level = zap.NewAtomicLevelAt(level)
	c.Sampling = nil // a log that leaves lines out is no record
	c.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	c.EncoderConfig.EncodeDuration = zapcore.SecondsDurationEncoder
	return c.Build()
}

// within is a path as it was set, or its default within the data folder.
func (s *settings) within(set, name string) string {
	if set != "" {
		return set
	}
	return filepath.Join(s.data, name)
}

func (s *settings) keyPath() string { return s.within(s.keyFile, "control.keys") }

func (s *settings) databasePath() string { return s.within(s.database, "control.db") }

// open opens key file and database.
func (s *settings) open(ctx context.Context, log *zap.Logger) (*sqlstore.Store, error) {
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	keys, err := keyring.Open(s.keyPath())
	if err != nil {
		return nil, err
	}
	store, err := sqlstore.Open(ctx, s.databasePath(), keys, sqlstore.Options{Logger: log})
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	return store, nil
}
