package geo

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi/routing"
)

var (
	amsterdam = routing.At(52.37, 4.90)
	frankfurt = routing.At(50.11, 8.68)
	newYork   = routing.At(40.71, -74.01)
)

func TestTable(t *testing.T) {
	table, err := ParseTable(strings.NewReader(`
# a comment

203.0.113.0/24   52.37   4.90   # Amsterdam
203.0.113.128/25 50.11   8.68   Frankfurt
2001:db8:a::/48  40.71 -74.01   New York
203.0.113.7/32   40.71 -74.01
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		addr string
		want *routing.Position
	}{
		{"203.0.113.1", &amsterdam},
		{"203.0.113.200", &frankfurt},
		{"203.0.113.7", &newYork},
		{"203.0.114.1", nil},
		{"2001:db8:a::1", &newYork},
		{"2001:db8:b::1", nil},
	} {
		got, there := table.Lookup(netip.MustParseAddr(tt.addr))
		if there != (tt.want != nil) || there && got.Kilometres(*tt.want) > 1 {
			t.Errorf("%s: got %v, %v", tt.addr, got, there)
		}
	}
	if table.Len() != 4 {
		t.Errorf("got %d networks, want 4", table.Len())
	}
}

func TestTableRefuses(t *testing.T) {
	for _, tt := range []struct{ name, table, want string }{
		{"two fields", "203.0.113.0/24 52", "line 1"},
		{"no network", "\n\n203.0.113.0 52.37 4.90", "line 3"},
		{"host bits", "203.0.113.1/24 52.37 4.90", "write 203.0.113.0/24"},
		{"IPv4 written as IPv6", "::ffff:203.0.113.0/120 52.37 4.90", "write it as IPv4"},
		{"a latitude beyond the pole", "203.0.113.0/24 91 4.90", "between -90 and 90"},
		{"a longitude beyond the date line", "203.0.113.0/24 52 181", "between -180 and 180"},
		{"a latitude that is no number", "203.0.113.0/24 NaN 4.90", "is not degrees"},
		{"a comma", "203.0.113.0/24 52,37 4,90", "is not degrees"},
		{"twice", "203.0.113.0/24 1 1\n203.0.113.0/24 2 2", "line 2: network 203.0.113.0/24 stands twice"},
		{"an endless line", strings.Repeat("x", 5000), "too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseTable(strings.NewReader(tt.table)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func FuzzParseTable(f *testing.F) {
	f.Add("203.0.113.0/24 52.37 4.90 # x\n2001:db8::/32 1 2\n", "203.0.113.9")
	f.Add("0.0.0.0/0 0 0\n::/0 -90 180\n", "::1")
	f.Fuzz(func(t *testing.T, text, addr string) {
		table, err := ParseTable(strings.NewReader(text))
		if err != nil {
			return
		}
		a, err := netip.ParseAddr(addr)
		if err != nil {
			return
		}
		a = a.Unmap().WithZone("")
		got, there := table.Lookup(a)
		// The smallest of all networks that hold it, found the slow way.
		longest := -1
		var want routing.Position
		for network, at := range table.places {
			if network.Contains(a) && network.Bits() > longest {
				longest, want = network.Bits(), at
			}
		}
		if there != (longest >= 0) || got != want {
			t.Errorf("%s: got %v, %v, want %v", a, got, there, want)
		}
		if there && !(got.Kilometres(amsterdam) >= 0) {
			t.Errorf("%v is nowhere", got)
		}
	})
}

// database writes a file in MaxMind's format.
func database(t *testing.T, path string, places map[string][2]float64) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test-City", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for network, at := range places {
		_, n, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		record := mmdbtype.Map{"location": mmdbtype.Map{"latitude": mmdbtype.Float64(at[0]), "longitude": mmdbtype.Float64(at[1])}}
		if math.IsNaN(at[0]) {
			record = mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String("NL")}}
		}
		if err := tree.Insert(n, record); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	replace(t, path, b.Bytes())
}

// replace puts a file in place of another, in one step, with a time of its own.
func replace(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	stamped = stamped.Add(time.Second)
	if err := os.Chtimes(path+".new", stamped, stamped); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

var stamped = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestLocator(t *testing.T) {
	files := Files{MaxMind: filepath.Join(t.TempDir(), "city.mmdb"), Table: filepath.Join(t.TempDir(), "networks")}
	if _, err := Open(files, zap.NewNop()); err == nil {
		t.Error("files that are not there are no error at the start")
	}
	database(t, files.MaxMind, map[string][2]float64{
		"203.0.113.0/24": {52.37, 4.90}, "2001:db8::/32": {40.71, -74.01}, "198.51.100.0/24": {math.NaN(), 0}, "192.0.2.0/24": {95, 0},
	})
	replace(t, files.Table, []byte("203.0.113.0/25 40.71 -74.01\n198.51.100.0/24 50.11 8.68\n"))
	l, err := Open(files, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	expect := func(addr string, want *routing.Position) {
		t.Helper()
		var a netip.Addr
		if addr != "" {
			a = netip.MustParseAddr(addr)
		}
		got := l.Locate(a)
		if (got == nil) != (want == nil) || got != nil && got.Kilometres(*want) > 1 {
			t.Errorf("%q: got %v, want %v", addr, got, want)
		}
	}
	expect("203.0.113.1", &amsterdam) // the file comes first
	expect("::ffff:203.0.113.1", &amsterdam)
	expect("2001:db8::1", &newYork)
	expect("198.51.100.1", &frankfurt) // the file knows the country only
	expect("192.0.2.1", nil)           // the file is wrong there
	expect("8.8.8.8", nil)
	expect("", nil)

	database(t, files.MaxMind, map[string][2]float64{"203.0.113.0/24": {50.11, 8.68}})
	l.refresh()
	expect("203.0.113.1", &frankfurt)
	expect("2001:db8::1", nil)

	// What is broken or gone leaves what was.
	replace(t, files.MaxMind, []byte("not a database"))
	replace(t, files.Table, []byte("not a table"))
	l.refresh()
	expect("203.0.113.1", &frankfurt)
	expect("198.51.100.1", &frankfurt)
	for _, path := range []string{files.MaxMind, files.Table} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	l.refresh()
	l.refresh()
	expect("203.0.113.1", &frankfurt)
	replace(t, files.Table, []byte("198.51.100.0/24 40.71 -74.01\n"))
	l.refresh()
	expect("198.51.100.1", &newYork)
}

func TestNeutral(t *testing.T) {
	l, err := Open(Files{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Locate(netip.MustParseAddr("203.0.113.1")); got != nil {
		t.Errorf("got %v without any file", got)
	}
	l.refresh()
}

func BenchmarkTable(b *testing.B) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "10.%d.%d.%d/32 1 2\n", i>>16, i>>8&255, i&255)
	}
	text.WriteString("0.0.0.0/0 1 1\n10.0.0.0/8 1 1\n")
	table, err := ParseTable(strings.NewReader(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	addr := netip.MustParseAddr("203.0.113.9")
	for b.Loop() {
		table.Lookup(addr)
	}
}
