package sqlstore

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi"
)

// errCredential is the one answer to a credential that is not good, whatever is wrong with it.
var errCredential = controlapi.Errorf(controlapi.CodeUnauthenticated, "the credential is not known, has ended or was revoked")

// Authenticate gives the scope of an API key. An unknown key costs as much as a wrong
// secret. It is forbidden while the reseller or one above it is suspended.
func (s *Store) Authenticate(ctx context.Context, key controlapi.Secret) (controlapi.Scope, error) {
	id, hash, ok := controlapi.ParseCredential(controlapi.APIKeyCredential, key.Reveal())
	if !ok {
		return controlapi.Scope{}, errCredential
	}
	var row struct {
		ResellerID  string `db:"reseller_id"`
		Path        string
		Hash        []byte
		Permissions string
		Expires     int64
		Revoked     bool
		Halted      bool
	}
	err := s.read(ctx, func(t *tx) error {
		return ignoreNone(t.get(&row, `SELECT k.reseller_id, k.path, k.hash, k.permissions, k.expires, k.revoked, r.halted
			FROM api_keys k JOIN resellers r ON r.id = k.reseller_id WHERE k.id = ?`, id))
	})
	if err != nil {
		return controlapi.Scope{}, err
	}
	now := s.clock()
	same := subtle.ConstantTimeCompare(row.Hash, hash[:]) == 1
	switch {
	case !same, row.Revoked, row.Expires != 0 && micros(now) > row.Expires:
		return controlapi.Scope{}, errCredential
	case row.Halted:
		return controlapi.Scope{}, controlapi.Errorf(controlapi.CodeForbidden, "the reseller is suspended")
	}
	var permissions []controlapi.Permission
	if err := json.Unmarshal([]byte(row.Permissions), &permissions); err != nil {
		return controlapi.Scope{}, domainError(fmt.Errorf("reading the permissions of API key %s: %w", id, err))
	}
	s.noteUse(ctx, id)
	return controlapi.NewScope(id, row.ResellerID, row.Path, permissions), nil
}

// noteUse remembers when the key was used last, once a minute. The request does not
// depend on it, and waits no longer than a second.
func (s *Store) noteUse(ctx context.Context, id string) {
	if !s.lastUsed.allow(id, s.clock()) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := s.write(ctx, func(t *tx) error {
		return t.do(`UPDATE api_keys SET last_used = ? WHERE id = ? AND last_used < ?`, micros(t.now), id, micros(t.now.Add(-throttled)))
	})
	if err != nil {
		s.log.Warn("last use of an api key not noted", zap.String("api_key_id", id), zap.Error(err))
	}
}

// LocalOperator is the scope of the operator at the machine, for the command's own steps.
func (s *Store) LocalOperator() controlapi.Scope {
	return controlapi.NewScope("local", controlapi.OperatorID, operatorPath, controlapi.Permissions())
}

// AuthenticateEdge tells which edge carries a credential.
func (s *Store) AuthenticateEdge(ctx context.Context, credential string) (controlapi.EdgeIdentity, error) {
	id, hash, ok := controlapi.ParseCredential(controlapi.EdgeCredential, credential)
	if !ok {
		return controlapi.EdgeIdentity{}, errCredential
	}
	var row struct {
		ID      string
		GroupID string `db:"group_id"`
		State   string
		Hash    []byte `db:"credential_hash"`
	}
	err := s.read(ctx, func(t *tx) error {
		return ignoreNone(t.get(&row, `SELECT id, group_id, state, credential_hash FROM edges WHERE credential_id = ?`, id))
	})
	if err != nil {
		return controlapi.EdgeIdentity{}, err
	}
	if subtle.ConstantTimeCompare(row.Hash, hash[:]) != 1 || controlapi.EdgeState(row.State) == controlapi.EdgeRevoked {
		return controlapi.EdgeIdentity{}, errCredential
	}
	return controlapi.EdgeIdentity{ID: row.ID, GroupID: row.GroupID, State: controlapi.EdgeState(row.State)}, nil
}

// unscoped names the public methods that take no Scope, and why they need none: they
// serve our own parts, or make the scope.
var unscoped = map[string]string{
	"Authenticate":     "makes the scope",
	"LocalOperator":    "makes the scope of the command",
	"AuthenticateEdge": "makes an edge's identity",
	"Close":            "is not about anything in the database",
	"Ping":             "tells no more than that the database answers",
	"Changed":          "tells no more than that something changed",
	"ConfigVersion":    "serves distribution",
	"Document":         "serves distribution, which knows which edge asks",
	"RecordAck":        "serves distribution, which knows which edge speaks",
	"RedeemJoinCode":   "the code proves who asks",
	"PlaybackByKey":    "the play key proves who asks",
	"ProbeTargets":     "serves nodehealth",
	"AllAssignments":   "serves assignment",
	"CommitAssignment": "serves assignment",
	"RaiseNumbers":     "serves nodehealth",
	"CastVotes":        "serves nodehealth",
	"AddEvent":         "serves nodehealth and assignment",
	"SigningKey":       "serves playback",
	"Prune":            "is housekeeping",
}

// permissionsWithin tells whether all of some permissions are known and held by the scope.
func permissionsWithin(sc controlapi.Scope, permissions []controlapi.Permission) error {
	if len(permissions) == 0 {
		return controlapi.Invalid("permissions", "name at least one")
	}
	for i, p := range permissions {
		switch {
		case !slices.Contains(controlapi.Permissions(), p):
			return controlapi.Invalid("permissions", fmt.Sprintf("number %d is not a permission; choose of %v", i+1, controlapi.Permissions()))
		case slices.Contains(permissions[:i], p):
			return controlapi.Invalid("permissions", fmt.Sprintf("%s is listed twice", p))
		case !sc.Can(p):
			return controlapi.Errorf(controlapi.CodeForbidden, "nobody can give the permission %s who does not hold it", p)
		}
	}
	return nil
}
