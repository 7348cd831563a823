package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/headrace/headrace/controlapi"
)

const apiKeyColumns = `SELECT id, reseller_id, path, name, permissions, expires, revoked, last_used, version, created FROM api_keys ` //nolint:gosec // the names of columns

type apiKeyRow struct {
	ID          string
	ResellerID  string `db:"reseller_id"`
	Path        string
	Name        string
	Permissions string
	Expires     int64
	Revoked     bool
	LastUsed    int64 `db:"last_used"`
	Version     int64
	Created     int64
}

func (r *apiKeyRow) domain() (controlapi.APIKey, error) {
	k := controlapi.APIKey{
		ID: r.ID, ResellerID: r.ResellerID, Name: r.Name, ExpiresAt: fromMicros(r.Expires), Revoked: r.Revoked,
		LastUsedAt: fromMicros(r.LastUsed), Version: r.Version, CreatedAt: fromMicros(r.Created),
	}
	if err := json.Unmarshal([]byte(r.Permissions), &k.Permissions); err != nil {
		return k, fmt.Errorf("reading the permissions of API key %s: %w", r.ID, err)
	}
	return k, nil
}

func (t *tx) apiKey(sc controlapi.Scope, id string) (controlapi.APIKey, tenant, error) {
	var row apiKeyRow
	if err := orNotFound(t.get(&row, apiKeyColumns+`WHERE id = ?`, id), "API key"); err != nil {
		return controlapi.APIKey{}, tenant{}, err
	}
	if !sc.Contains(row.Path) {
		return controlapi.APIKey{}, tenant{}, controlapi.NotFound("API key")
	}
	k, err := row.domain()
	return k, tenant{row.ResellerID, row.Path}, err
}

// APIKey gives one.
func (s *Store) APIKey(ctx context.Context, sc controlapi.Scope, id string) (k controlapi.APIKey, err error) {
	err = s.read(ctx, func(t *tx) error {
		k, _, err = t.apiKey(sc, id)
		return err
	})
	return k, err
}

// APIKeys lists those in scope, or of one reseller.
func (s *Store) APIKeys(ctx context.Context, sc controlapi.Scope, resellerID string, p controlapi.Page) (l controlapi.List[controlapi.APIKey], err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		rows, limit, err := ownedRows[apiKeyRow](t, sc, resellerID, p, apiKeyColumns)
		if err != nil {
			return err
		}
		l, err = pageOf(rows, limit, (*apiKeyRow).domain, func(r *apiKeyRow) cursor { return cursor{r.Path, text(r.Created), r.ID} })
		return err
	})
	return l, err
}

// ownedRows reads a page of what belongs to tenants, by path, creation and id: all in
// scope, or one reseller's.
func ownedRows[R any](t *tx, sc controlapi.Scope, resellerID string, p controlapi.Page, columns string) ([]R, int, error) {
	limit, err := limitOf(p)
	if err != nil {
		return nil, 0, err
	}
	c, err := parseCursor(p.After, 3)
	if err != nil {
		return nil, 0, err
	}
	created, err := c.number(1)
	if err != nil {
		return nil, 0, err
	}
	from, to := sc.Path(), after(sc.Path())
	if resellerID != "" {
		of, err := t.tenant(sc, resellerID)
		if err != nil {
			return nil, 0, err
		}
		from, to = of.path, of.path+"\x01" // of that path alone
	}
	var rows []R
	err = t.list(&rows, columns+`WHERE path >= ? AND path < ? AND (path, created, id) > (?, ?, ?) ORDER BY path, created, id LIMIT ?`,
		from, to, c[0], created, c[2], limit+1)
	return rows, limit, err
}

// CreateAPIKey makes a key with some of the maker's permissions. Only now its secret is
// to be had.
func (s *Store) CreateAPIKey(ctx context.Context, sc controlapi.Scope, in controlapi.APIKeyCreate) (k controlapi.APIKey, secret controlapi.Secret, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := checkName(in.Name); err != nil {
			return err
		}
		if err := permissionsWithin(sc, in.Permissions); err != nil {
			return err
		}
		of, err := t.tenant(sc, in.ResellerID)
		if err != nil {
			return err
		}
		for _, p := range in.Permissions {
			if p == controlapi.PermissionOperate && of.id != controlapi.OperatorID {
				return controlapi.Invalid("permissions", "operate is good in the operator's own keys only")
			}
		}
		if !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(t.now) {
			return controlapi.Invalid("expires_at", "it is over already")
		}
		permissions, err := json.Marshal(in.Permissions)
		if err != nil {
			return err
		}
		c := controlapi.NewCredential(controlapi.APIKeyCredential)
		if err := t.do(`INSERT INTO api_keys (id, reseller_id, path, name, hash, permissions, expires, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			c.ID, of.id, of.path, in.Name, c.Hash[:], string(permissions), micros(in.ExpiresAt), micros(t.now)); err != nil {
			return err
		}
		if k, _, err = t.apiKey(sc, c.ID); err != nil {
			return err
		}
		secret = c.Text
		return t.audit(sc, of, "api_key.create", "api_key/"+c.ID, nil, k)
	})
	return k, secret, err
}

// RevokeAPIKey ends a key at once and for good.
func (s *Store) RevokeAPIKey(ctx context.Context, sc controlapi.Scope, id string, version int64) (k controlapi.APIKey, err error) {
	err = s.write(ctx, func(t *tx) error {
		before, of, err := t.apiKey(sc, id)
		if err != nil {
			return err
		}
		if err := checkVersion(version, before.Version, "API key"); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE api_keys SET revoked = TRUE, version = version + 1 WHERE id = ? AND version = ?`, id, version)
		if err := changedRow(n, err, "API key"); err != nil {
			return err
		}
		if k, _, err = t.apiKey(sc, id); err != nil {
			return err
		}
		return t.audit(sc, of, "api_key.revoke", "api_key/"+id, before, k)
	})
	return k, err
}
