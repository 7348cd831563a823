package conformance

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/headrace/headrace/test/postgres"
)

func TestMain(m *testing.M) { postgres.Main(m) }

// TestTwoInstances lets two control planes on one Postgres answer in turn, at random, and
// has a model judge what they told of credits and of pins: as if there were but one.
func TestTwoInstances(t *testing.T) {
	p := newPair(t)
	const workers, calls = 12, 60
	families := make([]family, workers/3) // three hands in each
	for i := range families {
		families[i] = p.family(t)
	}
	streams := make([]string, 2)
	for i := range streams {
		streams[i] = fmt.Sprint("stream-", i)
		take(p.any().CreateStreamWithResponse(t.Context(), &CreateStreamParams{once()}, StreamCreate{Id: &streams[i], Name: streams[i], Sources: []string{"test:"}})).want(t, 201)
	}
	for _, id := range []string{"edge-a", "edge-b"} {
		take(p.any().CreateEdgeWithResponse(t.Context(), &CreateEdgeParams{once()}, EdgeCreate{Id: &id, Url: "https://" + id + ".example.com"})).want(t, 201)
	}

	var running sync.WaitGroup
	for w := range workers {
		running.Go(func() {
			random := rand.New(rand.NewPCG(4, uint64(w)))
			for range calls {
				p.move(t, w, families[w%len(families)], random)
				p.pin(t, w, streams[w%len(streams)], random)
			}
		})
	}
	running.Wait()
	p.judge(t)
}

// pair is two instances on one database.
type pair struct {
	clients [2]*ClientWithResponses

	mu       sync.Mutex
	began    time.Time
	accounts []porcupine.Operation
	pins     []porcupine.Operation
	refused  map[string]int
}

