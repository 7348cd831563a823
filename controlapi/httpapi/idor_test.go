package httpapi

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/headrace/headrace/controlapi"
)

// objects are what one reseller owns, and what the operator has; or the ids of nothing.
type objects struct {
	reseller, user, playKey, bouquet, stream, apiKey, kid string
	plan, group, edge, edge2                              string
	child, empty                                          string // resellers below
}

// absent are ids as they could be, of nothing.
var absent = objects{
	reseller: "00000000000000000000000000000000", user: "00000000000000000000000000000001", playKey: "aaaaaaaa", bouquet: "00000000000000000000000000000002",
	stream: "00000000000000000000000000000003", apiKey: "aaaaaaab", kid: "aaaaaaac", plan: "nothing", group: "nowhere", edge: "nobody", edge2: "nobody2",
	child: "00000000000000000000000000000004", empty: "00000000000000000000000000000005",
}

// attempt is one call of an operation.
type attempt struct {
	path, body string
	// version is the path of what the operation changes; empty: nothing that has a version.
	version string
	// tag is an ETag that is known without asking.
	tag string
	// operator tells that nobody else may.
	operator bool
	// open tells that every key is answered: with what it may see.
	open bool
}

// attempts says for every operation how it is called on objects. An operation that is not
// here fails the test.
var attempts = map[string]func(t *testing.T, o objects) attempt{
	"get-me":         func(*testing.T, objects) attempt { return attempt{path: "/v1/me", open: true} },
	"list-resellers": func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/resellers?parent_id=" + o.reseller} },
	"create-reseller": func(t *testing.T, o objects) attempt {
		return attempt{path: "/v1/resellers", body: text(t, members{"name": "x", "parent_id": o.reseller})}
	},
	"get-reseller":    func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/resellers/" + o.reseller} },
	"update-reseller": func(_ *testing.T, o objects) attempt { return changed("/v1/resellers/"+o.reseller, `{"name":"y"}`) },
	"delete-reseller": func(_ *testing.T, o objects) attempt { return changed("/v1/resellers/"+o.empty, "") },
	"get-balance": func(_ *testing.T, o objects) attempt {
		return attempt{path: "/v1/resellers/" + o.reseller + "/balance"}
	},
	"list-ledger":      func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/resellers/" + o.reseller + "/ledger"} },
	"transfer-credits": func(_ *testing.T, o objects) attempt { return moved("/v1/resellers/" + o.child + "/transfers") },
	"reclaim-credits":  func(_ *testing.T, o objects) attempt { return moved("/v1/resellers/" + o.child + "/reclaims") },
	"issue-credits": func(_ *testing.T, o objects) attempt {
		a := moved("/v1/resellers/" + o.reseller + "/credits")
		a.operator = true
		return a
	},
	"get-grants":     func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/resellers/" + o.reseller + "/grants"} },
	"replace-grants": func(_ *testing.T, o objects) attempt { return changed("/v1/resellers/"+o.child+"/grants", noGrants) },
	"list-signing-keys": func(_ *testing.T, o objects) attempt {
		return attempt{path: "/v1/resellers/" + o.reseller + "/signing-keys"}
	},
	"rotate-signing-key": func(t *testing.T, o objects) attempt {
		return attempt{path: "/v1/resellers/" + o.reseller + "/signing-keys", body: text(t, members{"group_id": o.group})}
	},
	"end-signing-key": func(_ *testing.T, o objects) attempt {
		return attempt{path: "/v1/resellers/" + o.reseller + "/signing-keys/default/" + o.kid, tag: `"1"`}
	},
	"list-users": func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/users?reseller_id=" + o.reseller} },
	"create-user": func(t *testing.T, o objects) attempt {
		return attempt{path: "/v1/users", body: text(t, members{"name": "x", "plan_id": "matrix", "reseller_id": o.reseller})}
	},
	"get-user":    func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/users/" + o.user} },
	"update-user": func(_ *testing.T, o objects) attempt { return changed("/v1/users/"+o.user, `{"note":"y"}`) },
	"delete-user": func(_ *testing.T, o objects) attempt { return changed("/v1/users/"+o.user, "") },
	"renew-user": func(_ *testing.T, o objects) attempt {
		return attempt{path: "/v1/users/" + o.user + "/renewals", body: `{}`}
	},
	"list-play-keys": func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/users/" + o.user + "/play-keys"} },
	"create-play-key": func(_ *testing.T, o objects) attempt {
		return attempt{path: "/v1/users/" + o.user + "/play-keys", body: `{}`}
	},
	"delete-play-key": func(_ *testing.T, o objects) attempt {
		return attempt{path: "/v1/users/" + o.user + "/play-keys/" + o.playKey, tag: `"1"`}
	},
	"list-plans": func(*testing.T, objects) attempt { return attempt{path: "/v1/plans", open: true} },
	"create-plan": func(*testing.T, objects) attempt {
		return attempt{path: "/v1/plans", body: `{"name":"x","price":1,"duration_seconds":3600,"bouquets":[]}`, operator: true}
	},
	"get-plan":      func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/plans/" + o.plan, open: true} },
	"update-plan":   func(_ *testing.T, o objects) attempt { return operators(changed("/v1/plans/"+o.plan, `{"price":2}`)) },
	"delete-plan":   func(_ *testing.T, o objects) attempt { return operators(changed("/v1/plans/"+o.plan, "")) },
	"list-bouquets": func(*testing.T, objects) attempt { return attempt{path: "/v1/bouquets", open: true} },
	"create-bouquet": func(t *testing.T, o objects) attempt {
		return attempt{path: "/v1/bouquets", body: text(t, members{"name": "x", "owner_id": o.reseller, "streams": []string{}})}
	},
	"get-bouquet":    func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/bouquets/" + o.bouquet} },
	"update-bouquet": func(_ *testing.T, o objects) attempt { return changed("/v1/bouquets/"+o.bouquet, `{"name":"y"}`) },
	"delete-bouquet": func(_ *testing.T, o objects) attempt { return changed("/v1/bouquets/"+o.bouquet, "") },
	"list-streams":   func(*testing.T, objects) attempt { return attempt{path: "/v1/streams", open: true} },
	"create-stream": func(t *testing.T, o objects) attempt {
		return attempt{path: "/v1/streams", body: text(t, members{"name": "x", "owner_id": o.reseller, "sources": []string{"test:"}})}
	},
	"get-stream":        func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/streams/" + o.stream} },
	"update-stream":     func(_ *testing.T, o objects) attempt { return changed("/v1/streams/"+o.stream, `{"name":"y"}`) },
	"delete-stream":     func(_ *testing.T, o objects) attempt { return changed("/v1/streams/"+o.stream, "") },
	"get-stream-status": func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/streams/" + o.stream + "/status"} },
	"explain-route":     func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/streams/" + o.stream + "/route"} },
	"issue-publish-url": func(_ *testing.T, o objects) attempt {
		return attempt{path: "/v1/streams/" + o.stream + "/publish", body: `{}`}
	},
	"issue-playback": func(t *testing.T, o objects) attempt {
		return attempt{path: "/v1/playback", body: text(t, members{"user_id": o.user, "stream_id": o.stream})}
	},
	"list-api-keys": func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/api-keys?reseller_id=" + o.reseller} },
	"create-api-key": func(t *testing.T, o objects) attempt {
		return attempt{path: "/v1/api-keys", body: text(t, members{"name": "x", "reseller_id": o.reseller, "permissions": []string{"read"}})}
	},
	"get-api-key":    func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/api-keys/" + o.apiKey} },
	"revoke-api-key": func(_ *testing.T, o objects) attempt { return changed("/v1/api-keys/"+o.apiKey, "") },
	"list-events":    func(*testing.T, objects) attempt { return attempt{path: "/v1/events", open: true} },
	"list-audit":     func(*testing.T, objects) attempt { return attempt{path: "/v1/audit", open: true} },
	"list-groups":    func(*testing.T, objects) attempt { return attempt{path: "/v1/groups", open: true} },
	"get-group":      func(_ *testing.T, o objects) attempt { return attempt{path: "/v1/groups/" + o.group, open: true} },
	"create-group":   func(*testing.T, objects) attempt { return operators(attempt{path: "/v1/groups", body: `{"name":"x"}`}) },
	"update-group": func(_ *testing.T, o objects) attempt {
		return operators(changed("/v1/groups/"+o.group, `{"name":"y"}`))
	},
	"delete-group": func(_ *testing.T, o objects) attempt { return operators(changed("/v1/groups/"+o.group, "")) },
	"list-edges":   func(*testing.T, objects) attempt { return operators(attempt{path: "/v1/edges"}) },
	"create-edge": func(*testing.T, objects) attempt {
		return operators(attempt{path: "/v1/edges", body: `{"url":"https://e.example"}`})
	},
	"get-edge": func(_ *testing.T, o objects) attempt { return operators(attempt{path: "/v1/edges/" + o.edge}) },
	"update-edge": func(_ *testing.T, o objects) attempt {
		return operators(changed("/v1/edges/"+o.edge, `{"state":"draining"}`))
	},
	"delete-edge": func(_ *testing.T, o objects) attempt { return operators(changed("/v1/edges/"+o.edge2, "")) },
	"create-join-code": func(_ *testing.T, o objects) attempt {
		return operators(attempt{path: "/v1/edges/" + o.edge + "/join-codes", version: "/v1/edges/" + o.edge})
	},
	"revoke-edge": func(_ *testing.T, o objects) attempt {
		return operators(attempt{path: "/v1/edges/" + o.edge + "/revocation", version: "/v1/edges/" + o.edge})
	},
	"list-assignments": func(*testing.T, objects) attempt { return operators(attempt{path: "/v1/assignments"}) },
	"get-assignment": func(_ *testing.T, o objects) attempt {
		return operators(attempt{path: "/v1/streams/" + o.stream + "/assignment"})
	},
	"pin-stream": func(_ *testing.T, o objects) attempt {
		return operators(attempt{path: "/v1/streams/" + o.stream + "/pin", body: `{"relays":[]}`, version: "/v1/streams/" + o.stream})
	},
	"unpin-stream": func(_ *testing.T, o objects) attempt {
		return operators(attempt{path: "/v1/streams/" + o.stream + "/pin", version: "/v1/streams/" + o.stream})
	},
}

