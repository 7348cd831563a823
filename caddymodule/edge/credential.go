package edge

import (
	"sync/atomic"

	"github.com/headrace/headrace/controlapi/probe"
)

// credential is what the control plane knows this edge by, as far as questions for its
// health go.
type credential struct {
	key  atomic.Pointer[probe.Key]
	gate *probe.Gate
}

// UseCredential makes the edge answer the health questions of the control plane that gave
// it this credential; an empty one ends that. It outlives a reload.
func (h *Host) UseCredential(text string) {
	if text == "" {
		h.credential.key.Store(nil)
		return
	}
	key := probe.DeriveKey(text)
	h.credential.key.Store(&key)
}

// ProbeKey signs health questions and their answers; nil: the edge has no credential, and
// answers nobody but this machine.
func (h *Host) ProbeKey() *probe.Key { return h.credential.key.Load() }

// ProbeGate remembers the health questions that were heard, whatever site they came by.
func (h *Host) ProbeGate() *probe.Gate { return h.credential.gate }
