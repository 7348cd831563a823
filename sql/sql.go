// Package sql embeds the numbered migrations of the control plane's database, one folder
// per dialect. They only go forward, and each leaves the database fit for the version of
// the program before it.
package sql

import "embed"

// Migrations holds the folders "sqlite" and "postgres".
//
//go:embed sqlite/*.sql postgres/*.sql
var Migrations embed.FS
