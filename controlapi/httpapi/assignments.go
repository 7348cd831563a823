package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// Assignments keeps which edges carry which streams.
type Assignments interface {
	Assignment(ctx context.Context, scope controlapi.Scope, streamID string) (controlapi.Assignment, error)
	Assignments(ctx context.Context, scope controlapi.Scope, groupID string, page controlapi.Page) (controlapi.List[controlapi.Assignment], error)
	// PinStream sets the edges of a stream; the zero Pin leaves them to the control plane.
	PinStream(ctx context.Context, scope controlapi.Scope, streamID string, version int64, pin controlapi.Pin) (controlapi.Stream, error)
}

// Assignment is which edges carry a stream.
type Assignment struct {
	StreamID         string     `json:"stream_id" doc:"The stream." example:"501"`
	GroupID          string     `json:"group_id" doc:"Its edge group." example:"default"`
	Rev              int64      `json:"rev" doc:"Grows each time that the stream is given to other edges." example:"7"`
	Primary          string     `json:"primary,omitempty" doc:"The edge that packages it; absent: nobody does yet." example:"edge-1"`
	Relays           []string   `json:"relays" nullable:"false" doc:"Edges that hold it warm." example:"[\"edge-2\"]"`
	Pin              Pin        `json:"pin" doc:"The edges that the operator chose."`
	Replicas         int        `json:"replicas" doc:"How many edges are to hold it warm." example:"2"`
	MinMSN           int64      `json:"min_msn" doc:"One above the highest media sequence number that any edge reported." example:"884736001"`
	MinDiscontinuity int64      `json:"min_discontinuity" doc:"The same of the discontinuity sequence." example:"3"`
	MovedAt          *time.Time `json:"moved_at,omitempty" doc:"When it was given to these edges." example:"2026-03-01T12:00:00Z"`
}

func presentAssignment(a controlapi.Assignment) Assignment {
	return Assignment{
		StreamID: a.StreamID, GroupID: a.GroupID, Rev: a.Rev, Primary: a.Primary, Relays: listed(a.Relays), Pin: presentPin(a.Pin),
		Replicas: a.Replicas, MinMSN: a.MinMSN, MinDiscontinuity: a.MinDiscontinuity, MovedAt: moment(a.MovedAt),
	}
}

func (a *API) registerAssignments(store Assignments) {
	const tag = "assignments"
	get(a, operation{
		id: "list-assignments", path: "/v1/assignments", tag: tag, summary: "List assignments", about: "Which edges carry which streams. The operator's alone.",
		permission: controlapi.PermissionOperate, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Paged
		GroupID string `query:"group_id" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Only the streams of this edge group." example:"default"`
	},
	) (Page[Assignment], error) {
		list, err := store.Assignments(ctx, scope, in.GroupID, in.page())
		return pageOf(list, presentAssignment), err
	})
	get(a, operation{
		id: "get-assignment", path: "/v1/streams/{id}/assignment", tag: tag, summary: "Get which edges carry a stream", about: "The operator's alone.",
		permission: controlapi.PermissionOperate, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ ByID }) (Assignment, error) {
		as, err := store.Assignment(ctx, scope, in.ID)
		return presentAssignment(as), err
	})
	change(a, operation{
		id: "pin-stream", method: http.MethodPut, path: "/v1/streams/{id}/pin", tag: tag, summary: "Pin a stream to edges",
		about:      "The control plane moves it there, and leaves it there whatever happens. The ETag is the stream's. The operator's alone.",
		permission: controlapi.PermissionOperate, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
		Body Pin
	},
	) (Stream, error) {
		s, err := store.PinStream(ctx, scope, in.ID, in.version(), controlapi.Pin(in.Body))
		return presentStream(s), err
	})
	remove(a, operation{
		id: "unpin-stream", path: "/v1/streams/{id}/pin", tag: tag, summary: "Unpin a stream",
		about:      "The control plane chooses its edges again. The ETag is the stream's. The operator's alone.",
		permission: controlapi.PermissionOperate, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
	},
	) error {
		_, err := store.PinStream(ctx, scope, in.ID, in.version(), controlapi.Pin{})
		return err
	})
}
