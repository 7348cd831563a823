package httpapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/headrace/headrace/controlapi"
)

var problemType = reflect.TypeFor[Problem]()

// securityScheme names the API keys in the document.
const securityScheme = "api_key"

const apiAbout = `Headrace delivers live channels for operators who resell them. This API holds what may be watched by whom.

**Keys.** Every request carries ` + "`Authorization: Bearer hrk_…`" + `. A key acts for one reseller and all below it. What is outside does not exist for it: 404.

**Lists** come in pages: ` + "`limit`" + ` items, and ` + "`next`" + ` for the page after.

**Changes** name the version that was read: ` + "`If-Match`" + ` with its ` + "`ETag`" + `. Without it: 428; if it was changed meanwhile: 412.

**Creating, and whatever moves credits,** carries an ` + "`Idempotency-Key`" + `, new for each intent. If no answer comes, send the same request with the same key again: it takes effect once.

**Errors** are RFC 9457 problems. Decide by ` + "`code`" + `; texts may change. With 429 and 503 comes ` + "`Retry-After`" + `.`

// tags are the resources, in the order in which they are read about.
var tags = []*huma.Tag{
	{Name: "resellers", Description: "Tenants, as a tree. The root is the operator."},
	{Name: "credits", Description: "What resellers pay plans with. Every movement is booked twice and never changed."},
	{Name: "grants", Description: "Which streams a reseller may show and publish."},
	{Name: "signing keys", Description: "What stream tokens are signed with: one per reseller and edge group."},
	{Name: "users", Description: "Viewer accounts."},
	{Name: "plans", Description: "What users buy."},
	{Name: "bouquets", Description: "Named lists of streams."},
	{Name: "streams", Description: "Live streams."},
	{Name: "playback", Description: "Who may watch, and from where."},
	{Name: "assignments", Description: "Which edges carry which streams."},
	{Name: "edges", Description: "The servers that carry streams."},
	{Name: "groups", Description: "Sets of edges that carry the same streams and hold the same keys."},
	{Name: "api keys", Description: "What lets programs use this API."},
	{Name: "events", Description: "What happened."},
	{Name: "audit", Description: "Who changed what."},
}

func (a *API) config() huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Headrace control API", Version: "1", Description: apiAbout,
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Tags: slices.Clone(tags),
			Components: &huma.Components{
				Schemas:  registry,
				Examples: problemExamples(),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					securityScheme: {Type: "http", Scheme: "bearer", BearerFormat: "hrk_<id>_<secret>", Description: "An API key."}, //nolint:gosec // it says how keys look, and is none
				},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// describeErrors lists every error of an operation, with its codes and an example each.
func (a *API) describeErrors(op *huma.Operation) {
	codes := slices.Clone(everyCodes)
	own, _ := op.Metadata[metaCodes].([]controlapi.Code)
	codes = append(codes, own...)
	if slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, op.Method) {
		codes = append(codes, bodyCodes...)
	}
	slices.Sort(codes)
	schema := a.huma.OpenAPI().Components.Schemas.Schema(problemType, true, "Problem")
	op.Responses = make(map[string]*huma.Response)
	for _, code := range slices.Compact(codes) {
		m := meanings[code]
		status := strconv.Itoa(m.status)
		response := op.Responses[status]
		if response == nil {
			response = &huma.Response{
				Headers: errorHeaders(m.status),
				Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schema, Examples: make(map[string]*huma.Example)}},
			}
			op.Responses[status] = response
		}
		response.Description = strings.TrimPrefix(response.Description+"; "+string(code)+": "+m.text, "; ")
		response.Content["application/problem+json"].Examples[string(code)] = &huma.Example{Ref: "#/components/examples/" + string(code)}
	}
}

// problemExamples are an example of each problem.
func problemExamples() map[string]*huma.Example {
	examples := make(map[string]*huma.Example)
	for code, m := range meanings {
		examples[string(code)] = &huma.Example{Summary: m.text, Value: problem(code, m.text)}
	}
	return examples
}

