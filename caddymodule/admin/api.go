// Package admin is what operators may ask of and do to the edge, on Caddy's admin
// endpoint.
package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/rtmp"
)

func init() {
	caddy.RegisterModule(API{})
}

// API is the Caddy module "admin.api.edge". It adds these routes to the admin
// endpoint, which answer in JSON and never show a token, a key or a password:
//
//   - `GET /edge/live`: whether the edge runs.
//   - `GET /edge/ready`: whether it may take new viewers, and why not (then 503).
//   - `GET /edge/streams`: every stream with its state and reason.
//   - `GET /edge/streams/<id>`: one of them, with FFmpeg's last lines.
//   - `POST /edge/streams/<id>/restart`: ends its FFmpeg and starts another; the
//     viewers see a discontinuity.
//   - `POST /edge/drain`: new viewers are asked to go elsewhere, those who watch
//     go on. It outlives a reload, not the process.
//   - `DELETE /edge/drain`: the end of that.
//
// Caddy makes this module outside of any configuration and never cleans it up,
// so it holds nothing and finds the running app anew for each request.
type API struct{}

// CaddyModule returns the Caddy module information.
func (API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.edge",
		New: func() caddy.Module { return new(API) },
	}
}

// Routes implements caddy.AdminRouter.
func (API) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "GET /edge/live", Handler: withHost(live)},
		{Pattern: "GET /edge/ready", Handler: withHost(ready)},
		{Pattern: "GET /edge/streams", Handler: withHost(streams)},
		{Pattern: "GET /edge/streams/{id}", Handler: withHost(stream)},
		{Pattern: "POST /edge/streams/{id}/restart", Handler: withHost(restart)},
		{Pattern: "POST /edge/drain", Handler: withHost(drain)},
		{Pattern: "DELETE /edge/drain", Handler: withHost(undrain)},
	}
}

// handler is a route that needs the running app's Host.
type handler func(w http.ResponseWriter, r *http.Request, host *edge.Host) error

func withHost(h handler) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		app, err := caddy.ActiveContext().AppIfConfigured("edge")
		if err != nil {
			return caddy.APIError{
				HTTPStatus: http.StatusServiceUnavailable,
				Err:        fmt.Errorf("finding the edge app: %w", err),
				Message:    "no edge runs; load a configuration that has the edge app",
			}
		}
		return h(w, r, app.(*edge.App).Host())
	}
}

func live(w http.ResponseWriter, _ *http.Request, host *edge.Host) error {
	return answer(w, http.StatusOK, map[string]any{"edge_id": host.Node().ID, "live": true})
}

func ready(w http.ResponseWriter, _ *http.Request, host *edge.Host) error {
	return answer(w, readyStatus(host), readiness(host))
}

// Stream is what the routes tell of one.
type Stream struct {
	ingest.Status
	// Publisher is who pushes it.
	Publisher *rtmp.Publisher `json:"publisher,omitempty"`
}

func streams(w http.ResponseWriter, _ *http.Request, host *edge.Host) error {
	list := []Stream{}
	if e := host.Engine(); e != nil {
		for _, s := range e.Streams() {
			status := s.Status()
			status.Log = nil // by the dozen; ask for one stream
			list = append(list, Stream{status, host.Publisher(status.ID)})
		}
	}
	return answer(w, http.StatusOK, list)
}

func stream(w http.ResponseWriter, r *http.Request, host *edge.Host) error {
	if e := host.Engine(); e != nil {
		if s := e.Lookup(r.PathValue("id")); s != nil {
			return answer(w, http.StatusOK, Stream{s.Status(), host.Publisher(s.ID())})
		}
	}
	return noStream(ingest.ErrNoStream)
}

func restart(w http.ResponseWriter, r *http.Request, host *edge.Host) error {
	e := host.Engine()
	if e == nil {
		return noStream(ingest.ErrNoStream)
	}
	id := r.PathValue("id")
	err := e.Restart(id)
	switch {
	case errors.Is(err, ingest.ErrNoStream):
		return noStream(err)
	case err != nil:
		return fmt.Errorf("restarting stream %q: %w", id, err)
	}
	return answer(w, http.StatusAccepted, map[string]any{"id": id, "restarting": true})
}

func drain(w http.ResponseWriter, _ *http.Request, host *edge.Host) error {
	host.SetDraining(true)
	return answer(w, http.StatusOK, readiness(host))
}

func undrain(w http.ResponseWriter, _ *http.Request, host *edge.Host) error {
	host.SetDraining(false)
	return answer(w, http.StatusOK, readiness(host))
}

func readiness(host *edge.Host) map[string]any {
	reason := host.Readiness()
	return map[string]any{"ready": reason == edge.Ready, "reason": reason, "draining": host.Draining()}
}

func readyStatus(host *edge.Host) int {
	if host.Readiness() == edge.Ready {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

func noStream(err error) error {
	return caddy.APIError{
		HTTPStatus: http.StatusNotFound,
		Err:        err,
		Message:    "this edge carries no stream of that id; GET /edge/streams lists them",
	}
}

func answer(w http.ResponseWriter, status int, value any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(value)
}

// Interface guard
var _ caddy.AdminRouter = API{}