const noGrants = `{"show":{"streams":[],"bouquets":[]},"publish":{"streams":[],"bouquets":[]}}`

func changed(path, body string) attempt { return attempt{path: path, body: body, version: path} }

func moved(path string) attempt { return attempt{path: path, body: `{"amount":1,"reason":"x"}`} }

func operators(a attempt) attempt {
	a.operator = true
	return a
}

// matrix is a tree of resellers with a key each, the objects' owner in its middle.
type matrix struct {
	*world
	owner string
	// near may reach the objects, foreign may not: keys by their place in the tree.
	near, foreign map[string]string
}

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	m := &matrix{world: newWorld(t, nil)}
	op := m.operator
	m.make(t, op, "/v1/plans", members{"id": "matrix", "name": "x", "price": 1, "duration_seconds": 3600, "bouquets": []string{}})
	parent := m.newReseller(t, controlapi.OperatorID)
	m.owner = m.newReseller(t, parent)
	m.near = map[string]string{"self": m.key(t, m.owner), "parent": m.key(t, parent), "operator": op}
	m.foreign = map[string]string{
		"child": m.key(t, m.newReseller(t, m.owner)), "sibling": m.key(t, m.newReseller(t, parent)), "other root": m.key(t, m.newReseller(t, controlapi.OperatorID)),
	}
	if underRace {
		delete(m.near, "parent")
		delete(m.foreign, "child")
		delete(m.foreign, "other root")
	}
	return m
}

