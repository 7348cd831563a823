package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/keyring"
	"github.com/headrace/headrace/controlapi/sqlstore"
	"github.com/headrace/headrace/test/postgres"
)

// TestScenario12 kills Postgres under a hundred writes a second: what was acknowledged is
// there, what was not says that it is to be tried again, and writes succeed within 2 s of
// the database's return.
func TestScenario12(t *testing.T) {
	server, err := postgres.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	s := open(t, server.URL("postgres"), filepath.Join(t.TempDir(), "keys"))
	op := s.LocalOperator()
	r, err := s.CreateReseller(t.Context(), op, controlapi.ResellerCreate{Name: "reseller"})
	if err != nil {
		t.Fatal(err)
	}

	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		acked    = map[string]bool{}
		lastGood time.Time
		refused  int
		slowest  time.Duration
	)
	credit := func(key string) {
		began := time.Now()
		_, body, _, err := s.Idempotent(t.Context(), op, key, "f", func(ctx context.Context) (int, []byte, error) {
			m, err := s.Credit(ctx, op, controlapi.Movement{ResellerID: r.ID, Amount: 1, Reason: "scenario 12"})
			return 201, []byte(m.ID), err
		})
		mu.Lock()
		defer mu.Unlock()
		switch controlapi.CodeOf(err) {
		case "":
			acked[string(body)], lastGood = true, time.Now()
		case controlapi.CodeUnavailable, controlapi.CodeIdempotencyKeyInFlight:
			refused++
			slowest = max(slowest, time.Since(began))
		default:
			t.Errorf("got %v, want it to say that the database is not there", err)
		}
	}
	stop := make(chan struct{})
	wg.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
				wg.Go(func() { credit(fmt.Sprint(i)) })
			}
		}
	})
	good := func(since time.Time) bool {
		mu.Lock()
		defer mu.Unlock()
		return lastGood.After(since)
	}
	var longest time.Duration
	for range 3 {
		mu.Lock()
		more := len(acked) + 100
		mu.Unlock()
		await(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(acked) >= more })
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		before := refused
		mu.Unlock()
		await(t, func() bool { mu.Lock(); defer mu.Unlock(); return refused > before })
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		back := time.Now()
		await(t, func() bool { return good(back) })
		longest = max(longest, time.Since(back))
	}
	close(stop)
	wg.Wait()
	t.Logf("acknowledged: %d; refused: %d, the slowest after %v; writes again %v after the database was back", len(acked), refused, slowest, longest)
	if longest > 2*time.Second {
		t.Errorf("writes again after %v, want up to 2 s", longest)
	}
	checkAcked(t, s, r.ID, acked)
}

// await waits for a condition for up to 10 s.
func await(t *testing.T, condition func() bool) {
	t.Helper()
	for began := time.Now(); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("it did not come about within 10 s")
		}
	}
}

// checkAcked holds the ledger to what was acknowledged: all of it is there. What was not
// acknowledged may be there, too: nobody was told.
func checkAcked(t *testing.T, s *sqlstore.Store, account string, acked map[string]bool) {
	t.Helper()
	p, seen := controlapi.Page{Limit: controlapi.MaxPageLimit}, map[string]bool{}
	for {
		l, err := s.Ledger(t.Context(), s.LocalOperator(), account, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range l.Items {
			seen[line.TxID] = true
		}
		if p.After = l.Next; l.Next == "" {
			break
		}
	}
	for id := range acked {
		if !seen[id] {
			t.Errorf("movement %s was acknowledged and is lost", id)
		}
	}
	if len(acked) == 0 {
		t.Error("nothing was acknowledged")
	}
	for _, err := range []error{s.VerifyLedger(t.Context(), s.LocalOperator()), s.VerifyAudit(t.Context(), s.LocalOperator())} {
		if err != nil {
			t.Error(err)
		}
	}
}

func open(t *testing.T, database, keyFile string) *sqlstore.Store {
	t.Helper()
	keys, err := keyring.Open(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlstore.Open(t.Context(), database, keys, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// The environment of a child that moves credits until it is killed.
const (
	childDatabase = "HEADRACE_TEST_DATABASE"
	childKeys     = "HEADRACE_TEST_KEYS"
	childReseller = "HEADRACE_TEST_RESELLER"
)

// TestKilled kills an instance again and again in the middle of its work: what it
// acknowledged is there, and nothing is half done.
func TestKilled(t *testing.T) {
	if os.Getenv(childDatabase) != "" {
		t.Skip("this is the child")
	}
	for _, tt := range []struct {
		name     string
		database func(*testing.T) string
	}{
		{"sqlite", func(t *testing.T) string { return filepath.Join(t.TempDir(), "ledger.db") }},
		{"postgres", func(t *testing.T) string { return postgres.New(t) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			database, keys := tt.database(t), filepath.Join(t.TempDir(), "keys")
			s := open(t, database, keys)
			r, err := s.CreateReseller(t.Context(), s.LocalOperator(), controlapi.ResellerCreate{Name: "reseller"})
			if err != nil {
				t.Fatal(err)
			}
			acked := map[string]bool{}
			random := rand.New(rand.NewPCG(1, 2))
			for range 10 {
				runUntilKilled(t, []string{childDatabase + "=" + database, childKeys + "=" + keys, childReseller + "=" + r.ID}, 5+random.IntN(20), acked)
			}
			t.Logf("acknowledged by instances that were killed: %d", len(acked))
			checkAcked(t, s, r.ID, acked)
		})
	}
}

// runUntilKilled starts an instance, and kills it behind so many acknowledgements.
func runUntilKilled(t *testing.T, env []string, after int, acked map[string]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		if id, ok := strings.CutPrefix(lines.Text(), "acked "); ok {
			acked[id] = true
		}
		if i == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, _ = io.Copy(io.Discard, out)
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Errorf("the instance ended by itself: %v", err)
	}
}

// TestChild is the instance that TestKilled kills.
func TestChild(t *testing.T) {
	database := os.Getenv(childDatabase)
	if database == "" {
		t.Skip("this is for TestKilled")
	}
	s := open(t, database, os.Getenv(childKeys))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				m, err := s.Credit(context.Background(), s.LocalOperator(), controlapi.Movement{ResellerID: os.Getenv(childReseller), Amount: 1, Reason: "killed"})
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Println("acked", m.ID)
			}
		})
	}
	wg.Wait()
}
