package follower

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headrace/headrace/controlapi/snapshot"
)

func TestMain(m *testing.M) {
	if os.Getenv(writer) != "" {
		writeForEver(".")
	}
	goleak.VerifyTestMain(m)
}

const (
	credential = "hre_12345678_canarycanarycanarycanarycanarycanarycana"
	secret     = "canary-00000000000000000000000000"
)

// testDocument is a good one for edge-1 of the group default.
func testDocument(number int64, change ...func(*snapshot.Document)) *snapshot.Document {
	d := &snapshot.Document{
		Epoch: 1, Version: number, IssuedAt: 1_790_000_000, Group: "default", Edges: []snapshot.Edge{{ID: "edge-1"}},
		Keys:   []snapshot.Key{{Reseller: "r1", KeyID: "k1", Secret: secret}},
		Grants: map[string]snapshot.Grant{"r1": {Show: []string{"news"}}},
		Streams: []snapshot.Stream{{
			ID: "news", Primary: "edge-1", Sources: []string{"test:"}, Renditions: []snapshot.Rendition{{Name: "source", Copy: true}},
			SegmentSeconds: 2, LongestGOPSeconds: 2, Window: 8,
		}},
	}
	for _, c := range change {
		c(d)
	}
	return d
}

func encode(t testing.TB, d *snapshot.Document) []byte {
	t.Helper()
	b, err := snapshot.Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func version(number int64) snapshot.Version { return snapshot.Version{Epoch: 1, Number: number} }

// tokenFile writes a credential down as `edge join` does.
func tokenFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "edge.token")
	if err := os.WriteFile(path, []byte(credential+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func archive(t testing.TB) *Archive {
	t.Helper()
	a, err := OpenArchive(filepath.Join(t.TempDir(), "snapshots"))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// edge is what a follower serves in a test.
type edge struct {
	mu      sync.Mutex
	applied []snapshot.Version
	refuse  error // what Apply answers
}

func (e *edge) apply(d *snapshot.Document) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refuse != nil {
		return e.refuse
	}
	e.applied = append(e.applied, d.Name())
	return nil
}

func (e *edge) versions() []snapshot.Version {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]snapshot.Version(nil), e.applied...)
}

func (e *edge) setRefuse(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refuse = err
}

func newFollower(t testing.TB, c Control, a *Archive, e *edge) *Follower {
	t.Helper()
	if c.TokenFile == "" {
		c.TokenFile = tokenFile(t)
	}
	f, err := New(Options{
		Control: c, EdgeID: "edge-1", Group: "default", Archive: a, Apply: e.apply,
		Health: func() snapshot.Health { return snapshot.Health{State: "healthy", Score: 91} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// run follows until the end of the test, or until stop is called.
func run(t testing.TB, f *Follower) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		f.Run(ctx)
		close(done)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// until waits for a condition, twenty seconds at most.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("never happened: %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// control is a control plane that says what a test wants. It serves real HTTPS.
type control struct {
	*httptest.Server
	mu       sync.Mutex
	answer   func(w http.ResponseWriter, r *http.Request) // to polls
	ackCode  int
	acks     []string
	polls    []string // their queries
	bearers  []string
	healths  []string
	released chan struct{}
}

func newControl(t testing.TB, answer func(http.ResponseWriter, *http.Request)) *control {
	t.Helper()
	c := &control{answer: answer, released: make(chan struct{}), ackCode: http.StatusNoContent}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /edge/v1/snapshot", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.polls = append(c.polls, r.URL.RawQuery)
		c.bearers = append(c.bearers, r.Header.Get("Authorization"))
		c.healths = append(c.healths, r.Header.Get(snapshot.HealthHeader))
		answer := c.answer
		c.mu.Unlock()
		answer(w, r)
	})
	mux.HandleFunc("POST /edge/v1/ack", func(w http.ResponseWriter, r *http.Request) {
		var b strings.Builder
		_, _ = fmt.Fprint(&b, readAll(r))
		c.mu.Lock()
		defer c.mu.Unlock()
		c.acks = append(c.acks, b.String())
		w.WriteHeader(c.ackCode)
	})
	c.Server = httptest.NewUnstartedServer(mux)
	c.Config.ErrorLog = nil
	c.StartTLS()
	t.Cleanup(func() {
		close(c.released)
		c.Close()
	})
	return c
}

func readAll(r *http.Request) string {
	var b strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := r.Body.Read(buffer)
		b.Write(buffer[:n])
		if err != nil {
			return b.String()
		}
	}
}

// hold is an answer that does not come.
func (c *control) hold(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-c.released:
	}
}

// once answers the first poll with octets and holds the others.
func (c *control) once(octets []byte) func(http.ResponseWriter, *http.Request) {
	first := true
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		now := first
		first = false
		c.mu.Unlock()
		if !now {
			c.hold(w, r)
			return
		}
		w.Header().Set(snapshot.VersionHeader, "1.7")
		_, _ = w.Write(octets)
	}
}

func (c *control) say(answer func(http.ResponseWriter, *http.Request)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

func (c *control) heard() (acks, polls []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(acks, c.acks...), append(polls, c.polls...)
}

// at is how an edge finds the test's control plane.
func (c *control) at() Control {
	return Control{URL: c.URL, Fingerprint: snapshot.FingerprintOf(c.Certificate())}
}

var errTest = errors.New("no encoder for stream \"news\"")

// conditional answers as a control plane does: with octets, which are version 1.7, to
// whoever does not have that, else with 304 after the wait that was asked for.
func conditional(c *control, octets []byte) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("have") != "1.7" {
			_, _ = w.Write(octets)
			return
		}
		wait, _ := time.ParseDuration(r.URL.Query().Get("wait"))
		select {
		case <-time.After(wait):
			w.WriteHeader(http.StatusNotModified)
		case <-r.Context().Done():
		case <-c.released:
		}
	}
}
