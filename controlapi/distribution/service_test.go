package distribution

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/snapshot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask serves one request of an edge.
func ask(s *Service, method, target, credential, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

const credential1 = "credential-of-edge-1"

// unpack undoes a content coding.
func unpack(t *testing.T, coding string, b []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(b)
	var err error
	switch coding {
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(r); err == nil {
			defer d.Close()
			r = d
		}
	case "gzip":
		r, err = gzip.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func TestSnapshotIsSentWhole(t *testing.T) {
	s := New(newFakeStore("edge-1"), Options{})
	for _, tt := range []struct{ accept, coding string }{
		{"zstd, gzip", "zstd"},
		{"gzip, ZSTD;q=0.5", "zstd"},
		{"zstd;q=0, gzip;q=1.0", "gzip"},
		{"gzip", "gzip"},
		{"br", ""},
		{"", ""},
	} {
		t.Run(tt.accept, func(t *testing.T) {
			w := ask(s, "GET", "/edge/v1/snapshot?have=0.0&wait=25s", credential1, "", "Accept-Encoding", tt.accept)
			if w.Code != 200 || w.Header().Get("Content-Encoding") != tt.coding {
				t.Fatalf("got %d in coding %q, want 200 in %q: %s", w.Code, w.Header().Get("Content-Encoding"), tt.coding, w.Body)
			}
			d, err := snapshot.Decode(unpack(t, tt.coding, w.Body.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if want := (snapshot.Version{Epoch: 1, Number: 1}); d.Name() != want || w.Header().Get(snapshot.VersionHeader) != want.String() || len(d.Streams) != 1 {
				t.Errorf("got %v with %d streams, header %s", d, len(d.Streams), w.Header().Get(snapshot.VersionHeader))
			}
			if got := w.Header().Get("ETag"); !strings.HasPrefix(got, `"1.1-`) || (tt.coding != "") != strings.HasSuffix(got, "-"+tt.coding+`"`) {
				t.Errorf("got ETag %s", got)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("got Cache-Control %q", got)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	store := newFakeStore("edge-1")
	s := New(store, Options{})
	good := `{"epoch":1,"version":1,"outcome":"applied","reason":"","health":{"state":"healthy","score":1}}`
	for _, tt := range []struct {
		name, method, target, credential, body string
		health                                 string
		status                                 int
		detail                                 string
	}{
		{"no credential", "GET", "/edge/v1/snapshot", "", "", "", 401, "not known"},
		{"unknown credential", "GET", "/edge/v1/snapshot", "x", "", "", 401, "not known"},
		{"no version", "GET", "/edge/v1/snapshot?have=x", credential1, "", "", 422, "have: a version is written"},
		{"two versions", "GET", "/edge/v1/snapshot?have=1.1&have=1.2", credential1, "", "", 422, "more than once"},
		{"endless wait", "GET", "/edge/v1/snapshot?wait=1h", credential1, "", "", 422, "wait: write a duration"},
		{"unknown parameter", "GET", "/edge/v1/snapshot?hav=1.1", credential1, "", "", 422, "no others"},
		{"no query", "GET", "/edge/v1/snapshot?%zz", credential1, "", "", 422, "cannot be read"},
		{"no health", "GET", "/edge/v1/snapshot?have=0.0", credential1, "", "{", 422, "no health report"},
		{"health out of bounds", "GET", "/edge/v1/snapshot?have=0.0", credential1, "", `{"score":1000}`, 422, "score"},
		{"a younger version than the database's", "GET", "/edge/v1/snapshot?have=1.9", credential1, "", "", 409, "controlapi restore"},
		{"an acknowledgement without a credential", "POST", "/edge/v1/ack", "", good, "", 401, "not known"},
		{"an acknowledgement that is none", "POST", "/edge/v1/ack", credential1, `{"outcome":"perhaps"}`, "", 422, "outcome"},
		{"no JSON", "POST", "/edge/v1/ack", credential1, `x`, "", 422, "JSON"},
		{"a large acknowledgement", "POST", "/edge/v1/ack", credential1, `{"reason":"` + strings.Repeat("x", maxAck) + `"}`, "", 413, "too large"},
		{"a wrong join code", "POST", "/edge/v1/join", "", `{"code":"hrj_bad"}`, "", 401, "join code"},
		{"no join code", "POST", "/edge/v1/join", "", `{}`, "", 401, "join code"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := ask(s, tt.method, tt.target, tt.credential, tt.body, snapshot.HealthHeader, tt.health)
			var p problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
			if w.Code != tt.status || p.Status != tt.status || !strings.Contains(p.Detail, tt.detail) || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %+v, want %d with %q", w.Code, p, tt.status, tt.detail)
			}
		})
	}
	if len(store.acks) != 0 {
		t.Errorf("a refused acknowledgement was recorded: %v", store.acks)
	}
}

func TestAckAndJoin(t *testing.T) {
	store := newFakeStore("edge-1")
	var heard snapshot.Health
	s := New(store, Options{Report: func(id string, _ snapshot.Version, h snapshot.Health) {
		if id == "edge-1" {
			heard = h
		}
	}})
	for _, tt := range []struct {
		body string
		want controlapi.Ack
	}{
		{`{"epoch":1,"version":4,"outcome":"applied","reason":"","health":{"state":"healthy","score":77},"new":1}`, controlapi.Ack{Epoch: 1, Version: 4}},
		{`{"epoch":1,"version":5,"outcome":"rejected","reason":"no encoder","health":{"state":"healthy","score":77}}`, controlapi.Ack{Epoch: 1, Version: 5, Rejected: "no encoder"}},
		{`{"epoch":1,"version":6,"outcome":"rejected","health":{"score":77}}`, controlapi.Ack{Epoch: 1, Version: 6, Rejected: "the edge gave no reason"}},
	} {
		if w := ask(s, "POST", "/edge/v1/ack", credential1, tt.body); w.Code != 204 {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		if got := store.acks["edge-1"]; got != tt.want || heard.Score != 77 {
			t.Errorf("got %+v and health %+v, want %+v", got, heard, tt.want)
		}
	}
	ask(s, "GET", "/edge/v1/snapshot?have=0.0", credential1, "", snapshot.HealthHeader, `{"state":"degraded","score":12}`)
	for name, want := range map[string]float64{
		"headrace_control_polls_held": 0, "headrace_control_snapshots_sent_total": 1,
		"headrace_control_snapshot_acks_total applied": 1, "headrace_control_snapshot_acks_total rejected": 2,
		"headrace_control_snapshot_builds_total built": 1, "headrace_control_snapshot_builds_total failed": 0,
		"headrace_control_config_version": 1,
	} {
		if got, there := series(t, s)[name]; !there || got != want {
			t.Errorf("%s: got %v (%v), want %v", name, got, there, want)
		}
	}
	if heard.Score != 12 {
		t.Errorf("with a poll: got health %+v", heard)
	}
	w := ask(s, "POST", "/edge/v1/join", "", `{"code":"hrj_good"}`)
	var joined snapshot.Joined
	if err := json.Unmarshal(w.Body.Bytes(), &joined); err != nil || w.Code != 200 {
		t.Fatalf("got %d %s, %v", w.Code, w.Body, err)
	}
	if want := (snapshot.Joined{EdgeID: "edge-1", Group: "default", Credential: "hre_secret"}); joined != want {
		t.Errorf("got %v, want %v", joined, want)
	}
}

// series are the values of a service's metrics, by name and outcome.
func series(t *testing.T, s *Service) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(s)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

// A hold ends with a change of this instance or of another one, with the time, with the
// credential, with the instance.
func TestHold(t *testing.T) {
	for _, tt := range []struct {
		name   string
		event  func(*fakeStore, *Service)
		status int
		within [2]time.Duration // after the poll began; the event comes after 10 s
	}{
		{"nothing", func(*fakeStore, *Service) {}, 304, [2]time.Duration{20 * time.Second, 30 * time.Second}},
		{"a change here", func(s *fakeStore, _ *Service) { s.change("sport", true) }, 200, [2]time.Duration{10 * time.Second, 10*time.Second + leastGap}},
		{"a change elsewhere", func(s *fakeStore, _ *Service) { s.change("sport", false) }, 200, [2]time.Duration{10 * time.Second, 11*time.Second + leastGap}},
		{"the credential ends", func(s *fakeStore, _ *Service) { s.revoke("edge-1") }, 401, [2]time.Duration{10 * time.Second, 14 * time.Second}},
		{"it ends with a change", func(s *fakeStore, _ *Service) { s.revoke("edge-1"); s.change("sport", false) }, 401, [2]time.Duration{10 * time.Second, 12 * time.Second}},
		{"the instance ends", func(_ *fakeStore, d *Service) { d.Close() }, 503, [2]time.Duration{10 * time.Second, 10 * time.Second}},
		{"the database is gone", func(s *fakeStore, _ *Service) {
			gone := controlapi.Errorf(controlapi.CodeUnavailable, "gone")
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ConfigVersionFn = func() (int64, int64, error) { return 0, 0, gone }
			s.AuthenticateFn = func() (controlapi.EdgeIdentity, error) { return controlapi.EdgeIdentity{}, gone }
		}, 304, [2]time.Duration{20 * time.Second, 30 * time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newFakeStore("edge-1")
				s := New(store, Options{})
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { s.Run(ctx) })
				defer running.Wait()
				defer cancel()
				synctest.Wait()

				began := time.Now()
				answer := make(chan *httptest.ResponseRecorder)
				running.Go(func() { answer <- ask(s, "GET", "/edge/v1/snapshot?have=1.1&wait=25s", credential1, "") })
				time.AfterFunc(10*time.Second, func() { tt.event(store, s) })
				w := <-answer
				took := time.Since(began)
				if w.Code != tt.status {
					t.Errorf("got %d %s, want %d", w.Code, w.Body, tt.status)
				}
				if took < tt.within[0] || took > tt.within[1] {
					t.Errorf("it took %s, want %s to %s", took, tt.within[0], tt.within[1])
				}
			})
		})
	}
}

// A hundred edges make one build, a failed one is not repeated for each of them, and an
// edge whose poll is given up does not spoil it for the others.
func TestBuiltOnce(t *testing.T) {
	store := newFakeStore("edge-1")
	release := make(chan struct{})
	var failing error
	store.DocumentFn = func(_ context.Context, group string) (*snapshot.Document, error) {
		d := store.document(group)
		<-release
		return d, failing
	}
	s := New(store, Options{})
	fetch := func(codes chan<- int) {
		codes <- ask(s, "GET", "/edge/v1/snapshot?have=0.0", credential1, "").Code
	}
	check := func(want int, builds int) {
		t.Helper()
		codes := make(chan int, 100)
		for range 20 {
			go fetch(codes)
		}
		for range 20 {
			if got := <-codes; got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		}
		if got := store.readsOf(store.version); got != builds {
			t.Errorf("got %d builds of %v, want %d", got, store.version, builds)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.builder.get(ctx, "default", store.version); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	check(200, 1)
	check(200, 1)

	failing = errors.New("the table is broken")
	store.change("sport", false)
	s.looked = time.Time{}
	if _, err := s.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(500, 1)
}

// What no edge could carry out is not sent to any.
func TestUnsoundDocumentIsNotSent(t *testing.T) {
	store := newFakeStore("edge-1")
	store.DocumentFn = func(_ context.Context, group string) (*snapshot.Document, error) {
		d := store.document(group)
		d.Streams[0].Primary = "edge-9"
		return d, nil
	}
	s := New(store, Options{})
	if w := ask(s, "GET", "/edge/v1/snapshot?have=0.0", credential1, ""); w.Code != 500 || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// The database went back while the service ran: edges that are ahead are told so, others
// are given what there is.
func TestDatabaseWentBack(t *testing.T) {
	store := newFakeStore("edge-1")
	store.version.Number = 9
	s := New(store, Options{})
	if w := ask(s, "GET", "/edge/v1/snapshot?have=1.8", credential1, ""); w.Code != 200 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	store.version.Number = 5
	s.looked = time.Time{}
	if w := ask(s, "GET", "/edge/v1/snapshot?have=1.10", credential1, ""); w.Code != 409 {
		t.Errorf("got %d %s, want 409", w.Code, w.Body)
	}
	w := ask(s, "GET", "/edge/v1/snapshot?have=1.4", credential1, "")
	if got := w.Header().Get(snapshot.VersionHeader); w.Code != http.StatusOK || got != "1.5" {
		t.Errorf("got %d, version %s, want 1.5", w.Code, got)
	}
}

// No more than so many downloads at once: whoever finds no place comes back.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(newFakeStore("edge-1"), Options{})
		for range downloads {
			s.places <- struct{}{}
		}
		began := time.Now()
		w := ask(s, "GET", "/edge/v1/snapshot?have=0.0", credential1, "")
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || time.Since(began) != placeWait {
			t.Errorf("got %d after %s: %s", w.Code, time.Since(began), w.Body)
		}
		time.AfterFunc(time.Second, func() { <-s.places })
		if w := ask(s, "GET", "/edge/v1/snapshot?have=0.0", credential1, ""); w.Code != 200 {
			t.Errorf("with a place after a second: got %d %s", w.Code, w.Body)
		}
	})
}
