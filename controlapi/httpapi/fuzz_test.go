package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/headrace/headrace/controlapi"
)

// fuzzRequests is how many requests are made up from the document (scenario 30).
func fuzzRequests() int {
	if underRace {
		return 200
	}
	return 3000
}

// TestFuzz sends what the document allows, what is at its bounds, and what is beyond, and
// wants no 5xx and every answer to be one that the document lists.
func TestFuzz(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("SEED"); given != "" {
		seed, _ = strconv.ParseUint(given, 10, 64)
	}
	t.Logf("SEED=%d repeats it", seed)
	m := newMatrix(t)
	schemas := m.api.huma.OpenAPI().Components.Schemas
	g := &generator{rand: rand.New(rand.NewPCG(seed, 0)), schemas: schemas}
	all := operations(t, m.api)
	ids := slices.Sorted(maps.Keys(all))
	statuses := make(map[int]int)
	total := fuzzRequests()
	for i := range total {
		if i%300 == 0 {
			m.owner = m.newReseller(t, controlapi.OperatorID)
			g.know(m.seed(t))
		}
		op := all[ids[i%len(ids)]]
		q := g.request(op, m)
		got := m.send(t, q)
		statuses[got.status]++
		if complaint := judge(schemas, op, got); complaint != "" {
			t.Errorf("%s %s\n%s\nIf-Match %q, Idempotency-Key %q: got %d %s\n%s", q.method, q.path, q.body, q.ifMatch, q.once, got.status, got.body, complaint)
		}
		if got.status == http.StatusNoContent && op.OperationID == "revoke-api-key" {
			m.operator = operatorKey(t, m.store) // it may have been the operator's own
		}
		if t.Failed() && i > 50 {
			break
		}
	}
	t.Logf("answers by status: %v", statuses)
	if statuses[http.StatusOK]+statuses[http.StatusCreated] < total/20 {
		t.Errorf("only %d requests of %d succeeded: the generator misses the API", statuses[http.StatusOK]+statuses[http.StatusCreated], total)
	}
}

// judge tells what is wrong with an answer; empty: nothing.
func judge(schemas huma.Registry, op *huma.Operation, got answerOf) string {
	if got.status >= http.StatusInternalServerError {
		return "it is the server's fault"
	}
	listed := op.Responses[strconv.Itoa(got.status)]
	if listed == nil {
		return "the document does not list this status"
	}
	if len(listed.Content) == 0 {
		if got.body != "" {
			return "the document lists no body"
		}
		return ""
	}
	media := listed.Content[got.header.Get("Content-Type")]
	if media == nil {
		return "the document does not list the content type " + got.header.Get("Content-Type")
	}
	var body any
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		return "it is no JSON: " + err.Error()
	}
	result := &huma.ValidateResult{}
	huma.Validate(schemas, media.Schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, body, result)
	if len(result.Errors) > 0 {
		return fmt.Sprintf("it is not as the document says: %v", result.Errors)
	}
	return ""
}

// generator makes requests up.
type generator struct {
	rand    *rand.Rand
	schemas huma.Registry
	known   map[string][]string // ids of what there is, by what names them
	keys    int
}

func (g *generator) know(o objects) {
	resellers := []string{o.reseller, o.child, o.empty, controlapi.OperatorID}
	groups := []string{o.group, controlapi.DefaultGroupID}
	g.known = map[string][]string{
		"resellers": resellers, "reseller_id": resellers, "parent_id": resellers, "owner_id": resellers, "key_id": {o.playKey}, "kid": {o.kid},
		"users": {o.user}, "user_id": {o.user}, "streams": {o.stream}, "stream_id": {o.stream}, "plans": {o.plan}, "plan_id": {o.plan},
		"bouquets": {o.bouquet}, "bouquet_id": {o.bouquet}, "groups": groups, "group_id": groups, "edges": {o.edge, o.edge2}, "primary": {o.edge},
		"relays": {o.edge2}, "api-keys": {o.apiKey},
	}
}

// id is one of what there is under a name; empty: nothing has that name.
func (g *generator) id(name string) string {
	if list := g.known[name]; len(list) > 0 {
		return g.one(list...)
	}
	return ""
}

func (g *generator) chance(percent int) bool { return g.rand.IntN(100) < percent }

func (g *generator) one(list ...string) string { return list[g.rand.IntN(len(list))] }

