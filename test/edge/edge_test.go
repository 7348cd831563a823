package edge

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestReservedPortsAreOneNodesOwn(t *testing.T) {
	seen := make(map[int]bool)
	for range 50 {
		fd, port, err := reserve()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		if seen[port] {
			t.Fatalf("port %d was given twice", port)
		}
		seen[port] = true
	}
}

func TestParseMetrics(t *testing.T) {
	got, err := parseMetrics([]byte("# HELP a_total x\na_total{stream=\"s\",reason=\"a b\"} 3\na_total{stream=\"t\"} 4\nb 1.5e+06\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Metrics{`a_total{stream="s",reason="a b"}`: 3, `a_total{stream="t"}`: 4, "b": 1.5e6}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := got.Sum("a_total"); got != 7 {
		t.Errorf("got the sum %g, want 7", got)
	}
	if _, err := parseMetrics([]byte("a x\n")); err == nil {
		t.Error("a sample that is no number: got no error")
	}
}

// list is a playlist whose newest segment has these numbers.
func list(msn int64, broken bool) string {
	tag := ""
	if broken {
		tag = "#EXT-X-DISCONTINUITY\n"
	}
	return fmt.Sprintf("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:7\n#EXTINF:2.000,\n%d.ts\n%s#EXTINF:2.000,\n%d.ts\n", msn-1, msn-1, tag, msn)
}

func TestObserverSeesWhatChanges(t *testing.T) {
	var text atomic.Pointer[string]
	show := func(s string) { text.Store(&s) }
	show(list(10, false))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if s := *text.Load(); s != "" {
			_, _ = w.Write([]byte(s))
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	o := Observe(t, server.URL)

	first, err := o.NewerThan(5*time.Second, 9)
	if err != nil || first.MSN != 10 || first.Discontinuity != 7 {
		t.Fatalf("got %+v, %v; want number 10, discontinuity 7", first, err)
	}
	if _, err := o.Beyond(50*time.Millisecond, 7); !errors.Is(err, ErrUnseen) {
		t.Errorf("got %v, want %v", err, ErrUnseen)
	}
	show(list(11, true))
	seam, err := o.Beyond(5*time.Second, 7)
	if err != nil || seam.MSN != 11 || seam.Discontinuity != 8 || !seam.At.After(first.At) {
		t.Errorf("got %+v, %v; want number 11, discontinuity 8", seam, err)
	}
	show(list(12, false)) // the seam left the end of the list: the first sight counts
	if _, err := o.NewerThan(5*time.Second, 11); err != nil {
		t.Fatal(err)
	}
	if again, err := o.Beyond(time.Second, 7); err != nil || again != seam {
		t.Errorf("got %+v, %v; want what was seen first, %+v", again, err, seam)
	}
	show("")
	Await(t, 5*time.Second, "a 503", func() bool {
		statuses, _ := o.Statuses()
		return statuses[http.StatusServiceUnavailable] > 0
	})
}

func TestChildIsKnownByItsStart(t *testing.T) {
	self, ok := Find(os.Getpid())
	if !ok || !self.Alive() {
		t.Fatal("this process does not run")
	}
	other := Child{PID: self.PID, start: "1"}
	if other.Alive() {
		t.Error("a process of the same id and another start counts as alive")
	}
	if err := other.Signal(syscall.SIGKILL); err == nil {
		t.Error("another process of the same id would have been killed")
	}
}
