package controlapi

import (
	"slices"
	"strings"
)

// Permission is what an API key may be used for. The set is closed.
type Permission string

// The permissions.
const (
	// PermissionRead reads everything in the subtree but secrets.
	PermissionRead Permission = "read"
	// PermissionWrite creates, changes and deletes; creating and renewing users spends credits.
	PermissionWrite Permission = "write"
	// PermissionCredits moves credits between resellers.
	PermissionCredits Permission = "credits"
	// PermissionKeys makes, ends and shows API keys, signing keys and play keys.
	PermissionKeys Permission = "keys"
	// PermissionPlayback issues playback URLs.
	PermissionPlayback Permission = "playback"
	// PermissionOperate runs edges, groups and assignments; good in the operator's keys only.
	PermissionOperate Permission = "operate"
)

// Permissions are all of them.
func Permissions() []Permission {
	return []Permission{PermissionRead, PermissionWrite, PermissionCredits, PermissionKeys, PermissionPlayback, PermissionOperate}
}

// Scope is who acts, and where: one reseller and all below it. No method of the store
// that serves a caller can be called without one, and only authentication makes one
// (test/law holds that). The zero Scope covers nothing.
type Scope struct {
	actor       string
	resellerID  string
	path        string
	permissions []Permission
	requestID   string
}

// NewScope is for the store's authentication, nobody else: test/law fails otherwise.
// The actor is the id of the API key, or a name for the local operator; path is the
// reseller's.
func NewScope(actor, resellerID, path string, permissions []Permission) Scope {
	return Scope{actor: actor, resellerID: resellerID, path: path, permissions: slices.Clone(permissions)}
}

// WithRequestID is the scope with the id of the request in which it acts, for the audit.
func (s Scope) WithRequestID(id string) Scope {
	s.requestID = id
	return s
}

// Actor is who acts: the id of an API key, or "local" for the operator at the machine.
func (s Scope) Actor() string { return s.actor }

// ResellerID is the reseller at the top of the scope.
func (s Scope) ResellerID() string { return s.resellerID }

// Path is that reseller's path.
func (s Scope) Path() string { return s.path }

// RequestID is the id of the request; empty: none.
func (s Scope) RequestID() string { return s.requestID }

// IsOperator tells whether the scope is everything.
func (s Scope) IsOperator() bool { return s.resellerID == OperatorID }

// Can tells whether the scope holds a permission.
func (s Scope) Can(p Permission) bool { return slices.Contains(s.permissions, p) }

// Permissions are what the scope holds.
func (s Scope) Permissions() []Permission { return slices.Clone(s.permissions) }

// Contains tells whether a reseller with that path is in scope: the scope's own or one below.
func (s Scope) Contains(path string) bool { return s.path != "" && strings.HasPrefix(path, s.path) }
