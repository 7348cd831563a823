package httpapi

import (
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// What the control plane answers besides this API: edges and viewers have packages of
// their own, whose answers do not fit the framework. The document describes them all the same.

// metaNeighbour marks an operation that another package answers.
const metaNeighbour = "neighbour"

// neighbourTags are the tags of the neighbours.
var neighbourTags = []*huma.Tag{
	{Name: "edge protocol", Description: "What edges ask for, with the credential that they got for a join code. Nothing else needs it."},
	{Name: "viewers", Description: "What players open."},
}

func (a *API) describeNeighbours() {
	document := a.huma.OpenAPI()
	document.Tags = append(document.Tags, neighbourTags...)
	document.Components.SecuritySchemes[edgeScheme] = &huma.SecurityScheme{ //nolint:gosec // it says how credentials look, and is none
		Type: "http", Scheme: "bearer", BearerFormat: "hre_<id>_<secret>", Description: "An edge's credential.",
	}
	for _, op := range neighbours() {
		op.Metadata = map[string]any{metaNeighbour: true}
		document.AddOperation(op)
	}
}

// edgeScheme names the credentials of edges in the document.
const edgeScheme = "edge_credential"

func neighbours() []*huma.Operation {
	edge := []map[string][]string{{edgeScheme: {}}}
	return []*huma.Operation{
		{
			OperationID: "get-snapshot", Method: http.MethodGet, Path: "/edge/v1/snapshot", Tags: []string{"edge protocol"}, Security: edge,
			Summary: "Get the snapshot", Description: "Answers with the whole snapshot of the edge's group as soon as it is not the version that the edge has.",
			Parameters: []*huma.Param{
				query("have", "The version that the edge has, epoch and number; absent: none.", "1.42"),
				query("wait", "How long to hold the request if there is no other version, ±20 %.", "25s"),
			},
			Responses: says(map[int]string{
				200: "the snapshot: see package snapshot", 304: "nothing came in time", 401: "the credential has ended", 409: "the edge has a newer version than there is: the database went back",
				422: "a parameter is not what it must be", 503: "too many downloads, or the database does not answer: Retry-After",
			}, 200),
		},
		{
			OperationID: "acknowledge-snapshot", Method: http.MethodPost, Path: "/edge/v1/ack", Tags: []string{"edge protocol"}, Security: edge,
			Summary: "Say what became of a version", Description: "Applied, or rejected and why; and how the edge is.",
			RequestBody: takes(members{"epoch": 1, "version": 42, "outcome": "rejected", "reason": "stream \"501\": it has no source", "health": members{"state": "healthy", "score": 97}}),
			Responses:   says(map[int]string{204: "noted", 401: "the credential has ended", 422: "the body is not what it must be", 503: "the database does not answer: Retry-After"}, 0),
		},
		{
			OperationID: "join-edge", Method: http.MethodPost, Path: "/edge/v1/join", Tags: []string{"edge protocol"}, Security: []map[string][]string{{}},
			Summary: "Redeem a join code", Description: "Gives the edge its credential, once.",
			RequestBody: takes(members{"code": "hrj_k3x9p2ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
			Responses:   says(map[int]string{200: "the edge's id, group, URL and credential", 401: "the code is not known, was used or has ended", 422: "the body is not what it must be", 503: "the database does not answer: Retry-After"}, 200),
		},
		{
			OperationID: "enter", Method: http.MethodGet, Path: "/play/{stream}", Tags: []string{"viewers"}, Security: []map[string][]string{{}},
			Summary: "Watch a stream", Description: "Sends a player to an edge, with exactly one token or one play key.",
			Parameters: []*huma.Param{
				{Name: "stream", In: "path", Required: true, Description: "The stream.", Example: "501", Schema: &huma.Schema{Type: huma.TypeString}},
				query("token", "A stream token; this, or key.", "1.kk3x9p2ab.roperator.u1007.s501:1893459600:0b1c…"),
				query("key", "A play key; this, or token.", "hpk_k3x9p2ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
			},
			Responses: says(map[int]string{
				302: "Location is the playlist on an edge, with a token", 400: "not exactly one token or key", 403: "the token or key is not good, or the user may not watch: why, in words",
				404: "there is no such stream", 405: "only GET, HEAD and OPTIONS", 503: "no edge can take the viewer now: Retry-After",
			}, 0),
		},
	}
}

func query(name, about, example string) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: about, Example: example, Schema: &huma.Schema{Type: huma.TypeString}}
}

func takes(example members) *huma.RequestBody {
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{Type: huma.TypeObject}, Example: example},
	}}
}

// members are those of an example.
type members = map[string]any

// says lists answers; the one with a JSON body is named.
func says(texts map[int]string, body int) map[string]*huma.Response {
	responses := make(map[string]*huma.Response)
	for status, text := range texts {
		response := &huma.Response{Description: text}
		if status == body {
			response.Content = map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: huma.TypeObject}, Example: members{}}}
		}
		responses[strconv.Itoa(status)] = response
	}
	return responses
}