// errorHeaders are the headers that come with errors of a status.
func errorHeaders(status int) map[string]*huma.Param {
	text := &huma.Schema{Type: huma.TypeString}
	switch status {
	case http.StatusUnauthorized:
		return map[string]*huma.Param{"WWW-Authenticate": {Description: "How to authenticate.", Schema: text}}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return map[string]*huma.Param{"Retry-After": {Description: "Seconds to wait.", Schema: &huma.Schema{Type: huma.TypeInteger}}}
	}
	return nil
}

// finishDocument gives every body an example, made of those of its members.
func (a *API) finishDocument() {
	document := a.huma.OpenAPI()
	schemas := document.Components.Schemas
	for _, schema := range schemas.Map() {
		for name, member := range schema.Properties {
			boundItems(name, member)
		}
	}
	for _, path := range document.Paths {
		for _, op := range operationsOf(path) {
			if op.RequestBody != nil {
				exemplify(schemas, op.RequestBody.Content)
			}
			for _, response := range op.Responses {
				exemplify(schemas, response.Content)
			}
		}
	}
}

// boundItems bounds the texts of a list, which the tags of a member cannot. They are ids,
// but for the sources of a stream.
func boundItems(name string, list *huma.Schema) {
	item := list.Items
	switch {
	case item == nil || item.Type != huma.TypeString || item.Enum != nil:
		return
	case name == "sources":
		item.MaxLength, item.Pattern = new(2048), `^[^\x00-\x20\x7f]+$`
	default:
		item.MaxLength, item.Pattern = new(32), `^[A-Za-z0-9_-]+$`
	}
	item.PrecomputeMessages()
}

func exemplify(schemas huma.Registry, content map[string]*huma.MediaType) {
	for _, media := range content {
		if media.Schema != nil && media.Example == nil && media.Examples == nil {
			media.Example = exampleOf(schemas, media.Schema)
		}
	}
}

// exampleOf makes an example of a schema from the examples of its members.
func exampleOf(schemas huma.Registry, s *huma.Schema) any {
	if s.Ref != "" {
		s = schemas.SchemaFromRef(s.Ref)
	}
	if len(s.Examples) > 0 {
		return s.Examples[0]
	}
	switch s.Type {
	case huma.TypeObject:
		example := make(map[string]any)
		for name, member := range s.Properties {
			if value := exampleOf(schemas, member); value != nil {
				example[name] = value
			}
		}
		return example
	case huma.TypeArray:
		return []any{exampleOf(schemas, s.Items)}
	}
	return nil
}

// operationsOf are the operations at a path.
func operationsOf(path *huma.PathItem) map[string]*huma.Operation {
	all := map[string]*huma.Operation{
		http.MethodGet: path.Get, http.MethodPost: path.Post, http.MethodPut: path.Put, http.MethodPatch: path.Patch, http.MethodDelete: path.Delete,
	}
	for method, op := range all {
		if op == nil {
			delete(all, method)
		}
	}
	return all
}

// Document is the OpenAPI document, for people and for version control: indented, its
// members sorted.
func (a *API) Document() ([]byte, error) {
	text, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return nil, err
	}
	var any any
	if err := json.Unmarshal(text, &any); err != nil {
		return nil, err
	}
	text, err = json.MarshalIndent(any, "", "  ")
	return append(text, '\n'), err
}

// mountDocument serves the document as 3.1, and as 3.0 for tools that know no better.
func (a *API) mountDocument() {
	document, err := a.Document()
	if err != nil {
		panic(err) // it is made by this package from its own types
	}
	downgraded, err := a.huma.OpenAPI().Downgrade()
	if err != nil {
		panic(err)
	}
	for path, text := range map[string][]byte{"/openapi.json": document, "/openapi-3.0.json": downgraded} {
		a.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(text) // the caller has gone, if that fails
		})
	}
}

// Document is the OpenAPI document of the API as it is built, whatever it serves.
func Document() ([]byte, error) { return New(Services{}, Options{}).Document() }
