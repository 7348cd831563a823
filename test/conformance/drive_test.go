package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fresh makes idempotency keys.
var fresh atomic.Int64

func once() string { return fmt.Sprintf("conformance-%d-%d", time.Now().UnixNano(), fresh.Add(1)) }

// response is what the generated client gives for every operation.
type response interface {
	StatusCode() int
	GetBody() []byte
}

// taken is what came of a call.
type taken[R response] struct {
	response R
	err      error
}

func take[R response](r R, err error) taken[R] { return taken[R]{r, err} }

// want gives the response, which must have a status.
func (c taken[R]) want(t *testing.T, status int) R {
	t.Helper()
	if c.err != nil {
		t.Fatal(c.err)
	}
	if got := c.response.StatusCode(); got != status {
		t.Fatalf("%T: got %d %s, want %d", c.response, got, c.response.GetBody(), status)
	}
	return c.response
}

// beyond are the operations that a control plane without an edge cannot carry out: that
// they can be is shown where there is one.
var beyond = map[string]bool{"issue-playback": true, "issue-publish-url": true}

// TestWholeAPI calls every operation through the generated client.
func TestWholeAPI(t *testing.T) {
	plane := start(t)
	j := newJudge(t, plane.key)
	c, err := NewClientWithResponses(plane.url, WithHTTPClient(&http.Client{Transport: j}))
	if err != nil {
		t.Fatal(err)
	}
	operator(t, c)
	tenant(t, c)
	edges(t, c)
	endings(t, c)
	for operation, path := range operations(t) {
		served := false
		for call := range j.served {
			served = served || path.MatchString(call)
		}
		if !served && !beyond[operation] {
			t.Errorf("operation %s was never called with success: drive it here", operation)
		}
	}
}

// operations are those of the document, as "GET /v1/users/<something>".
func operations(t *testing.T) map[string]*regexp.Regexp {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]*regexp.Regexp)
	parameter := regexp.MustCompile(`\{[a-z_]+\}`)
	for path, methods := range d.Paths {
		for method, op := range methods {
			if strings.HasPrefix(path, "/v1/") {
				all[op.OperationID] = regexp.MustCompile("^" + strings.ToUpper(method) + " " + parameter.ReplaceAllString(path, "[^/]+") + "$")
			}
		}
	}
	return all
}

// operator sets a business up.
func operator(t *testing.T, c *ClientWithResponses) {
	ctx := t.Context()
	if me := take(c.GetMeWithResponse(ctx)).want(t, 200).JSON200; !me.Operator {
		t.Errorf("got %+v, want the operator", me)
	}
	take(c.CreateStreamWithResponse(ctx, &CreateStreamParams{once()}, StreamCreate{
		Id: new("501"), Name: "News", Sources: []string{"https://u:p@origin.example/news.m3u8", "test:"}, Window: new(int64(12)),
		Renditions: &[]Rendition{{Name: "source", Copy: new(true)}, {Name: "480p", Height: new(int64(480)), VideoBitrate: new(int64(1_200_000)), AudioBitrate: new(int64(128_000))}},
	})).want(t, 201)
	stream := take(c.GetStreamWithResponse(ctx, "501")).want(t, 200)
	take(c.UpdateStreamWithResponse(ctx, "501", &UpdateStreamParams{tag(stream.HTTPResponse)}, StreamUpdate{Name: new("News 24")})).want(t, 200)
	take(c.ListStreamsWithResponse(ctx, &ListStreamsParams{Name: new("news")})).want(t, 200)
	take(c.GetStreamStatusWithResponse(ctx, "501")).want(t, 200)
	take(c.ExplainRouteWithResponse(ctx, "501", &ExplainRouteParams{Client: new("203.0.113.9")})).want(t, 200)
	take(c.IssuePublishUrlWithResponse(ctx, "501", PublishRequest{})).want(t, 409) // it is not pushed
	take(c.CreateBouquetWithResponse(ctx, &CreateBouquetParams{once()}, BouquetCreate{Id: new("all"), Name: "All", Streams: []string{"501"}})).want(t, 201)
	bouquet := take(c.GetBouquetWithResponse(ctx, "all")).want(t, 200)
	take(c.UpdateBouquetWithResponse(ctx, "all", &UpdateBouquetParams{tag(bouquet.HTTPResponse)}, BouquetUpdate{Name: new("Everything")})).want(t, 200)
	take(c.ListBouquetsWithResponse(ctx, nil)).want(t, 200)
	take(c.CreatePlanWithResponse(ctx, &CreatePlanParams{once()}, PlanCreate{Id: new("basic"), Name: "Basic", Price: 10, DurationSeconds: 2_592_000, Bouquets: []string{"all"}})).want(t, 201)
	plan := take(c.GetPlanWithResponse(ctx, "basic")).want(t, 200)
	take(c.UpdatePlanWithResponse(ctx, "basic", &UpdatePlanParams{tag(plan.HTTPResponse)}, PlanUpdate{Name: new("Basic, 30 days")})).want(t, 200)
	take(c.ListPlansWithResponse(ctx, nil)).want(t, 200)
}