func newPair(t *testing.T) *pair {
	t.Helper()
	file, err := program()
	if err != nil {
		t.Fatalf("building controlapi: %v", err)
	}
	dir, database := t.TempDir(), postgres.New(t)
	first := exec.Command(file, "init", "--database", database)
	first.Dir = dir
	key, err := first.Output()
	if err != nil {
		t.Fatalf("controlapi init: %v", err)
	}
	p := &pair{began: time.Now(), refused: make(map[string]int)}
	for i := range p.clients {
		url := run(t, file, dir, "--database", database, "--limit-per-key", "100000", "--limit-per-tenant", "100000")
		j := newJudge(t, strings.TrimSpace(string(key)))
		if p.clients[i], err = NewClientWithResponses(url, WithHTTPClient(&http.Client{Transport: j})); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// any is one of the instances.
func (p *pair) any() *ClientWithResponses { return p.clients[rand.IntN(len(p.clients))] }

// note puts an operation into a history.
func (p *pair) note(history *[]porcupine.Operation, hand int, in, out any, called time.Time) {
	back := time.Since(p.began).Nanoseconds()
	p.mu.Lock()
	defer p.mu.Unlock()
	*history = append(*history, porcupine.Operation{
		ClientId: hand, Input: in, Call: called.Sub(p.began).Nanoseconds(), Output: out, Return: back,
	})
}

func (p *pair) count(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused[what]++
}

// ---- credits ----

// family is a reseller and one below it, with few credits between them.
type family struct{ parent, child string }

const credits = 300

func (p *pair) family(t *testing.T) (f family) {
	t.Helper()
	ctx := t.Context()
	parent := take(p.any().CreateResellerWithResponse(ctx, &CreateResellerParams{once()}, ResellerCreate{Name: "parent"})).want(t, 201)
	f.parent = parent.JSON201.Id
	child := take(p.any().CreateResellerWithResponse(ctx, &CreateResellerParams{once()}, ResellerCreate{Name: "child", ParentId: &f.parent})).want(t, 201)
	f.child = child.JSON201.Id
	take(p.any().IssueCreditsWithResponse(ctx, f.parent, &IssueCreditsParams{once()}, Issue{Amount: credits, Reason: "start"})).want(t, 201)
	return f
}

// account is one call that concerns a family's credits.
type account struct {
	family family
	// down is how many credits go from the parent to the child; negative: back. 0: the
	// balance of parent or child is read.
	down   int64
	parent bool
}

// told is the answer: refused, or the balance that was read.
type told struct {
	refused bool
	balance int64
}

// move moves credits or reads a balance. Every second movement is sent again with its key,
// to either instance: it must have taken effect once. One that was refused had none, and is
// tried anew when it is sent again.
func (p *pair) move(t *testing.T, hand int, f family, random *rand.Rand) {
	ctx := t.Context()
	in := account{family: f, down: random.Int64N(161) - 80, parent: random.IntN(2) == 0}
	called := time.Now()
	if in.down == 0 || random.IntN(4) == 0 {
		in.down = 0
		id := f.child
		if in.parent {
			id = f.parent
		}
		answer, err := p.any().GetBalanceWithResponse(ctx, id)
		if err != nil || answer.JSON200 == nil {
			t.Errorf("reading a balance: %v", err)
			return
		}
		p.note(&p.accounts, hand, in, told{balance: answer.JSON200.Balance}, called)
		return
	}
	key := once()
	status := p.send(ctx, t, f, in.down, key)
	if status == http.StatusCreated && random.IntN(2) == 0 {
		if again := p.send(ctx, t, f, in.down, key); again != status {
			t.Errorf("the same movement with the same key: %d, then %d", status, again)
		}
	}
	if status != http.StatusCreated {
		p.count("movements")
	}
	p.note(&p.accounts, hand, in, told{refused: status != http.StatusCreated}, called)
}

// send asks for a movement until it is answered for good.
func (p *pair) send(ctx context.Context, t *testing.T, f family, down int64, key string) (status int) {
	for {
		var answer response
		var err error
		if down > 0 {
			answer, err = p.any().TransferCreditsWithResponse(ctx, f.child, &TransferCreditsParams{key}, Movement{Amount: down, Reason: "test"})
		} else {
			answer, err = p.any().ReclaimCreditsWithResponse(ctx, f.child, &ReclaimCreditsParams{key}, Movement{Amount: -down, Reason: "test"})
		}
		if err != nil {
			t.Errorf("moving credits: %v", err)
			return 0
		}
		if status = answer.StatusCode(); status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
			return status
		}
	}
}

// balances is the state of a family.
type balances struct{ parent, child int64 }

var accountModel = porcupine.Model{
	Partition: partition(func(in any) string { return in.(account).family.child }),
	Init:      func() any { return balances{parent: credits} },
	Step: func(state, in, out any) (bool, any) {
		s, asked, got := state.(balances), in.(account), out.(told)
		if asked.down == 0 {
			if asked.parent {
				return got.balance == s.parent, s
			}
			return got.balance == s.child, s
		}
		enough := asked.down <= s.parent && -asked.down <= s.child
		if got.refused || !enough {
			return got.refused && !enough, s
		}
		return true, balances{s.parent - asked.down, s.child + asked.down}
	},
}

// ---- pins ----

// pinning is one call that concerns where a stream is pinned.
type pinning struct {
	stream string
	// from is the ETag that a change names; empty: the pin is read.
	from, edge string
}

// pinned is the answer.
type pinned struct {
	refused    bool // what was read is no longer so
	etag, edge string
}

// pin reads where a stream is pinned, and pins it to another edge if nobody else has
// changed it meanwhile.
func (p *pair) pin(t *testing.T, hand int, stream string, random *rand.Rand) {
	ctx := t.Context()
	called := time.Now()
	read, err := p.any().GetStreamWithResponse(ctx, stream)
	if err != nil || read.JSON200 == nil {
		t.Errorf("reading a stream: %v", err)
		return
	}
	seen := pinned{etag: tag(read.HTTPResponse)}
	if edge := read.JSON200.Pin.Primary; edge != nil {
		seen.edge = *edge
	}
	p.note(&p.pins, hand, pinning{stream: stream}, seen, called)

	edge := []string{"edge-a", "edge-b"}[random.IntN(2)]
	called = time.Now()
	changed, err := p.any().PinStreamWithResponse(ctx, stream, &PinStreamParams{seen.etag}, Pin{Primary: &edge, Relays: []string{}})
	if err != nil {
		t.Errorf("pinning a stream: %v", err)
		return
	}
	in := pinning{stream: stream, from: seen.etag, edge: edge}
	switch changed.StatusCode() {
	case http.StatusOK:
		p.note(&p.pins, hand, in, pinned{etag: tag(changed.HTTPResponse)}, called)
	case http.StatusPreconditionFailed:
		p.count("pins")
		p.note(&p.pins, hand, in, pinned{refused: true}, called)
	default:
		t.Errorf("pinning a stream: %d %s", changed.StatusCode(), changed.Body)
	}
}

// register is the state of a stream's pin. Its first ETag is not known.
type register struct{ etag, edge string }

var pinModel = porcupine.Model{
	Partition: partition(func(in any) string { return in.(pinning).stream }),
	Init:      func() any { return register{} },
	Step: func(state, in, out any) (bool, any) {
		s, asked, got := state.(register), in.(pinning), out.(pinned)
		if asked.from == "" {
			return s.etag == "" && got.edge == "" || s == register{got.etag, got.edge}, register{got.etag, got.edge}
		}
		if got.refused {
			return asked.from != s.etag, s
		}
		return asked.from == s.etag && got.etag != s.etag, register{got.etag, asked.edge}
	},
}

// partition splits a history by what its operations concern: each part is judged alone.
func partition(of func(in any) string) func([]porcupine.Operation) [][]porcupine.Operation {
	return func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := make(map[string][]porcupine.Operation)
		for _, o := range history {
			parts[of(o.Input)] = append(parts[of(o.Input)], o)
		}
		return slices.Collect(maps.Values(parts))
	}
}

// judge holds what was told against the models.
func (p *pair) judge(t *testing.T) {
	t.Helper()
	for _, h := range []struct {
		name    string
		model   porcupine.Model
		history []porcupine.Operation
	}{{"credits", accountModel, p.accounts}, {"pins", pinModel, p.pins}} {
		if len(h.history) == 0 {
			t.Errorf("%s: nothing was asked", h.name)
		}
		if got := porcupine.CheckOperationsTimeout(h.model, h.history, time.Minute); got != porcupine.Ok {
			t.Errorf("%s: %d answers of two instances are %s, want as if there were one", h.name, len(h.history), got)
		}
	}
	t.Logf("figures: %d answers on credits, %d on pins; refused: %v", len(p.accounts), len(p.pins), p.refused)
	for _, what := range []string{"movements", "pins"} {
		if p.refused[what] == 0 {
			t.Errorf("no %s were refused: the test did not press hard enough", what)
		}
	}
}
