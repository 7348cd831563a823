// Package status is the handler "edge_status": it tells load balancers, probers
// and people whether the edge is alive, ready and well.
package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/controlapi/probe"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler is the HTTP handler "edge_status". It answers below `/-/`, and passes
// every other request on:
//
//   - `/-/live`: 200 as long as the process answers at all.
//   - `/-/ready`: 200 if the edge may take new viewers, else 503; the body is one
//     word: `ready`, `starting`, `draining` or `no_stream`.
//   - `/-/health`: how the edge and its streams are, as JSON. Programs on this
//     machine may ask: their connection has to come from a loopback address, and the
//     request must not have been forwarded by a proxy. Else the control plane may,
//     which proves itself by the edge's credential, as the answer does: see the
//     package controlapi/probe.
//
// The answers must not be cached, and say so.
type Handler struct {
	host *edge.Host
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.edge_status",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision finds the edge app.
func (h *Handler) Provision(ctx caddy.Context) error {
	app, err := ctx.App("edge")
	if err != nil {
		return err
	}
	h.host = app.(*edge.App).Host()
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	name, ours := strings.CutPrefix(r.URL.Path, "/-/")
	if !ours {
		return next.ServeHTTP(w, r)
	}
	answer := map[string]func(http.ResponseWriter, *http.Request) error{
		"live": h.live, "ready": h.ready, "health": h.health,
	}[name]
	w.Header().Set("Cache-Control", "no-store")
	if answer == nil {
		return caddyhttp.Error(http.StatusNotFound, errors.New("no such status page"))
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return caddyhttp.Error(http.StatusMethodNotAllowed, errors.New("a status page is only read"))
	}
	return answer(w, r)
}

func (h *Handler) live(w http.ResponseWriter, _ *http.Request) error {
	return word(w, http.StatusOK, "ok")
}

func (h *Handler) ready(w http.ResponseWriter, _ *http.Request) error {
	readiness := h.host.Readiness()
	if readiness != edge.Ready {
		return word(w, http.StatusServiceUnavailable, string(readiness))
	}
	return word(w, http.StatusOK, string(readiness))
}

// health answers who may know. One refusal looks like the other: a stranger does not
// learn whether this edge has a credential.
func (h *Handler) health(w http.ResponseWriter, r *http.Request) error {
	if headers := r.Header.Values(probe.Header); len(headers) > 0 {
		return h.prove(w, headers)
	}
	if !isLocal(r) {
		return caddyhttp.Error(http.StatusForbidden, errors.New("the health document is for this machine and the control plane"))
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(health(h.host))
}

// prove answers a question that is signed with the edge's credential, and signs the answer.
func (h *Handler) prove(w http.ResponseWriter, headers []string) error {
	key, gate := h.host.ProbeKey(), h.host.ProbeGate()
	if key == nil || len(headers) != 1 {
		return caddyhttp.Error(http.StatusForbidden, errors.New("no credential to check the probe with, or two probes in one"))
	}
	question, err := gate.Admit(*key, h.host.Node().ID, headers[0])
	if errors.Is(err, probe.ErrStale) {
		w.Header().Set(probe.Header, question.Answer(*key, http.StatusUnauthorized, gate.Now(), nil))
		w.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	if err != nil {
		return caddyhttp.Error(http.StatusForbidden, err)
	}
	body, err := json.Marshal(health(h.host))
	if err != nil {
		return fmt.Errorf("writing the health document: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(probe.Header, question.Answer(*key, http.StatusOK, gate.Now(), body))
	_, _ = w.Write(body) // a failed write is the asker's loss
	return nil
}

// word writes a short answer for people and scripts. A failed write is the
// asker's loss.
func word(w http.ResponseWriter, status int, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
	return nil
}

// isLocal tells whether a program on this machine asks for itself. What the
// client says of its address counts only against it: a proxy on this machine
// speaks for somebody else.
func isLocal(r *http.Request) bool {
	for _, forwarded := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if len(r.Header.Values(forwarded)) > 0 {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