// tag is the ETag of an answer.
func tag(r *http.Response) string { return r.Header.Get("ETag") }

// tenant goes a reseller's way.
func tenant(t *testing.T, c *ClientWithResponses) {
	ctx := t.Context()
	made := take(c.CreateResellerWithResponse(ctx, &CreateResellerParams{once()}, ResellerCreate{Name: "North"})).want(t, 201)
	id := made.JSON201.Id
	take(c.IssueCreditsWithResponse(ctx, id, &IssueCreditsParams{once()}, Issue{Amount: 100, Reason: "prepaid"})).want(t, 201)
	below := take(c.CreateResellerWithResponse(ctx, &CreateResellerParams{once()}, ResellerCreate{Name: "Shop", ParentId: &id})).want(t, 201).JSON201.Id
	take(c.TransferCreditsWithResponse(ctx, below, &TransferCreditsParams{once()}, Movement{Amount: 30, Reason: "start"})).want(t, 201)
	take(c.ReclaimCreditsWithResponse(ctx, below, &ReclaimCreditsParams{once()}, Movement{Amount: 30, Reason: "end"})).want(t, 201)
	reseller := take(c.GetResellerWithResponse(ctx, below)).want(t, 200)
	renamed := take(c.UpdateResellerWithResponse(ctx, below, &UpdateResellerParams{tag(reseller.HTTPResponse)}, ResellerUpdate{Name: new("Corner shop")})).want(t, 200)
	take(c.DeleteResellerWithResponse(ctx, below, &DeleteResellerParams{tag(renamed.HTTPResponse)})).want(t, 204)
	take(c.ListResellersWithResponse(ctx, &ListResellersParams{Limit: new(int64(1))})).want(t, 200)
	grants := take(c.GetGrantsWithResponse(ctx, id)).want(t, 200)
	none := GrantList{Streams: []string{}, Bouquets: []string{}}
	take(c.ReplaceGrantsWithResponse(ctx, id, &ReplaceGrantsParams{tag(grants.HTTPResponse)}, GrantsUpdate{
		Show: GrantList{Streams: []string{}, Bouquets: []string{"all"}}, Publish: none,
	})).want(t, 200)
	key := take(c.CreateApiKeyWithResponse(ctx, &CreateApiKeyParams{once()}, APIKeyCreate{Name: "panel", ResellerId: &id, Permissions: []APIKeyCreatePermissions{"read"}})).want(t, 201)
	take(c.ListApiKeysWithResponse(ctx, &ListApiKeysParams{ResellerId: &id})).want(t, 200)
	shown := take(c.GetApiKeyWithResponse(ctx, key.JSON201.Id)).want(t, 200)
	take(c.RevokeApiKeyWithResponse(ctx, key.JSON201.Id, &RevokeApiKeyParams{tag(shown.HTTPResponse)})).want(t, 204)
	signing := take(c.RotateSigningKeyWithResponse(ctx, id, &RotateSigningKeyParams{once()}, Rotation{GroupId: "default"})).want(t, 201)
	take(c.ListSigningKeysWithResponse(ctx, id, nil)).want(t, 200)
	take(c.EndSigningKeyWithResponse(ctx, id, "default", signing.JSON201.Kid, &EndSigningKeyParams{tag(signing.HTTPResponse)})).want(t, 204)
	viewer(t, c, id)
	balance := take(c.GetBalanceWithResponse(ctx, id)).want(t, 200)
	ledger := take(c.ListLedgerWithResponse(ctx, id, nil)).want(t, 200)
	if sum := total(ledger.JSON200.Items); sum != balance.JSON200.Balance || sum != 80 {
		t.Errorf("got a balance of %d, movements of %d, want 80 of both: 100 and two plans", balance.JSON200.Balance, sum)
	}
}

func total(lines []LedgerLine) (sum int64) {
	for _, l := range lines {
		sum += l.Amount
	}
	return sum
}

// viewer makes a user, renews it, and takes it away.
func viewer(t *testing.T, c *ClientWithResponses, reseller string) {
	ctx := t.Context()
	params := &CreateUserParams{once()}
	body := UserCreate{Name: "jane", PlanId: "basic", ResellerId: &reseller}
	user := take(c.CreateUserWithResponse(ctx, params, body)).want(t, 201)
	again := take(c.CreateUserWithResponse(ctx, params, body)).want(t, 201)
	if again.JSON201.Id != user.JSON201.Id {
		t.Errorf("the same request made the users %s and %s", user.JSON201.Id, again.JSON201.Id)
	}
	id := user.JSON201.Id
	take(c.RenewUserWithResponse(ctx, id, &RenewUserParams{once()}, Renewal{})).want(t, 201)
	take(c.ListUsersWithResponse(ctx, &ListUsersParams{ResellerId: &reseller})).want(t, 200)
	key := take(c.CreatePlayKeyWithResponse(ctx, id, &CreatePlayKeyParams{once()}, PlayKeyCreate{Note: new("tv")})).want(t, 201)
	take(c.ListPlayKeysWithResponse(ctx, id)).want(t, 200)
	take(c.IssuePlaybackWithResponse(ctx, PlaybackRequest{UserId: id, StreamId: new("501")})).want(t, 503) // there is no edge
	take(c.DeletePlayKeyWithResponse(ctx, id, key.JSON201.Id, &DeletePlayKeyParams{tag(key.HTTPResponse)})).want(t, 204)
	shown := take(c.GetUserWithResponse(ctx, id)).want(t, 200)
	changed := take(c.UpdateUserWithResponse(ctx, id, &UpdateUserParams{tag(shown.HTTPResponse)}, UserUpdate{Suspended: new(true)})).want(t, 200)
	take(c.UpdateUserWithResponse(ctx, id, &UpdateUserParams{tag(shown.HTTPResponse)}, UserUpdate{Suspended: new(false)})).want(t, 412)
	take(c.DeleteUserWithResponse(ctx, id, &DeleteUserParams{tag(changed.HTTPResponse)})).want(t, 204)
}

