package sqlstore

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/keyring"
	"github.com/headrace/headrace/test/postgres"
)

func TestMain(m *testing.M) { postgres.Main(m) }

// onBoth runs a test on a fresh database of each dialect.
func onBoth(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Parallel()
	for _, d := range []dialect{dialectSQLite, dialectPostgres} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			test(t, openTest(t, newDatabase(t, d), Options{}))
		})
	}
}

func newDatabase(t testing.TB, d dialect) string {
	t.Helper()
	if d == dialectPostgres {
		return postgres.New(t)
	}
	return filepath.Join(t.TempDir(), "test.db")
}

func openTest(t testing.TB, database string, o Options) *Store {
	t.Helper()
	return openWith(t, database, testKeys(t), o)
}

func openWith(t testing.TB, database string, keys *keyring.Keyring, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), database, keys, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func testKeys(t testing.TB) *keyring.Keyring {
	t.Helper()
	keys, err := keyring.Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func wantCode(t *testing.T, err error, want controlapi.Code) {
	t.Helper()
	if got := controlapi.CodeOf(err); got != want {
		t.Fatalf("got %q (%v), want %q", got, err, want)
	}
}

func must[T any](x T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
}

// as gives the scope of a new key of a reseller, with all that it may do.
func as(t testing.TB, s *Store, resellerID string) controlapi.Scope {
	t.Helper()
	permissions := controlapi.Permissions()
	if resellerID != controlapi.OperatorID {
		permissions = permissions[:len(permissions)-1]
	}
	_, secret, err := s.CreateAPIKey(t.Context(), s.LocalOperator(), controlapi.APIKeyCreate{ResellerID: resellerID, Name: "test", Permissions: permissions})
	if err != nil {
		t.Fatal(err)
	}
	return must(s.Authenticate(t.Context(), secret))(t)
}

func newReseller(t testing.TB, s *Store, parent string) controlapi.Reseller {
	t.Helper()
	return must(s.CreateReseller(t.Context(), s.LocalOperator(), controlapi.ResellerCreate{ParentID: parent, Name: "Reseller"}))(t)
}
