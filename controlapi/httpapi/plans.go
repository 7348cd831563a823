package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/headrace/headrace/controlapi"
)

// Plans keeps what users buy.
type Plans interface {
	CreatePlan(ctx context.Context, scope controlapi.Scope, in controlapi.PlanCreate) (controlapi.Plan, error)
	Plan(ctx context.Context, scope controlapi.Scope, id string) (controlapi.Plan, error)
	Plans(ctx context.Context, scope controlapi.Scope, page controlapi.Page) (controlapi.List[controlapi.Plan], error)
	UpdatePlan(ctx context.Context, scope controlapi.Scope, id string, version int64, in controlapi.PlanUpdate) (controlapi.Plan, error)
	DeletePlan(ctx context.Context, scope controlapi.Scope, id string, version int64) error
}

// Plan is what a user buys, as the API shows it.
type Plan struct {
	ID              string    `json:"id" doc:"The id." example:"basic"`
	Name            string    `json:"name" doc:"What people call it." example:"Basic, 30 days"`
	Price           int64     `json:"price" doc:"Credits." example:"10"`
	DurationSeconds int64     `json:"duration_seconds" doc:"What creating or renewing a user gives." example:"2592000"`
	SessionSeconds  int64     `json:"session_seconds" doc:"The longest life of a stream token." example:"86400"`
	MaxConnections  int       `json:"max_connections" doc:"The users' most sessions at once; 0: no limit." example:"2"`
	Bouquets        []string  `json:"bouquets" nullable:"false" doc:"What users may watch: ids of the operator's bouquets." example:"[\"sports\"]"`
	Version         int64     `json:"version" doc:"Grows with each change; the ETag." example:"3"`
	CreatedAt       time.Time `json:"created_at" doc:"When it was made." example:"2026-03-01T12:00:00Z"`
}

func (p Plan) etag() string { return etag(p.Version) }

func presentPlan(p controlapi.Plan) Plan {
	return Plan{
		ID: p.ID, Name: p.Name, Price: p.Price, DurationSeconds: inSeconds(p.Duration), SessionSeconds: inSeconds(p.Session),
		MaxConnections: p.MaxConnections, Bouquets: listed(p.Bouquets), Version: p.Version, CreatedAt: p.CreatedAt,
	}
}

func inSeconds(d time.Duration) int64 { return int64(d / time.Second) }

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// listed is a list that JSON writes as one where it is empty.
func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// PlanCreate is a plan to be made.
type PlanCreate struct {
	ID              string   `json:"id,omitempty" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"Absent: the server makes one." example:"basic"`
	Name            string   `json:"name" minLength:"1" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"What people call it." example:"Basic, 30 days"`
	Price           int64    `json:"price" minimum:"0" maximum:"1000000000000" doc:"Credits." example:"10"`
	DurationSeconds int64    `json:"duration_seconds" minimum:"60" maximum:"316224000" doc:"What creating or renewing a user gives." example:"2592000"`
	SessionSeconds  int64    `json:"session_seconds,omitempty" minimum:"60" maximum:"86400" doc:"The longest life of a stream token; absent: 24 hours." example:"86400"`
	MaxConnections  int      `json:"max_connections,omitempty" minimum:"0" maximum:"999" doc:"The users' most sessions at once; 0: no limit." example:"2"`
	Bouquets        []string `json:"bouquets" nullable:"false" maxItems:"100" uniqueItems:"true" doc:"What users may watch: ids of the operator's bouquets." example:"[\"sports\"]"`
}

// PlanUpdate changes what it names.
type PlanUpdate struct {
	Name            *string   `json:"name,omitempty" minLength:"1" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"What people call it." example:"Basic, 30 days"`
	Price           *int64    `json:"price,omitempty" minimum:"0" maximum:"1000000000000" doc:"Credits." example:"12"`
	DurationSeconds *int64    `json:"duration_seconds,omitempty" minimum:"60" maximum:"316224000" doc:"What creating or renewing a user gives from now on." example:"2592000"`
	SessionSeconds  *int64    `json:"session_seconds,omitempty" minimum:"60" maximum:"86400" doc:"The longest life of a stream token." example:"86400"`
	MaxConnections  *int      `json:"max_connections,omitempty" minimum:"0" maximum:"999" doc:"The users' most sessions at once; 0: no limit." example:"2"`
	Bouquets        *[]string `json:"bouquets,omitempty" maxItems:"100" uniqueItems:"true" doc:"What users may watch: ids of the operator's bouquets." example:"[\"sports\"]"`
}

func (u *PlanUpdate) domain() controlapi.PlanUpdate {
	out := controlapi.PlanUpdate{Name: u.Name, Price: u.Price, MaxConnections: u.MaxConnections, Bouquets: u.Bouquets}
	if u.DurationSeconds != nil {
		out.Duration = new(seconds(*u.DurationSeconds))
	}
	if u.SessionSeconds != nil {
		out.Session = new(seconds(*u.SessionSeconds))
	}
	return out
}

func (a *API) registerPlans(store Plans) {
	const tag = "plans"
	get(a, operation{
		id: "list-plans", path: "/v1/plans", tag: tag, summary: "List plans",
		about: "Plans are the operator's; every reseller sees and uses them, as far as its grants reach.",
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ Paged }) (Page[Plan], error) {
		list, err := store.Plans(ctx, scope, in.page())
		return pageOf(list, presentPlan), err
	})
	onceOnly(a, operation{
		id: "create-plan", path: "/v1/plans", tag: tag, summary: "Create a plan", about: "The operator's alone.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeExists},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		Once
		Body PlanCreate
	},
	) (Plan, error) {
		b := in.Body
		p, err := store.CreatePlan(ctx, scope, controlapi.PlanCreate{
			ID: b.ID, Name: b.Name, Price: b.Price, Duration: seconds(b.DurationSeconds), Session: seconds(b.SessionSeconds),
			MaxConnections: b.MaxConnections, Bouquets: b.Bouquets,
		})
		return presentPlan(p), err
	})
	getTagged(a, operation{
		id: "get-plan", path: "/v1/plans/{id}", tag: tag, summary: "Get a plan", about: "Every reseller sees every plan.", codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct{ ByID }) (Plan, error) {
		p, err := store.Plan(ctx, scope, in.ID)
		return presentPlan(p), err
	})
	change(a, operation{
		id: "update-plan", method: http.MethodPatch, path: "/v1/plans/{id}", tag: tag, summary: "Change a plan",
		about:      "Changes what the body names. Users who have paid keep the expiry that they paid for. The operator's alone.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
		Body PlanUpdate
	},
	) (Plan, error) {
		p, err := store.UpdatePlan(ctx, scope, in.ID, in.version(), in.Body.domain())
		return presentPlan(p), err
	})
	remove(a, operation{
		id: "delete-plan", path: "/v1/plans/{id}", tag: tag, summary: "Delete a plan",
		about:      "A plan that users have cannot be deleted. The operator's alone.",
		permission: controlapi.PermissionWrite, codes: []controlapi.Code{controlapi.CodeNotFound, controlapi.CodeConflict},
	}, func(ctx context.Context, scope controlapi.Scope, in *struct {
		ByID
		Conditional
	},
	) error {
		return store.DeletePlan(ctx, scope, in.ID, in.version())
	})
}
