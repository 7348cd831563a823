package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asProgram makes the test binary be the program.
const asProgram = "CONTROLAPI_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func program(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...) // not by t.Context: it ends before the cleanup that stops a server
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// result is what a command left.
type result struct {
	code     int
	out, err string
}

func command(t *testing.T, dir string, env []string, args ...string) result {
	t.Helper()
	cmd := program(t, dir, args...)
	cmd.Env = append(cmd.Env, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %v: %v", args, err)
	}
	return result{cmd.ProcessState.ExitCode(), strings.TrimSpace(out.String()), errs.String()}
}

// must runs a command that has to succeed and gives what it prints.
func must(t *testing.T, dir string, args ...string) string {
	t.Helper()
	got := command(t, dir, nil, args...)
	if got.code != exitOK {
		t.Fatalf("controlapi %v: exit code %d\n%s", args, got.code, got.err)
	}
	return got.out
}

// served is a control plane that serves.
type served struct {
	cmd         *exec.Cmd
	url         string
	fingerprint string
	client      *http.Client
	logged      *bytes.Buffer
	drained     chan struct{}
}

func serve(t *testing.T, dir string, args ...string) *served {
	t.Helper()
	cmd := program(t, dir, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &served{cmd: cmd, logged: &bytes.Buffer{}, drained: make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		defer close(s.drained)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			s.logged.WriteString(lines.Text() + "\n")
			var line struct{ Msg, URL, Fingerprint string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "control plane serves" {
				s.url, s.fingerprint = line.URL, line.Fingerprint
				close(ready)
			}
		}
	}()
	t.Cleanup(func() { s.stop(t) })
	select {
	case <-ready:
	case <-s.drained:
		t.Fatalf("it ended before it served:\n%s", s.logged)
	}
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection does it, as an edge would
		VerifyConnection: func(c tls.ConnectionState) error {
			if sum := sha256.Sum256(c.PeerCertificates[0].Raw); hex.EncodeToString(sum[:]) != s.fingerprint {
				return errors.New("another certificate than the fingerprint says")
			}
			return nil
		},
	}}}
	return s
}

// stop ends the program as an operator would, and wants it to end well.
func (s *served) stop(t *testing.T) {
	t.Helper()
	if s.cmd.ProcessState != nil {
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stopping: %v", err)
	}
	<-s.drained
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v:\n%s", err, s.logged)
	}
}

func (s *served) ask(t *testing.T, method, path, key, body string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", fmt.Sprintf("%x", sha256.Sum256([]byte(t.Name()+path+body))))
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%s %s: got %d %q", method, path, resp.StatusCode, text)
	}
	return resp.StatusCode, out
}

func TestFirstUse(t *testing.T) {
	dir := t.TempDir()
	key := must(t, dir, "init")
	if !strings.HasPrefix(key, "hrk_") || strings.ContainsAny(key, " \n") {
		t.Fatalf("init printed %q, want a key and nothing else", key)
	}
	if again := command(t, dir, nil, "init"); again.code != exitFailed || again.out != "" || !strings.Contains(again.err, "key create") {
		t.Errorf("init again: got %+v, want it refused with the remedy", again)
	}
	for _, file := range []string{"control.keys", "control.db"} {
		info, err := os.Stat(filepath.Join(dir, "data", file))
		if err != nil {
			t.Fatal(err)
		}
		if file == "control.keys" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, want 0600", file, info.Mode())
		}
	}
	s := serve(t, dir, "--listen", "127.0.0.1:0")
	status, me := s.ask(t, http.MethodGet, "/v1/me", key, "")
	if status != http.StatusOK || me["operator"] != true {
		t.Errorf("got %d %v, want the operator", status, me)
	}
	if status, _ := s.ask(t, http.MethodGet, "/edge/v1/snapshot", key, ""); status != http.StatusUnauthorized {
		t.Errorf("an API key for a snapshot: got %d, want 401", status)
	}
	s.stop(t)
	if strings.Contains(s.logged.String(), key) {
		t.Error("the log holds the key")
	}
	second := must(t, dir, "key", "create", "--name", "reader", "--permissions", "read", "--life", "1h")
	s = serve(t, dir, "serve", "--listen", "127.0.0.1:0")
	if status, _ := s.ask(t, http.MethodPost, "/v1/groups", second, `{"name":"x"}`); status != http.StatusForbidden {
		t.Errorf("a key that reads: got %d, want 403", status)
	}
}

