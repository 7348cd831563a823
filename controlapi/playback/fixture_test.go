package playback_test

import (
	"context"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/keyring"
	"github.com/headrace/headrace/controlapi/nodehealth"
	"github.com/headrace/headrace/controlapi/routing"
	"github.com/headrace/headrace/controlapi/sqlstore"
	"github.com/headrace/headrace/test/postgres"
)

func TestMain(m *testing.M) { postgres.Main(m) }

// shop is an operator with two streams in a bouquet, a plan of it, a reseller that may show
// one of them, and a user of that reseller.
type shop struct {
	store    *sqlstore.Store
	operator controlapi.Scope
	scope    controlapi.Scope // the reseller's
	reseller controlapi.Reseller
	bouquet  controlapi.Bouquet
	user     controlapi.User
}

const (
	shown  = "501" // may be shown by the reseller
	hidden = "502" // is in the plan, but may not
	pushed = "503" // may be published by the reseller
)

func newShop(t testing.TB, database string) *shop {
	t.Helper()
	ctx := context.Background()
	keys, err := keyring.Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlstore.Open(ctx, database, keys, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	x := &shop{store: store, operator: store.LocalOperator()}
	for _, id := range []string{shown, hidden, pushed} {
		source := "https://origin.example/" + id + ".m3u8"
		if id == pushed {
			source = "push:"
		}
		must(store.CreateStream(ctx, x.operator, controlapi.StreamCreate{ID: id, Name: id, StreamSpec: controlapi.DefaultStreamSpec(source)}))(t)
	}
	x.bouquet = must(store.CreateBouquet(ctx, x.operator, controlapi.BouquetCreate{ID: "sports", Name: "Sports", Streams: []string{shown, hidden}}))(t)
	plan := must(store.CreatePlan(ctx, x.operator, controlapi.PlanCreate{
		Name: "Month", Duration: 30 * 24 * time.Hour, Session: 2 * time.Hour, MaxConnections: 2, Bouquets: []string{x.bouquet.ID},
	}))(t)
	x.reseller = must(store.CreateReseller(ctx, x.operator, controlapi.ResellerCreate{Name: "Reseller"}))(t)
	must(store.SetGrants(ctx, x.operator, x.reseller.ID, x.reseller.Version, controlapi.Grants{
		Show: controlapi.GrantList{Streams: []string{shown, pushed}}, Publish: controlapi.GrantList{Streams: []string{pushed}},
	}))(t)
	var permissions []controlapi.Permission
	for _, p := range controlapi.Permissions() {
		if p != controlapi.PermissionOperate {
			permissions = append(permissions, p)
		}
	}
	_, secret, err := store.CreateAPIKey(ctx, x.operator, controlapi.APIKeyCreate{ResellerID: x.reseller.ID, Name: "test", Permissions: permissions})
	if err != nil {
		t.Fatal(err)
	}
	x.scope = must(store.Authenticate(ctx, secret))(t)
	must(store.RotateSigningKey(ctx, x.scope, x.reseller.ID, controlapi.DefaultGroupID))(t)
	x.user = must(store.CreateUser(ctx, x.scope, controlapi.UserCreate{Name: "Ann", PlanID: plan.ID}))(t)
	return x
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

// nodes is what a monitor would say.
type nodes struct{ view *nodehealth.View }

func (n *nodes) View() *nodehealth.View { return n.view }

// edge is a healthy one with streams; with changes it is another.
func edge(id string, change ...func(*nodehealth.Node)) nodehealth.Node {
	n := nodehealth.Node{
		ID: id, GroupID: controlapi.DefaultGroupID, URL: "https://" + id + ".example.com", State: nodehealth.Healthy, Weight: 1, Score: 100, Headroom: 1,
		Capacity: controlapi.Capacity{Egress: 1e9}, Epoch: 1, Version: 5, Streams: make(map[string]nodehealth.Stream),
	}
	for _, s := range []string{shown, hidden, pushed} {
		n.Streams[s] = nodehealth.Stream{ID: s, State: "live", Role: "primary", AssignmentRev: 1}
	}
	for _, f := range change {
		f(&n)
	}
	return n
}

func edges(all ...nodehealth.Node) *nodes { return &nodes{&nodehealth.View{Nodes: all}} }

func without(stream string) func(*nodehealth.Node) {
	return func(n *nodehealth.Node) { delete(n.Streams, stream) }
}

// atlas knows two addresses.
type atlas struct{}

var (
	dutch   = netip.MustParseAddr("203.0.113.9")
	yankee  = netip.MustParseAddr("198.51.100.9")
	nowhere netip.Addr
)

func (atlas) Locate(addr netip.Addr) *routing.Position {
	at := routing.At(52.37, 4.90)
	switch addr {
	case dutch:
	case yankee:
		at = routing.At(40.71, -74.01)
	default:
		return nil
	}
	return &at
}

func located(lat, lon float64) func(*nodehealth.Node) {
	return func(n *nodehealth.Node) { n.Location = &controlapi.Location{Latitude: lat, Longitude: lon} }
}

// tokenOf takes the token out of a URL.
func tokenOf(t testing.TB, url string) string {
	t.Helper()
	_, rest, found := strings.Cut(url, "/live/")
	if !found {
		t.Fatalf("%q has no token", url)
	}
	text, _, _ := strings.Cut(rest, "/")
	return text
}

// database is a fresh one of a dialect.
func database(t testing.TB, dialect string) string {
	t.Helper()
	switch dialect {
	case "sqlite":
		return filepath.Join(t.TempDir(), "test.db")
	case "postgres":
		return postgres.New(t)
	}
	t.Fatalf("no dialect %q", dialect)
	return ""
}
