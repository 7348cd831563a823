package httpapi

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/headrace/headrace/controlapi"
)

// operations are those of the document that this package answers, by id.
func operations(t *testing.T, a *API) map[string]*huma.Operation {
	t.Helper()
	all := make(map[string]*huma.Operation)
	for _, path := range a.huma.OpenAPI().Paths {
		for _, op := range operationsOf(path) {
			if all[op.OperationID] != nil {
				t.Errorf("two operations are called %s", op.OperationID)
			}
			if op.Metadata[metaNeighbour] == nil {
				all[op.OperationID] = op
			}
		}
	}
	if len(all) < 50 {
		t.Fatalf("got %d operations, want all of them", len(all))
	}
	return all
}

// TestEveryOperationIsDescribed walks the document: nothing in it may be left to guess.
func TestEveryOperationIsDescribed(t *testing.T) {
	a := New(Services{}, Options{})
	for id, op := range operations(t, a) {
		t.Run(id, func(t *testing.T) {
			if op.Summary == "" || op.Description == "" {
				t.Error("it lacks a summary or a description")
			}
			if !slices.ContainsFunc(tags, func(tag *huma.Tag) bool { return slices.Contains(op.Tags, tag.Name) }) {
				t.Errorf("its tags %q are not described", op.Tags)
			}
			if op.Metadata[metaOnce] == nil && op.Method == http.MethodPost && strings.HasPrefix(id, "create-") {
				t.Error("it creates without an Idempotency-Key")
			}
			changes := slices.Contains([]string{http.MethodPut, http.MethodPatch, http.MethodDelete}, op.Method)
			if changes && op.Metadata[metaIfMatch] == nil {
				t.Error("it changes something without If-Match")
			}
			for _, p := range op.Parameters {
				if p.Description == "" || p.Example == nil && len(p.Schema.Examples) == 0 {
					t.Errorf("parameter %s lacks a description or an example", p.Name)
				}
			}
			for status, response := range op.Responses {
				if response.Description == "" {
					t.Errorf("answer %s lacks a description", status)
				}
				for _, media := range response.Content {
					if media.Example == nil && len(media.Examples) == 0 {
						t.Errorf("answer %s lacks an example", status)
					}
				}
			}
			if op.RequestBody != nil && op.RequestBody.Content["application/json"].Example == nil {
				t.Error("its body lacks an example")
			}
		})
	}
}

// TestEveryOperationHasAPermission is what keeps an operation from being open to all.
func TestEveryOperationHasAPermission(t *testing.T) {
	known := append(controlapi.Permissions(), anyPermission)
	for id, op := range operations(t, New(Services{}, Options{})) {
		if !slices.Contains(known, permissionOf(op)) {
			t.Errorf("%s: permission %q is none", id, permissionOf(op))
		}
		if len(op.Security) == 0 || len(op.Middlewares) == 0 {
			t.Errorf("%s: it is not authenticated", id)
		}
	}
}

func TestEveryOperationListsItsErrors(t *testing.T) {
	for id, op := range operations(t, New(Services{}, Options{})) {
		listed := make(map[string]bool)
		for _, response := range op.Responses {
			if media := response.Content["application/problem+json"]; media != nil {
				for code := range media.Examples {
					listed[code] = true
				}
			}
		}
		for _, code := range everyCodes {
			if !listed[string(code)] {
				t.Errorf("%s does not list %s", id, code)
			}
		}
		if op.Metadata[metaOnce] != nil && !listed[string(controlapi.CodeIdempotencyKeyReused)] {
			t.Errorf("%s does not list %s", id, controlapi.CodeIdempotencyKeyReused)
		}
		if strings.Contains(op.Path, "{id}") && !listed[string(controlapi.CodeNotFound)] {
			t.Errorf("%s does not list %s", id, controlapi.CodeNotFound)
		}
	}
}

// TestEveryMemberIsDescribedAndBounded holds what comes in to its bounds, and all members
// to a description.
func TestEveryMemberIsDescribedAndBounded(t *testing.T) {
	a := New(Services{}, Options{})
	schemas := a.huma.OpenAPI().Components.Schemas
	in := make(map[string]bool)
	for _, op := range operations(t, a) {
		if op.RequestBody != nil {
			reach(schemas, op.RequestBody.Content["application/json"].Schema, in)
		}
	}
	for name, schema := range schemas.Map() {
		if schema.AdditionalProperties != false {
			t.Errorf("%s takes members that it does not know", name)
		}
		for member, s := range schema.Properties {
			if s.Description == "" {
				t.Errorf("%s.%s lacks a description", name, member)
			}
			if in[name] && !isBounded(s) {
				t.Errorf("%s.%s comes in without bounds", name, member)
			}
		}
	}
}

// reach notes the schemas that a schema consists of.
func reach(schemas huma.Registry, s *huma.Schema, in map[string]bool) {
	if s == nil {
		return
	}
	if s.Ref != "" {
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		if in[name] {
			return
		}
		in[name] = true
		s = schemas.SchemaFromRef(s.Ref)
	}
	reach(schemas, s.Items, in)
	for _, member := range s.Properties {
		reach(schemas, member, in)
	}
}

func isBounded(s *huma.Schema) bool {
	switch s.Type {
	case huma.TypeString:
		return s.MaxLength != nil && s.Pattern != "" || s.Enum != nil || s.Format == "date-time"
	case huma.TypeInteger, huma.TypeNumber:
		return s.Minimum != nil && s.Maximum != nil
	case huma.TypeArray:
		return s.MaxItems != nil && (s.Items.Ref != "" || isBounded(s.Items))
	}
	return true
}

// TestEveryCodeMeansSomething finds codes that httpapi does not map.
func TestEveryCodeMeansSomething(t *testing.T) {
	for code, m := range meanings {
		if http.StatusText(m.status) == "" || m.text == "" {
			t.Errorf("code %q has status %d and text %q", code, m.status, m.text)
		}
	}
	for status, code := range byStatus {
		if meanings[code].status != status {
			t.Errorf("status %d is answered with the code %q of status %d", status, code, meanings[code].status)
		}
	}
}

// TestCommittedDocument holds the document in version control to what the API is.
func TestCommittedDocument(t *testing.T) {
	const file = "../openapi.json"
	got, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not what the API is: UPDATE=1 go test ./controlapi/httpapi -run TestCommittedDocument", file)
	}
	var document struct{ OpenAPI string }
	if err := json.Unmarshal(got, &document); err != nil || !strings.HasPrefix(document.OpenAPI, "3.1") {
		t.Errorf("got OpenAPI %q, %v, want 3.1", document.OpenAPI, err)
	}
}
