package sqlstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/keyring"
)

// sealedColumn is one that holds secrets: the columns that make a row's key, and the
// place that they stand for.
type sealedColumn struct {
	table, column string
	key           []string
	place         func(key []string) keyring.Place
}

// sealedColumns are all of them.
var sealedColumns = []sealedColumn{
	{"streams", "sources", []string{"id"}, func(k []string) keyring.Place { return sourcesPlace(k[0]) }},
	{"edges", "probe_key", []string{"id"}, func(k []string) keyring.Place { return probeKeyPlace(k[0]) }},
	{"signing_keys", "secret", []string{"reseller_id", "group_id", "kid"}, func(k []string) keyring.Place { return signingKeyPlace(k[0], k[1], k[2]) }},
	{"idempotency", "body", []string{"reseller_id", "idem_key"}, func(k []string) keyring.Place { return idempotencyPlace(k[0], k[1]) }},
}

// Rewrap seals all secrets anew that were not sealed with the key that seals now, and
// tells how many that were. Afterwards the other keys can leave the key file. It is the
// operator's, and may be broken off and begun again.
func (s *Store) Rewrap(ctx context.Context, sc controlapi.Scope) (n int, err error) {
	if err := operatorOnly(sc); err != nil {
		return 0, err
	}
	for _, c := range sealedColumns {
		done, err := s.rewrapColumn(ctx, c)
		n += done
		if err != nil {
			return n, fmt.Errorf("sealing %s.%s anew: %w", c.table, c.column, err)
		}
	}
	return n, nil
}

func (s *Store) rewrapColumn(ctx context.Context, c sealedColumn) (n int, err error) {
	columns, where := "", ""
	for i, name := range c.key {
		if i > 0 {
			columns, where = columns+", ", where+" AND "
		}
		columns, where = columns+name, where+name+" = ?"
	}
	var rows [][]string
	err = s.read(ctx, func(t *tx) error {
		rows = nil
		q, err := t.q.QueryxContext(t.ctx, `SELECT `+columns+`, `+c.column+` FROM `+c.table+` WHERE `+c.column+` IS NOT NULL AND `+c.column+` <> ''`)
		if err != nil {
			return err
		}
		defer func() { _ = q.Close() }()
		for q.Next() {
			row := make([]string, len(c.key)+1)
			into := make([]any, len(row))
			for i := range row {
				into[i] = &row[i]
			}
			if err := q.Scan(into...); err != nil {
				return err
			}
			if !s.keys.IsCurrent(row[len(c.key)]) {
				rows = append(rows, row)
			}
		}
		return q.Err()
	})
	if err != nil {
		return 0, err
	}
	for batch := range slices.Chunk(rows, rewrapBatch) {
		err := s.write(ctx, func(t *tx) error {
			for _, row := range batch {
				if err := t.rewrapRow(c, where, row[:len(c.key)], row[len(c.key)]); err != nil {
					return fmt.Errorf("row %v: %w", row[:len(c.key)], err)
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n += len(batch)
	}
	return n, nil
}

// rewrapBatch is how many secrets are sealed anew in one transaction.
const rewrapBatch = 200

func (t *tx) rewrapRow(c sealedColumn, where string, key []string, sealed string) error {
	secret, err := t.s.keys.Unseal(c.place(key), sealed)
	if err != nil {
		return err
	}
	anew, err := t.s.keys.Seal(c.place(key), secret)
	if err != nil {
		return err
	}
	args := []any{anew}
	for _, k := range key {
		args = append(args, k)
	}
	// What was changed meanwhile was sealed with the right key.
	return t.do(`UPDATE `+c.table+` SET `+c.column+` = ? WHERE `+where+` AND `+c.column+` = ?`, append(args, sealed)...)
}