// edges makes edges, which never join, and pins a stream to one.
func edges(t *testing.T, c *ClientWithResponses) {
	ctx := t.Context()
	edge := take(c.CreateEdgeWithResponse(ctx, &CreateEdgeParams{once()}, EdgeCreate{Id: new("edge-1"), Url: "https://edge-1.example.com"})).want(t, 201)
	if !strings.HasPrefix(edge.JSON201.JoinCode, "hrj_") {
		t.Errorf("got the join code %q", edge.JSON201.JoinCode)
	}
	take(c.ListEdgesWithResponse(ctx, nil)).want(t, 200)
	shown := take(c.GetEdgeWithResponse(ctx, "edge-1")).want(t, 200)
	drained := take(c.UpdateEdgeWithResponse(ctx, "edge-1", &UpdateEdgeParams{tag(shown.HTTPResponse)}, EdgeUpdate{State: new(EdgeUpdateState("draining"))})).want(t, 200)
	coded := take(c.CreateJoinCodeWithResponse(ctx, "edge-1", &CreateJoinCodeParams{IdempotencyKey: once(), IfMatch: tag(drained.HTTPResponse)})).want(t, 201)
	stream := take(c.GetStreamWithResponse(ctx, "501")).want(t, 200)
	pinned := take(c.PinStreamWithResponse(ctx, "501", &PinStreamParams{tag(stream.HTTPResponse)}, Pin{Primary: new("edge-1"), Relays: []string{}})).want(t, 200)
	take(c.ListAssignmentsWithResponse(ctx, nil)).want(t, 200)
	take(c.GetAssignmentWithResponse(ctx, "501")).want(t, 200)
	take(c.UnpinStreamWithResponse(ctx, "501", &UnpinStreamParams{tag(pinned.HTTPResponse)})).want(t, 204)
	revoked := take(c.RevokeEdgeWithResponse(ctx, "edge-1", &RevokeEdgeParams{tag(coded.HTTPResponse)})).want(t, 200)
	take(c.DeleteEdgeWithResponse(ctx, "edge-1", &DeleteEdgeParams{tag(revoked.HTTPResponse)})).want(t, 204)
	group := take(c.CreateGroupWithResponse(ctx, &CreateGroupParams{once()}, GroupCreate{Id: new("eu"), Name: "Europe"})).want(t, 201)
	take(c.ListGroupsWithResponse(ctx, nil)).want(t, 200)
	take(c.GetGroupWithResponse(ctx, "eu")).want(t, 200)
	changed := take(c.UpdateGroupWithResponse(ctx, "eu", &UpdateGroupParams{tag(group.HTTPResponse)}, GroupUpdate{Name: new("EU")})).want(t, 200)
	take(c.DeleteGroupWithResponse(ctx, "eu", &DeleteGroupParams{tag(changed.HTTPResponse)})).want(t, 204)
}

// endings takes away what the operator set up, and looks back.
func endings(t *testing.T, c *ClientWithResponses) {
	ctx := t.Context()
	take(c.CreatePlanWithResponse(ctx, &CreatePlanParams{once()}, PlanCreate{Id: new("short"), Name: "Short", DurationSeconds: 3600, Bouquets: []string{}})).want(t, 201)
	take(c.DeletePlanWithResponse(ctx, "short", &DeletePlanParams{`"1"`})).want(t, 204)
	take(c.CreateBouquetWithResponse(ctx, &CreateBouquetParams{once()}, BouquetCreate{Id: new("none"), Name: "None", Streams: []string{}})).want(t, 201)
	take(c.DeleteBouquetWithResponse(ctx, "none", &DeleteBouquetParams{`"1"`})).want(t, 204)
	take(c.CreateStreamWithResponse(ctx, &CreateStreamParams{once()}, StreamCreate{Id: new("502"), Name: "Short", Sources: []string{"test:"}})).want(t, 201)
	take(c.DeleteStreamWithResponse(ctx, "502", &DeleteStreamParams{`"1"`})).want(t, 204)
	take(c.ListEventsWithResponse(ctx, nil)).want(t, 200)
	if audit := take(c.ListAuditWithResponse(ctx, nil)).want(t, 200); len(audit.JSON200.Items) == 0 {
		t.Error("the audit is empty")
	}
}
