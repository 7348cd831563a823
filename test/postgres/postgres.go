// Package postgres starts a real, private Postgres for tests: one cluster per test
// binary, in a folder of its own, reached by a socket in it; a fresh database per test.
package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a running cluster.
type Server struct {
	folder string
	stdin  io.WriteCloser // closing it stops the cluster, also when this process is killed
	done   chan error
}

var (
	once   sync.Once
	shared *Server
	errRun error
)

// Main runs the tests of a package and stops the cluster that they shared. Call it from TestMain.
func Main(m *testing.M) { os.Exit(With(m.Run)) }

// With is Main for those who have more to prepare: it gives the exit code.
func With(run func() int) int {
	defer func() {
		if shared != nil {
			shared.Stop()
		}
	}()
	return run()
}

// New gives the URL of a fresh database in the cluster that the tests of this binary
// share; it is dropped when the test ends. The package's TestMain must call Main or With.
func New(t testing.TB) string {
	t.Helper()
	once.Do(func() { shared, errRun = Start() })
	if errRun != nil {
		t.Fatalf("starting Postgres: %v", errRun)
	}
	name := "test_" + randomName()
	if err := shared.execute(`CREATE DATABASE ` + name); err != nil {
		t.Fatalf("making a database: %v", err)
	}
	t.Cleanup(func() {
		if err := shared.execute(`DROP DATABASE IF EXISTS ` + name + ` WITH (FORCE)`); err != nil {
			t.Errorf("dropping a database: %v", err)
		}
	})
	return shared.URL(name)
}

// supervisor starts Postgres at each line of its standard input, and takes everything
// away when that ends: so nothing is left behind even if the test binary is killed. A
// crash of the machine is not what is tested, so nothing waits for the disk.
const supervisor = `
bin=$1 folder=$2; shift 2
"$@" "$bin/initdb" -D "$folder/data" -U test -A trust -E UTF8 --locale-provider=icu --icu-locale=en --locale=C.UTF-8 --no-sync >"$folder/log" 2>&1 || exit 3
while read -r line; do
	"$@" "$bin/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c fsync=off -c full_page_writes=off \
		-c max_connections=200 -c shared_buffers=64MB -c autovacuum=off -c log_min_messages=warning >>"$folder/log" 2>&1 </dev/null &
done
if pid=$(head -n 1 "$folder/data/postmaster.pid" 2>/dev/null); then
	kill -QUIT "$pid" 2>/dev/null
fi
wait
rm -rf "$folder"
`

// Start starts a cluster of its own, for a test that kills it for one.
func Start() (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "headrace-pg")
	if err != nil {
		return nil, err
	}
	args := []string{"-c", supervisor, "sh", bin, folder}
	if os.Getuid() == 0 {
		// Postgres refuses to be root.
		if err := os.Chown(folder, nobody, nobody); err != nil {
			return nil, err
		}
		args = append(args, "setpriv", "--reuid", strconv.Itoa(nobody), "--regid", strconv.Itoa(nobody), "--clear-groups")
	}
	cmd := exec.Command("sh", args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &Server{folder: folder, stdin: stdin, done: make(chan error, 1)}
	go func() { s.done <- cmd.Wait() }()
	return s, s.Restart()
}

// Kill kills the cluster as if the machine had, and returns when it is gone.
func (s *Server) Kill() error {
	text, err := os.ReadFile(filepath.Join(s.folder, "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// Restart starts the cluster, and returns when it answers.
func (s *Server) Restart() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		// It refuses to start while processes of the one before still go away.
		if _, err := io.WriteString(s.stdin, "start\n"); err != nil {
			return err
		}
		started := time.Now()
		for time.Since(started) < time.Second {
			c, err := pgx.Connect(ctx, s.URL("postgres"))
			if err == nil {
				return c.Close(ctx)
			}
			if ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}
			select {
			case <-s.done:
				log, _ := os.ReadFile(filepath.Join(s.folder, "log"))
				return fmt.Errorf("postgres ended: %s", log)
			case <-time.After(20 * time.Millisecond): // it tells nobody when it is ready
			}
		}
	}
}

const nobody = 65534

// Stop stops the cluster and takes its folder away.
func (s *Server) Stop() {
	_ = s.stdin.Close()
	<-s.done
}

// URL names a database of the cluster.
func (s *Server) URL(database string) string {
	return "postgres://test@/" + database + "?host=" + url.QueryEscape(s.folder) + "&sslmode=disable"
}

func (s *Server) execute(statement string) error {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, statement)
	return errors.Join(err, c.Close(ctx))
}

// binaries finds initdb: Debian keeps it out of the PATH.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	sort.Slice(found, func(i, j int) bool { return major(found[i]) > major(found[j]) })
	if len(found) == 0 {
		return "", errors.New("initdb is not here; run test/need.sh initdb")
	}
	return filepath.Dir(found[0]), nil
}

func major(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4])
	return n
}

func randomName() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