// request makes one of four kinds: valid, at a bound, mutated, of wrong types.
func (g *generator) request(op *huma.Operation, m *matrix) request {
	wild := g.rand.IntN(4)
	q := request{method: op.Method, path: op.Path, key: m.operator, header: http.Header{}}
	query := url.Values{}
	for _, p := range op.Parameters {
		value := g.text(p.Name, p.Schema, wild)
		switch p.In {
		case "path":
			name := p.Name
			if name == "id" {
				name = strings.Split(op.Path, "/")[2]
			}
			if id := g.id(name); id != "" && g.chance(85) {
				value = id
			}
			q.path = strings.ReplaceAll(q.path, "{"+p.Name+"}", url.PathEscape(value))
		case "query":
			if g.chance(40) {
				query.Set(p.Name, value)
			}
		case "header":
			if p.Name == "If-Match" && g.chance(70) {
				value = `"1"`
			}
			if p.Name == "Idempotency-Key" && g.chance(90) {
				g.keys++
				value = "fuzz-" + strconv.Itoa(g.keys)
			}
			if g.chance(95) && isHeaderValue(value) {
				q.header[http.CanonicalHeaderKey(p.Name)] = []string{value}
			}
		}
	}
	if g.chance(3) {
		query.Set(g.one("x", "Limit", "%", ""), "1")
	}
	if len(query) > 0 {
		q.path += "?" + query.Encode()
	}
	if op.RequestBody != nil && g.chance(97) {
		b, err := json.Marshal(g.value("", op.RequestBody.Content["application/json"].Schema, wild, 0))
		if err != nil {
			panic(err)
		}
		q.body = string(b)
		if g.chance(4) {
			q.body = q.body[:g.rand.IntN(len(q.body)+1)]
		}
	}
	if g.chance(3) {
		q.header["Accept"] = []string{g.one("text/html", "*/*", "application/xml;q=1", ";;;")}
	}
	return q
}

func isHeaderValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// The kinds of a request.
const (
	valid = iota
	atBounds
	mutated
	wrongTypes
)

// text is a value of a parameter.
func (g *generator) text(name string, s *huma.Schema, wild int) string {
	value := g.value(name, s, wild, 0)
	if text, ok := value.(string); ok {
		return text
	}
	b, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// value makes a value of a schema, or one that is not.
func (g *generator) value(name string, s *huma.Schema, wild, depth int) any {
	if s.Ref != "" {
		s = g.schemas.SchemaFromRef(s.Ref)
	}
	if wild == wrongTypes && g.chance(20) || depth > 6 {
		return g.anything()
	}
	switch s.Type {
	case huma.TypeObject:
		return g.object(s, wild, depth)
	case huma.TypeArray:
		n := g.rand.IntN(3)
		if s.MinItems != nil {
			n = max(n, *s.MinItems)
		}
		if wild == atBounds && s.MaxItems != nil && *s.MaxItems < 20 {
			n = *s.MaxItems + g.rand.IntN(2)
		}
		list := make([]any, n)
		for i := range list {
			list[i] = g.value(name, s.Items, wild, depth+1)
		}
		return list
	case huma.TypeBoolean:
		return g.chance(50)
	case huma.TypeInteger, huma.TypeNumber:
		return g.number(s, wild)
	default:
		return g.string(name, s, wild)
	}
}

func (g *generator) object(s *huma.Schema, wild, depth int) any {
	object := make(map[string]any)
	for name, member := range s.Properties {
		isRequired := slices.Contains(s.Required, name)
		if isRequired && (wild != mutated || g.chance(90)) || g.chance(40) {
			object[name] = g.value(name, member, wild, depth+1)
		}
	}
	if wild == mutated && g.chance(15) {
		object[g.one("id", "path", "version", "Name", "__proto__", "\x00", strings.Repeat("n", 5000))] = g.anything()
	}
	return object
}

func (g *generator) number(s *huma.Schema, wild int) any {
	low, high := 0.0, 1000.0
	if s.Minimum != nil {
		low = *s.Minimum
	}
	if s.Maximum != nil {
		high = *s.Maximum
	}
	switch {
	case wild == atBounds:
		return []any{low, high, low - 1, high + 1, 0}[g.rand.IntN(5)]
	case wild == mutated && g.chance(20):
		return []any{-1, 1e308, 0.5, json.Number("9223372036854775808"), json.Number("-0"), json.Number("1e400")}[g.rand.IntN(6)]
	case s.Type == huma.TypeInteger:
		return int64(low) + g.rand.Int64N(int64(min(high-low, 1e9))+1)
	}
	return low + g.rand.Float64()*(high-low)
}

func (g *generator) string(name string, s *huma.Schema, wild int) string {
	switch {
	case len(s.Enum) > 0 && g.chance(90):
		return fmt.Sprint(s.Enum[g.rand.IntN(len(s.Enum))])
	case wild == mutated && g.chance(25):
		return g.one("", " ", "\x00", "\u202e", "🎬", "'; DROP TABLE users; --", "%s%n", "../../etc/passwd", "null", strings.Repeat("a", 3000), "a\nb", "\ufeff", "\\", "=", "MQ")
	case wild == atBounds && s.MaxLength != nil:
		return strings.Repeat(g.one("a", "é"), *s.MaxLength+g.rand.IntN(2))
	case g.id(name) != "" && g.chance(80):
		return g.id(name)
	case name == "id":
		return g.one("", "f") + strconv.Itoa(g.rand.IntN(1000))
	case len(s.Examples) > 0:
		return fmt.Sprint(s.Examples[0])
	}
	return g.one("a", "test:", "push:", "x1")
}

func (g *generator) anything() any {
	return []any{nil, true, -1, 1.5, "", "x", []any{}, []any{nil}, map[string]any{}, map[string]any{"a": map[string]any{}}, strings.Repeat("x", 2000)}[g.rand.IntN(11)]
}