// newReseller makes a reseller that has credits and may own streams.
func (m *matrix) newReseller(t *testing.T, parent string) string {
	t.Helper()
	id := m.make(t, m.operator, "/v1/resellers", members{"name": "x", "parent_id": parent, "max_streams": 10_000})
	m.make(t, m.operator, "/v1/resellers/"+id+"/credits", members{"amount": 100_000, "reason": "x"})
	return id
}

// key makes an API key of a reseller that may do all that a reseller may.
func (m *matrix) key(t *testing.T, reseller string) string {
	t.Helper()
	var names []string
	for _, p := range controlapi.Permissions() {
		if p != controlapi.PermissionOperate {
			names = append(names, string(p))
		}
	}
	made := m.want(t, http.StatusCreated, request{method: http.MethodPost, path: "/v1/api-keys", key: m.operator, once: "new", body: text(t, members{
		"name": "x", "reseller_id": reseller, "permissions": names,
	})})
	key, _ := made["key"].(string)
	return key
}

// seed makes objects of the owner, and some of the operator.
func (m *matrix) seed(t *testing.T) objects {
	t.Helper()
	op := m.operator
	o := objects{reseller: m.owner}
	o.child = m.make(t, op, "/v1/resellers", members{"name": "x", "parent_id": m.owner})
	o.empty = m.make(t, op, "/v1/resellers", members{"name": "x", "parent_id": m.owner})
	m.make(t, op, "/v1/resellers/"+o.child+"/credits", members{"amount": 10, "reason": "x"})
	bought := m.make(t, op, "/v1/plans", members{"name": "x", "price": 1, "duration_seconds": 3600, "bouquets": []string{}})
	o.user = m.make(t, op, "/v1/users", members{"name": "x", "plan_id": bought, "reseller_id": m.owner})
	o.playKey = m.make(t, op, "/v1/users/"+o.user+"/play-keys", members{})
	o.stream = m.make(t, op, "/v1/streams", members{"name": "x", "owner_id": m.owner, "sources": []string{"push:"}})
	o.bouquet = m.make(t, op, "/v1/bouquets", members{"name": "x", "owner_id": m.owner, "streams": []string{}})
	o.apiKey = m.make(t, op, "/v1/api-keys", members{"name": "x", "reseller_id": m.owner, "permissions": []string{"read"}})
	o.plan = m.make(t, op, "/v1/plans", members{"name": "x", "price": 1, "duration_seconds": 3600, "bouquets": []string{}})
	o.group = m.make(t, op, "/v1/groups", members{"name": "x"})
	o.edge = m.make(t, op, "/v1/edges", members{"url": "https://e.example"})
	o.edge2 = m.make(t, op, "/v1/edges", members{"url": "https://e.example"})
	keys := m.want(t, http.StatusOK, request{method: http.MethodGet, path: "/v1/resellers/" + m.owner + "/signing-keys", key: op})
	items, _ := keys["items"].([]any)
	current, _ := items[0].(map[string]any)
	o.kid, _ = current["kid"].(string)
	return o
}