func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	busy := serve(t, dir, "--listen", "127.0.0.1:0")
	address := strings.TrimPrefix(busy.url, "http://")
	for name, tt := range map[string]struct {
		env  []string
		args []string
		code int
		says string
	}{
		"unknown option":      {args: []string{"--databse", "x"}, code: exitUsage, says: "--databse"},
		"unknown command":     {args: []string{"sevre"}, code: exitUsage, says: "sevre"},
		"unknown subcommand":  {args: []string{"key", "make"}, code: exitUsage, says: "make"},
		"password in view":    {args: []string{"--database", "postgres://u:canary@h/d"}, code: exitUsage, says: "HEADRACE_DATABASE"},
		"no such permission":  {args: []string{"key", "create", "--name", "x", "--permissions", "all"}, code: exitUsage, says: "playback"},
		"level":               {env: []string{"HEADRACE_LOG_LEVEL=loud"}, args: []string{"serve"}, code: exitUsage, says: "debug"},
		"address":             {args: []string{"--listen", "8090"}, code: exitUsage, says: "0.0.0.0:8443"},
		"address in use":      {args: []string{"--listen", address}, code: exitFailed, says: "--listen"},
		"half a certificate":  {args: []string{"--tls-cert", "x"}, code: exitUsage, says: "--tls-key"},
		"limit":               {args: []string{"--limit-per-key", "0"}, code: exitUsage, says: "at least 1"},
		"proxy":               {args: []string{"--trusted-proxies", "10.0.0.0/99"}, code: exitUsage, says: "10.0.0.0/8"},
		"no backup":           {args: []string{"restore"}, code: exitUsage, says: "--from"},
		"backup is none":      {args: []string{"restore", "--from", "data/control.keys"}, code: exitFailed, says: "no SQLite database"},
		"database of another": {args: []string{"--database", "mysql://h/d", "init"}, code: exitFailed, says: "postgres"},
	} {
		t.Run(name, func(t *testing.T) {
			got := command(t, dir, tt.env, tt.args...)
			if got.code != tt.code || !strings.Contains(got.err, tt.says) || strings.Contains(got.err, "canary") {
				t.Errorf("got exit code %d and %q, want %d and words about %q", got.code, got.err, tt.code, tt.says)
			}
		})
	}
}

func TestBeyondLoopback(t *testing.T) {
	dir := t.TempDir()
	key := must(t, dir, "init")
	s := serve(t, dir, "--listen", "0.0.0.0:0")
	if !strings.HasPrefix(s.url, "https://") || len(s.fingerprint) != 64 {
		t.Fatalf("got %s with the fingerprint %q, want HTTPS with one of our own", s.url, s.fingerprint)
	}
	s.url = "https://127.0.0.1:" + s.url[strings.LastIndexByte(s.url, ':')+1:]
	_, edge := s.ask(t, http.MethodPost, "/v1/edges", key, `{"url":"https://e.example"}`)
	code, _ := edge["join_code"].(string)
	if !strings.HasSuffix(code, "."+s.fingerprint) {
		t.Errorf("the join code %q lacks the fingerprint", code)
	}
	if code := must(t, dir, "edge", "create", "--id", "e2", "--url", "https://e2.example"); !strings.HasSuffix(code, "."+s.fingerprint) {
		t.Errorf("edge create: the join code %q lacks the fingerprint", code)
	}
	before := s.fingerprint
	s.stop(t)
	if s = serve(t, dir, "--listen", "0.0.0.0:0"); s.fingerprint != before {
		t.Error("the next start made another certificate: edges would not know it")
	}
}

func TestBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	key := must(t, dir, "init")
	must(t, dir, "backup", "--to", "backup.db")
	if again := command(t, dir, nil, "backup", "--to", "backup.db"); again.code != exitFailed || !strings.Contains(again.err, "choose another name") {
		t.Errorf("a backup over a backup: got %+v, want it refused", again)
	}
	s := serve(t, dir, "--listen", "127.0.0.1:0")
	if status, _ := s.ask(t, http.MethodPost, "/v1/groups", key, `{"id":"late","name":"x"}`); status != http.StatusCreated {
		t.Fatalf("making a group: got %d", status)
	}
	s.stop(t)
	for _, want := range []string{"epoch 2", "epoch 3"} { // edges that saw epoch 2 must follow the second time, too
		if got := must(t, dir, "restore", "--from", "backup.db"); !strings.Contains(got, want) {
			t.Errorf("restore: got %q, want %s", got, want)
		}
	}
	s = serve(t, dir, "--listen", "127.0.0.1:0")
	if status, _ := s.ask(t, http.MethodGet, "/v1/groups/late", key, ""); status != http.StatusNotFound {
		t.Errorf("what came after the backup: got %d, want 404", status)
	}
	aside, err := filepath.Glob(filepath.Join(dir, "data", "control.db.2*"))
	if err != nil || len(aside) == 0 {
		t.Errorf("the database that was replaced is gone: %v, %v", aside, err)
	}
}

func TestRewrap(t *testing.T) {
	dir := t.TempDir()
	must(t, dir, "init")
	keys := filepath.Join(dir, "data", "control.keys")
	before, err := os.ReadFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	must(t, dir, "rewrap", "--new-key")
	if early := command(t, dir, nil, "rewrap", "--retire"); early.code != exitFailed {
		t.Errorf("retiring a key that seals secrets: got %+v, want it refused", early)
	}
	if got := must(t, dir, "rewrap"); !strings.HasPrefix(got, "0 ") {
		t.Errorf("after retiring was refused: got %q, want everything sealed anew by it", got)
	}
	must(t, dir, "rewrap", "--retire")
	after, err := os.ReadFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(after), "\n"); lines != strings.Count(string(before), "\n") || string(after) == string(before) {
		t.Errorf("the key file has %d lines afterwards, want one key, and another one", lines)
	}
	serve(t, dir, "--listen", "127.0.0.1:0")
}
