package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roleEnv makes the test binary play a child (or the parent of one) instead of running tests.
const roleEnv = "PROCESS_TEST_ROLE"

var roles = map[string]func() int{
	"long line": longLine,
	"flood":     flood,
	"escapee":   escapee,
	"edge":      edge,
	"defector":  defector,
	"stubborn":  stubborn,
}

func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv(roleEnv)]; ok {
		os.Exit(role())
	}
	goleak.VerifyTestMain(m)
}

// play returns the spec of a child that plays a role.
func play(role string) Spec {
	return Spec{Path: os.Args[0], Env: []string{roleEnv + "=" + role}, Name: role}
}

// shell returns the spec of a child that runs a script.
func shell(script string) Spec {
	return Spec{Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Name: "test"}
}

// start starts a child that the test's end kills, whatever happens.
func start(t *testing.T, spec Spec) *Child {
	t.Helper()
	c, err := Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Warning(); err != nil {
		t.Errorf("Warning() = %v, want none", err)
	}
	t.Cleanup(func() {
		c.Kill()
		<-c.Done()
		closeAll(c.pipes)
	})
	return c
}

// await fails the test if the child is not done in time.
func await(t *testing.T, c *Child, limit time.Duration) Exit {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(limit):
		t.Fatalf("child %d still runs after %v", c.PID(), limit)
	}
	return c.Exit()
}

// poll waits until a condition holds, and fails the test if that takes too long.
func poll(t *testing.T, what string, limit time.Duration, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Since(began) > limit {
			t.Fatalf("%s: not so after %v", what, limit)
		}
		<-tick.C
	}
	return time.Since(began)
}

// firstLine waits for a child's first line.
func firstLine(t *testing.T, c *Child) string {
	t.Helper()
	poll(t, "child has written a line", 10*time.Second, func() bool { return len(c.Lines()) > 0 })
	return c.Lines()[0].Text
}

func texts(lines []Line) []string {
	all := make([]string, 0, len(lines))
	for _, l := range lines {
		all = append(all, l.Text)
	}
	return all
}

const longLineSize = 10 << 20

// longLine writes one line of 10 MiB and a short one.
func longLine() int {
	chunk := strings.Repeat("x", 1<<20)
	for range longLineSize / len(chunk) {
		if _, err := io.WriteString(os.Stderr, chunk); err != nil {
			return 1
		}
	}
	fmt.Fprintln(os.Stderr, "\nafter")
	return 0
}

const (
	floodRate = 100 << 20 // bytes per second
	floodTime = time.Second
)

// flood writes short lines to stderr at floodRate and reports the bytes and the slowest write on fd 3.
func flood() int {
	block := []byte(strings.Repeat("[warning] packet corrupt (stream = 0, dts = 123456789).\n", 1024))
	var slowest time.Duration
	began, written := time.Now(), 0
	for time.Since(began) < floodTime {
		ahead := time.Duration(written)*time.Second/floodRate - time.Since(began)
		if ahead > 0 {
			time.Sleep(ahead) // paces the source; nothing waits for it
		}
		before := time.Now()
		n, err := os.Stderr.Write(block)
		if err != nil {
			return 1
		}
		slowest = max(slowest, time.Since(before))
		written += n
	}
	fmt.Fprintln(os.NewFile(3, "report"), written, slowest.Microseconds())
	return 0
}

// escapee leaves a process behind that is out of the group and holds stderr open.
func escapee() int {
	cmd := exec.Command("/bin/sleep", "60")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 1
	}
	fmt.Println(cmd.Process.Pid)
	return 0
}

// defector leaves its process group for that of its parent, and lives on.
func defector() int {
	group, err := syscall.Getpgid(os.Getppid())
	if err != nil || syscall.Setpgid(0, group) != nil {
		return 1
	}
	fmt.Println("moved")
	<-time.After(time.Minute) // longer than any test waits
	return 2
}

// stubborn says when it gets a SIGTERM, and goes on.
func stubborn() int {
	told := make(chan os.Signal, 16)
	signal.Notify(told, syscall.SIGTERM)
	fmt.Println("ready")
	for range told {
		fmt.Println("told")
	}
	return 0
}

// edge is a parent: it starts a child, tells its pid, and waits to be killed.
func edge() int {
	c, err := Start(Spec{Path: "/bin/sleep", Args: []string{"60"}, Records: os.Getenv("RECORDS")})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(c.PID())
	<-c.Done()
	return 0
}

// scanLine reads one line of a helper's output.
func scanLine(r io.Reader) string {
	s := bufio.NewScanner(r)
	s.Scan()
	return s.Text()
}
