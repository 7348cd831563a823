// Package conformance drives a real control plane through a client that was generated
// from its document, and holds every answer to that document. It is a module of its own,
// so that what it takes to do that is in no program of ours.
package conformance

//go:generate go tool oapi-codegen -config oapi-codegen.yaml ../../controlapi/openapi.json
