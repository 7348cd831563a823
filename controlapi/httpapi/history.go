package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// History keeps what happened and who did it.
type History interface {
	Events(ctx context.Context, scope controlapi.Scope, filter controlapi.EventFilter, page controlapi.Page) (controlapi.List[controlapi.Event], error)
	Audit(ctx context.Context, scope controlapi.Scope, page controlapi.Page) (controlapi.List[controlapi.AuditRecord], error)
}

// Event is something that happened.
type Event struct {
	ID         string         `json:"id" doc:"Made by the server." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	Time       time.Time      `json:"time" doc:"When." example:"2026-03-01T12:00:00Z"`
	Kind       string         `json:"kind" doc:"What happened." example:"edge_state"`
	Subject    string         `json:"subject" doc:"To whom: kind and id." example:"edge/edge-1"`
	ResellerID string         `json:"reseller_id,omitempty" doc:"The tenant whom it concerns." example:"operator"`
	Reason     string         `json:"reason" doc:"Why." example:"two probes failed: connection refused"`
	Data       map[string]any `json:"data,omitempty" doc:"Details; which, depends on the kind." example:"{\"from\":\"healthy\",\"to\":\"down\"}"`
}

func presentEvent(e controlapi.Event) Event {
	return Event{ID: e.ID, Time: e.Time, Kind: e.Kind, Subject: e.Subject, ResellerID: e.ResellerID, Reason: e.Reason, Data: object(e.Data)}
}

// object reads a JSON object; nil for what is none.
func object(raw json.RawMessage) map[string]any {
	var out map[string]any
	if json.Unmarshal(raw, &out) != nil {
		return nil
	}
	return out
}

// AuditRecord is a change that somebody made.
type AuditRecord struct {
	Seq        int64          `json:"seq" doc:"Its place in the chain." example:"4711"`
	Time       time.Time      `json:"time" doc:"When." example:"2026-03-01T12:00:00Z"`
	Actor      string         `json:"actor" doc:"The API key; local: the operator at the machine; system: the control plane." example:"k3x9p2ab"`
	ResellerID string         `json:"reseller_id" doc:"The tenant in whose subtree the thing is." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
	Operation  string         `json:"operation" doc:"What was done." example:"user.create"`
	Object     string         `json:"object" doc:"To whom: kind and id." example:"user/1007"`
	Diff       map[string]any `json:"diff,omitempty" doc:"What changed: member, then before and after. Secrets are masked." example:"{\"name\":[\"jane\",\"Jane\"]}"`
	RequestID  string         `json:"request_id,omitempty" doc:"The Request-Id under which it was done." example:"K7Q2M4X6TAB3C5D7"`
	PrevHash   string         `json:"prev_hash" doc:"The hash of the record before it: none can be changed or taken out unseen." example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	Hash       string         `json:"hash" doc:"SHA-256 over this record and prev_hash." example:"60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"`
}

func presentAudit(r controlapi.AuditRecord) AuditRecord {
	return AuditRecord{
		Seq: r.Seq, Time: r.Time, Actor: r.Actor, ResellerID: r.ResellerID, Operation: r.Operation, Object: r.Object,
		Diff: object(r.Diff), RequestID: r.RequestID, PrevHash: r.PrevHash, Hash: r.Hash,
	}
}

func (a *API) registerHistory(store History) {
	get(a, operation{
		id: "list-events", path: "/v1/events", tag: "events", summary: "List events",
		about: "What happened to edges and streams, newest first.",
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Paged
		Subject string `query:"subject" maxLength:"64" pattern:"^[a-z_]+/[A-Za-z0-9_-]+$" doc:"Only what happened to this: kind and id." example:"edge/edge-1"`
	},
	) (Page[Event], error) {
		list, err := store.Events(ctx, scope, controlapi.EventFilter{Subject: in.Subject}, in.page())
		return pageOf(list, presentEvent), err
	})
	get(a, operation{
		id: "list-audit", path: "/v1/audit", tag: "audit", summary: "List changes",
		about: "Who changed what in the key's subtree, newest first.",
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ Paged }) (Page[AuditRecord], error) {
		list, err := store.Audit(ctx, scope, in.page())
		return pageOf(list, presentAudit), err
	})
}
