// Package geo says where a viewer is: by a file in MaxMind's format, else by the operator's
// table of networks, else it does not know, and then distance counts for nothing.
package geo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi/routing"
)

// Files name where positions come from; an empty name is none.
type Files struct {
	// MaxMind is a database of cities, as GeoLite2-City.mmdb or dbip-city-lite.mmdb.
	MaxMind string
	// Table is the operator's; see ParseTable.
	Table string
}

// maxMaxMind bounds a database: it is held in memory, so that one that is written over in
// place cannot end the process.
const maxMaxMind = 1 << 30

// lookEvery is how often it is looked whether a file has changed.
const lookEvery = 5 * time.Second

// Locator knows where addresses are. Its methods may be called by several goroutines.
type Locator struct {
	log    *zap.Logger
	cities *source[*maxminddb.Reader]
	table  *source[*Table]
}

// Open reads the files. One that cannot be read at the start is an error; later the last
// good one stays in force.
func Open(files Files, log *zap.Logger) (*Locator, error) {
	l := &Locator{
		log:    log,
		cities: &source[*maxminddb.Reader]{path: files.MaxMind, parse: parseMaxMind, limit: maxMaxMind},
		table:  &source[*Table]{path: files.Table, parse: func(b []byte) (*Table, error) { return ParseTable(bytes.NewReader(b)) }, limit: maxTable},
	}
	return l, errors.Join(l.cities.load(), l.table.load())
}

// Follow takes up files that have changed, until ctx is done.
func (l *Locator) Follow(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.refresh()
		}
	}
}

func (l *Locator) refresh() {
	for _, s := range []interface {
		refresh() (bool, error)
		name() string
	}{l.cities, l.table} {
		switch changed, err := s.refresh(); {
		case err != nil:
			l.log.Warn("reading positions failed; going on with the last good file", zap.String("file", s.name()), zap.Error(err))
		case changed:
			l.log.Info("positions were read anew", zap.String("file", s.name()))
		}
	}
}

// Locate gives where an address is; nil: that is not known.
func (l *Locator) Locate(addr netip.Addr) *routing.Position {
	if !addr.IsValid() {
		return nil
	}
	addr = addr.Unmap().WithZone("")
	if cities := l.cities.get(); cities != nil {
		if at, known := lookup(*cities, addr); known {
			return &at
		}
	}
	if table := l.table.get(); table != nil {
		if at, known := (*table).Lookup(addr); known {
			return &at
		}
	}
	return nil
}

// lookup asks the database. What is broken in it is not known.
func lookup(cities *maxminddb.Reader, addr netip.Addr) (routing.Position, bool) {
	result := cities.Lookup(addr)
	if !result.Found() {
		return routing.Position{}, false
	}
	lat, lon := math.NaN(), math.NaN()
	if result.DecodePath(&lat, "location", "latitude") != nil || result.DecodePath(&lon, "location", "longitude") != nil {
		return routing.Position{}, false
	}
	if !(math.Abs(lat) <= 90 && math.Abs(lon) <= 180) {
		return routing.Position{}, false
	}
	return routing.At(lat, lon), true
}

func parseMaxMind(b []byte) (*maxminddb.Reader, error) {
	r, err := maxminddb.OpenBytes(b)
	if err != nil {
		return nil, fmt.Errorf("it is no database in MaxMind's format: %w", err)
	}
	return r, nil
}

// source is a file that is parsed, and parsed again when it has changed.
type source[T any] struct {
	path  string
	parse func([]byte) (T, error)
	limit int64
	now   atomic.Pointer[T]
	// seen is the file that was looked at last, good or not.
	seen stamp
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

func (s *source[T]) get() *T { return s.now.Load() }

func (s *source[T]) name() string { return s.path }

// load reads the file for the first time.
func (s *source[T]) load() error {
	if s.path == "" {
		return nil
	}
	_, err := s.refresh()
	return err
}

// refresh reads the file if it is another than the one that was looked at last.
func (s *source[T]) refresh() (changed bool, err error) {
	if s.path == "" {
		return false, nil
	}
	info, err := os.Stat(s.path)
	if err != nil {
		if s.seen == (stamp{}) && s.get() != nil {
			return false, nil // it was said before
		}
		s.seen = stamp{}
		return false, fmt.Errorf("reading positions: %w", err)
	}
	is := stamp{info.ModTime(), info.Size()}
	if is == s.seen {
		return false, nil
	}
	s.seen = is
	if info.Size() > s.limit {
		return false, fmt.Errorf("reading positions from %q: it has %d octets, %d are allowed", s.path, info.Size(), s.limit)
	}
	b, err := os.ReadFile(s.path)
	if err != nil {
		return false, fmt.Errorf("reading positions: %w", err)
	}
	parsed, err := s.parse(b)
	if err != nil {
		return false, fmt.Errorf("reading positions from %q: %w", s.path, err)
	}
	s.now.Store(&parsed)
	return true, nil
}
