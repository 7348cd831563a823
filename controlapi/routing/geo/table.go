package geo

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/headrace/headrace/controlapi/routing"
)

// Bounds of a table.
const (
	maxTable   = 64 << 20
	maxEntries = 1_000_000
	maxLine    = 1024
)

// Table tells where networks are, by the operator's word. It is immutable.
type Table struct {
	places map[netip.Prefix]routing.Position
	// lengths are the lengths of prefixes that occur, longest first, of IPv4 and IPv6.
	lengths4, lengths6 []int
}

// ParseTable reads a table: a network, its latitude and its longitude in degrees per line,
// then whatever the operator wants to note. Empty lines, and what follows a #, count for
// nothing. Of networks that lie within each other the smaller one wins.
//
//	203.0.113.0/24   52.37   4.90   # Amsterdam
//	2001:db8:a::/48  40.71 -74.01   New York
func ParseTable(r io.Reader) (*Table, error) {
	t := &Table{places: make(map[netip.Prefix]routing.Position)}
	limited := &io.LimitedReader{R: r, N: maxTable + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, maxLine), maxLine)
	for number := 1; lines.Scan(); number++ {
		text, _, _ := bytes.Cut(lines.Bytes(), []byte("#"))
		fields := strings.Fields(string(text))
		if len(fields) == 0 {
			continue
		}
		if err := t.add(fields); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the table: %w", err)
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("the table is longer than %d octets", maxTable)
	}
	return t, nil
}

func (t *Table) add(fields []string) error {
	if len(fields) < 3 {
		return fmt.Errorf("%q is not a network, a latitude and a longitude", strings.Join(fields, " "))
	}
	network, err := netip.ParsePrefix(fields[0])
	if err != nil {
		return fmt.Errorf("%q is not a network such as 203.0.113.0/24", fields[0])
	}
	if network != network.Masked() {
		return fmt.Errorf("%q has bits beyond its length; write %v", fields[0], network.Masked())
	}
	if network.Addr().Is4In6() {
		return fmt.Errorf("%q is IPv4 written as IPv6; write it as IPv4", fields[0])
	}
	lat, err := degrees(fields[1], 90)
	if err != nil {
		return err
	}
	lon, err := degrees(fields[2], 180)
	if err != nil {
		return err
	}
	if _, again := t.places[network]; again {
		return fmt.Errorf("network %v stands twice", network)
	}
	if len(t.places) == maxEntries {
		return fmt.Errorf("more than %d networks", maxEntries)
	}
	t.places[network] = routing.At(lat, lon)
	lengths := &t.lengths6
	if network.Addr().Is4() {
		lengths = &t.lengths4
	}
	// Longest first.
	i, there := slices.BinarySearchFunc(*lengths, network.Bits(), func(a, b int) int { return b - a })
	if !there {
		*lengths = slices.Insert(*lengths, i, network.Bits())
	}
	return nil
}

func degrees(text string, most float64) (float64, error) {
	d, err := strconv.ParseFloat(text, 64)
	if err != nil || !(d >= -most && d <= most) {
		return 0, fmt.Errorf("%q is not degrees between -%g and %g", text, most, most)
	}
	return d, nil
}

// Lookup gives where an address is by the smallest network that holds it. It must be
// unmapped and without a zone.
func (t *Table) Lookup(addr netip.Addr) (routing.Position, bool) {
	lengths := t.lengths6
	if addr.Is4() {
		lengths = t.lengths4
	}
	for _, bits := range lengths {
		network, err := addr.Prefix(bits)
		if err != nil {
			return routing.Position{}, false
		}
		if at, there := t.places[network]; there {
			return at, true
		}
	}
	return routing.Position{}, false
}

// Len is the number of networks.
func (t *Table) Len() int { return len(t.places) }
