package faults

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/process"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// prisoner is a child that tries every way out that it knows, and says for each
// whether it worked. Its blanks are the state folder and a port where somebody listens.
const prisoner = `
try() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo "can $name" >&2; else echo "cannot $name" >&2; fi; }
dial() { try "connect to $1" bash -c "exec 3<>/dev/tcp/127.0.0.1/$2"; }
way=${http_proxy##*:}
try "read libraries" cat /usr/bin/env
try "read /etc/shadow" cat /etc/shadow
try "read /etc/passwd" cat /etc/passwd
try "list the state folder" ls '%[1]s'
try "read the state folder" cat '%[1]s/lock'
try "read the edge's environment" cat /proc/$PPID/environ
try "write to /dev/null" sh -c 'echo > /dev/null'
for folder in /tmp /var/tmp /dev/shm / '%[1]s' "$PWD"; do
	try "write to $folder" sh -c "echo > $folder/headrace-prisoner-$$ && rm $folder/headrace-prisoner-$$"
done
try "signal the edge" kill -0 $PPID
dial "its own port" "${way%%/}"
dial "another port" %[2]d
try "use a capability" renice -n -5 $$
sleep 0.2
exit 1`

// TestSandboxHolds checks on the real edge what a child that was taken over can do:
// nothing but what its source needs. The same child without a sandbox can do it all,
// or nothing would be shown.
func TestSandboxHolds(t *testing.T) {
	t.Parallel()
	const stream = "prisoner"
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	allowed := []string{"read libraries", "write to /dev/null", "connect to its own port"}
	for _, mode := range []ingest.SandboxMode{ingest.SandboxOff, ingest.SandboxAuto, ingest.SandboxRequire} {
		t.Run(string(mode), func(t *testing.T) {
			s := newStudio(t)
			feed := s.URL(s.feed(stream, origin.Recipe{}, origin.Options{}))
			state := t.TempDir()
			script := fmt.Sprintf(prisoner, state, other.Addr().(*net.TCPAddr).Port)
			n := edge.Start(t, edge.Config{
				Streams: []edge.Stream{edge.Copy(stream, feed)}, State: state, FFmpeg: unruly(t, stream, script),
				Options: []string{"sandbox " + string(mode)},
			})
			in := n.Health().Confinement
			if mode != ingest.SandboxOff && (in.Landlock == 0 || !slices.Contains(in.LandlockCovers, "tcp")) {
				t.Skipf("no Landlock here: %+v", in)
			}
			var said []string
			edge.Await(t, 30*time.Second, "the child to have tried all", func() bool {
				said = nil
				for _, l := range n.Stream(stream).Log {
					said = append(said, l.Text)
				}
				return slices.ContainsFunc(said, func(l string) bool { return strings.HasSuffix(l, "use a capability") })
			})
			tried := 0
			for _, line := range said {
				verb, what, _ := strings.Cut(line, " ")
				if verb != "can" && verb != "cannot" {
					continue
				}
				tried++
				want := mode == ingest.SandboxOff || slices.Contains(allowed, what)
				if (verb == "can") == want || mode == ingest.SandboxOff && os.Getuid() != 0 {
					continue // without a sandbox, only root can do it all
				}
				t.Errorf("sandbox %s: the child %s", mode, line)
			}
			if tried != 17 {
				t.Errorf("the child tried %d ways, want 17: %q", tried, said)
			}
		})
	}
}

// TestChildrenOfOtherUsersDieWithTheEdge checks that children that run under user ids
// of their own are told apart by them, and are gone when the edge is killed.
func TestChildrenOfOtherUsersDieWithTheEdge(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	streams := []edge.Stream{
		s.stream("s-users-1", origin.Recipe{}, origin.Options{}),
		s.stream("s-users-2", origin.Recipe{}, origin.Options{}),
		edge.Copy("s-users-3", "test:"),
	}
	n := edge.Start(t, edge.Config{Streams: streams, Options: []string{"sandbox auto"}})
	if in := n.Health().Confinement; !in.OwnUser {
		t.Skipf("children run under the edge's user here: %+v", in)
	}
	n.AwaitLive(60 * time.Second)
	children := n.Children()
	users := make(map[uint32]bool)
	for _, c := range children {
		var stat syscall.Stat_t
		if err := syscall.Stat(fmt.Sprintf("/proc/%d/task", c.PID), &stat); err != nil {
			t.Fatal(err)
		}
		if stat.Uid < process.UserBase {
			t.Errorf("child %d runs under user %d, want one of its own", c.PID, stat.Uid)
		}
		users[stat.Uid] = true
	}
	if len(children) != len(streams) || len(users) != len(streams) {
		t.Errorf("got %d children of %d users, want %d of each", len(children), len(users), len(streams))
	}
	began := time.Now()
	n.Kill()
	edge.Await(t, 10*time.Second, "the children to be gone", func() bool {
		return !slices.ContainsFunc(children, edge.Child.Alive)
	})
	took := time.Since(began)
	t.Logf("figures: %d children gone %v after kill -9 of the edge", len(children), took)
	if took > time.Second {
		t.Errorf("children were gone after %v, want at most 1 s", took)
	}
}

// TestCPUThrottlingIsTheReason checks that an encoder whose limit is far too low is
// seen to be throttled, and that this is the reason when it falls silent.
func TestCPUThrottlingIsTheReason(t *testing.T) {
	t.Parallel()
	n := edge.Start(t, edge.Config{
		Streams: []edge.Stream{edge.Copy("s-slow", "test:").With("rendition 1080p 4m")},
		Options: []string{"limits {\n\t\t\tcpu 0.02\n\t\t}"},
	})
	needLimits(t, n, "cpu")
	status := n.AwaitReason(90*time.Second, "s-slow", ingest.ReasonCPUThrottled)
	if status.Usage.ThrottledSeconds == 0 || status.Usage.CPUSeconds == 0 || n.Metrics().Sum("headrace_stream_cpu_throttled_seconds_total") == 0 {
		t.Errorf("got usage %+v, want what it used and how long it waited", status.Usage)
	}
	t.Logf("figures: restarts %v, usage %+v", status.Restarts, status.Usage)
}