func (m *matrix) call(t *testing.T, op *huma.Operation, a attempt, key string) answerOf {
	t.Helper()
	q := request{method: op.Method, path: a.path, key: key, body: a.body, ifMatch: a.tag}
	if op.Metadata[metaOnce] != nil {
		q.once = "new"
	}
	if a.version != "" {
		if q.ifMatch = m.send(t, request{method: http.MethodGet, path: a.version, key: m.operator}).header.Get("ETag"); q.ifMatch == "" {
			q.ifMatch = `"1"` // it is not there
		}
	}
	return m.send(t, q)
}

// TestMatrix calls every operation of the document on one reseller's objects, as everybody
// who could try (scenario 29): who may reach them gets a success, whoever may not gets
// the very answer that there is for what does not exist.
func TestMatrix(t *testing.T) {
	m := newMatrix(t)
	shared := m.seed(t)
	all := operations(t, m.api)
	for id := range attempts {
		if all[id] == nil {
			t.Errorf("attempts has the operation %s, which there is not", id)
		}
	}
	for id, op := range all {
		build := attempts[id]
		if build == nil {
			t.Errorf("operation %s has no attempt: say in attempts how it is called", id)
			continue
		}
		t.Run(id, func(t *testing.T) {
			m.anonymous(t, op, build(t, shared))
			for place, key := range m.foreign {
				m.refused(t, place, op, build(t, shared), build(t, absent), key)
			}
			for place, key := range m.near {
				m.served(t, place, op, build, shared, key)
			}
		})
	}
}

func (m *matrix) anonymous(t *testing.T, op *huma.Operation, a attempt) {
	t.Helper()
	if got := m.call(t, op, a, ""); got.status != http.StatusUnauthorized {
		t.Errorf("anonymous: got %d %s, want 401", got.status, got.body)
	}
}

// refused holds the answer to a stranger to that for what does not exist.
func (m *matrix) refused(t *testing.T, place string, op *huma.Operation, real, nothing attempt, key string) {
	t.Helper()
	got := m.call(t, op, real, key)
	switch {
	case real.open:
		// What everybody is answered holds nothing of the owner's.
		if got.status/100 != 2 || strings.Contains(got.body, m.owner) && !strings.Contains(op.Path, "/me") && place != "child" {
			t.Errorf("%s: got %d %s, want its own part", place, got.status, got.body)
		}
		return
	case real.operator:
		if got.status != http.StatusForbidden && got.status != http.StatusNotFound {
			t.Errorf("%s: got %d %s, want 403 or 404", place, got.status, got.body)
		}
	case got.status != http.StatusNotFound:
		t.Errorf("%s: got %d %s, want 404", place, got.status, got.body)
	}
	want := m.call(t, op, nothing, key)
	if got.status != want.status || got.body != want.body {
		t.Errorf("%s: what is foreign is answered with %d %s, what is absent with %d %s: they must be the same", place, got.status, got.body, want.status, want.body)
	}
}

func (m *matrix) served(t *testing.T, place string, op *huma.Operation, build func(*testing.T, objects) attempt, shared objects, key string) {
	t.Helper()
	o := shared
	if op.Method == http.MethodDelete || slices.Contains([]string{"revoke-edge", "rotate-signing-key"}, op.OperationID) {
		o = m.seed(t) // it can be done once
	}
	a := build(t, o)
	got := m.call(t, op, a, key)
	switch {
	case a.operator && place != "operator":
		if got.status != http.StatusForbidden && got.status != http.StatusNotFound {
			t.Errorf("%s: got %d %s, want 403 or 404: it is the operator's", place, got.status, got.body)
		}
	case got.status/100 != 2:
		t.Errorf("%s: got %d %s, want a success", place, got.status, got.body)
	}
}
