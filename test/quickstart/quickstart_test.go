// Package quickstart runs `make run` as its user would: it is the first that anybody
// sees of the project.
package quickstart

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/test/control"
	"github.com/headrace/headrace/test/edge"
)

func TestMain(m *testing.M) {
	os.Exit(control.With(func() int { return edge.Main(m) }))
}

// run is one `make run`, without the make.
type run struct {
	t    *testing.T
	cmd  *exec.Cmd
	data string
	out  said
	done chan error
}

// said is what a program has said so far.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// facts is run.json.
type facts struct {
	Page      string            `json:"page"`
	Playlists map[string]string `json:"playlists"`
	API       string            `json:"api"`
	APIKey    string            `json:"api_key"`
	Admin     string            `json:"admin"`
	PIDs      map[string]int    `json:"pids"`
}

// start begins a run in a folder and waits until it is ready.
func start(t *testing.T, data string) *run {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("..", "..", "examples", "quickstart", "run.sh"))
	if err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, data: data, done: make(chan error, 1), cmd: exec.Command(script)}
	r.cmd.Env = append(os.Environ(), "DATA="+data, fmt.Sprint("PORT=", edge.ReservePort(t)), fmt.Sprint("API_PORT=", freePort(t)), "SOURCE=",
		"EDGE="+os.Getenv(edge.BinaryVariable), "CONTROLAPI="+os.Getenv(control.BinaryVariable))
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	// A group of its own, so that Ctrl-C reaches what it would reach in a shell.
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.done <- r.cmd.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) })
	r.await("run.json", 2*time.Minute, func() bool {
		_, err := os.Stat(filepath.Join(data, "run.json"))
		return err == nil
	})
	return r
}

// freePort finds a port that nobody has now. The control plane shares its port with
// nobody, so that it cannot be kept for it.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func (r *run) await(what string, limit time.Duration, holds func() bool) {
	r.t.Helper()
	end := time.Now().Add(limit)
	for ; !holds(); time.Sleep(50 * time.Millisecond) { // between two looks
		select {
		case err := <-r.done:
			r.t.Fatalf("make run ended: %v\n%s", err, r.out.String())
		default:
		}
		if time.Now().After(end) {
			r.t.Fatalf("waited %v for %s; make run said:\n%s", limit, what, r.out.String())
		}
	}
}

func (r *run) facts() (f facts) {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.data, "run.json"))
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

// interrupt is Ctrl-C: it returns when all has ended.
func (r *run) interrupt() {
	r.t.Helper()
	pids := r.facts().PIDs
	if err := syscall.Kill(-r.cmd.Process.Pid, syscall.SIGINT); err != nil {
		r.t.Fatal(err)
	}
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("make run ended with %v, want none; it said:\n%s", err, r.out.String())
		}
	case <-time.After(40 * time.Second):
		r.t.Fatalf("make run has not ended; it said:\n%s", r.out.String())
	}
	for name, pid := range pids {
		if lives(pid) {
			r.t.Errorf("%s, process %d, still runs", name, pid)
		}
	}
	if _, err := os.Stat(filepath.Join(r.data, "run.json")); !os.IsNotExist(err) {
		r.t.Errorf("run.json is still there: %v", err)
	}
}

// lives tells whether a process runs. One that is dead and not yet buried does not: who
// buries those whose parent has ended takes its time.
func lives(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" Z "))
}

func get(url, key string) (status int, body string) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

// media is the URL of a stream's first media playlist.
func (r *run) media(stream string) string {
	r.t.Helper()
	url := r.facts().Playlists[stream]
	status, body := get(url, "")
	for line := range strings.Lines(body) {
		if line = strings.TrimSpace(line); status == http.StatusOK && line != "" && !strings.HasPrefix(line, "#") {
			return strings.TrimSuffix(url, "index.m3u8") + line
		}
	}
	r.t.Fatalf("the playlist of %s: status %d, %q", stream, status, body)
	return ""
}

// TestMakeRun is the promise of the README: one command, and what dies does not take
// the other with it.
func TestMakeRun(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	r := start(t, data)
	f := r.facts()
	for what, url := range map[string]string{
		"the page": f.Page, "the player": f.Page + "player.js", "the API's document": f.API + "/openapi.json", "its documentation": f.API + "/docs",
		"the API": f.API + "/v1/users/demo", "the edge's admin API": f.Admin + "/edge/streams", "bars": f.Playlists["bars"], "ladder": f.Playlists["ladder"],
	} {
		key := ""
		if strings.HasPrefix(url, f.API) {
			key = f.APIKey
		}
		if status, body := get(url, key); status != http.StatusOK {
			t.Errorf("%s: status %d, %.200s", what, status, body)
		}
	}
	for _, name := range []string{"controlapi", "edge", "ffmpeg-bars", "ffmpeg-ladder"} {
		if f.PIDs[name] == 0 {
			t.Errorf("run.json has no process %s: %v", name, f.PIDs)
		}
	}
	t.Run("the reseller's integration", r.integration)
	t.Run("the control plane dies", r.loseControl)
	t.Run("the edge dies", r.loseEdge)
	r.interrupt()

	t.Run("and again in the same folder", func(t *testing.T) {
		again := start(t, data)
		if status, body := get(again.facts().Playlists["ladder"], ""); status != http.StatusOK {
			t.Errorf("ladder: status %d, %s", status, body)
		}
		again.interrupt()
	})
}

// loseControl checks that who watches goes on watching, that tokens stay good, and that
// changes flow again when the control plane is back.
func (r *run) loseControl(t *testing.T) {
	viewer := edge.Observe(t, r.media("bars"))
	if err := syscall.Kill(r.facts().PIDs["controlapi"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.await("the word that it has ended", 10*time.Second, func() bool {
		return strings.Contains(r.out.String(), "The controlapi has ended.") && strings.Contains(r.out.String(), "/start-controlapi")
	})
	for range 3 {
		if _, err := viewer.NewerThan(20*time.Second, 0); err != nil {
			t.Fatal(err)
		}
	}
	if status, body := get(r.facts().Playlists["ladder"], ""); status != http.StatusOK {
		t.Errorf("without the control plane a token is not good: status %d, %s", status, body)
	}
	r.bringBack(t, "controlapi")

	f := r.facts()
	r.suspend(t, true)
	r.await("the user's tokens to be refused", 20*time.Second, func() bool {
		status, _ := get(f.Playlists["ladder"], "")
		return status == http.StatusForbidden
	})
	r.suspend(t, false)
	r.await("the user's tokens to be good again", 20*time.Second, func() bool {
		status, _ := get(f.Playlists["ladder"], "")
		return status == http.StatusOK
	})
}

// loseEdge checks that the control plane goes on answering.
func (r *run) loseEdge(t *testing.T) {
	if err := syscall.Kill(r.facts().PIDs["edge"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.await("the word that it has ended", 10*time.Second, func() bool { return strings.Contains(r.out.String(), "The edge has ended.") })
	f := r.facts()
	if status, body := get(f.API+"/v1/users/demo", f.APIKey); status != http.StatusOK {
		t.Errorf("without the edge the control plane answers %d, %s", status, body)
	}
	r.bringBack(t, "edge")
	r.await("bars to play", 30*time.Second, func() bool {
		status, _ := get(f.Playlists["bars"], "")
		return status == http.StatusOK
	})
}

// bringBack does what make run says, in another shell.
func (r *run) bringBack(t *testing.T, name string) {
	t.Helper()
	before := r.facts().PIDs[name]
	if err := r.starter(t, name); err != nil {
		t.Fatal(err)
	}
	r.await("the word that it is back", 20*time.Second, func() bool {
		return strings.Contains(r.out.String(), "The "+name+" is back") && r.facts().PIDs[name] != before
	})
	if err := r.starter(t, name); err == nil {
		t.Errorf("a second start-%s is not refused", name)
	}
}

// starter runs what make run names. What it starts goes on to hold its output, which is
// therefore a file: a pipe would have to be read to its end.
func (r *run) starter(t *testing.T, name string) error {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(filepath.Join(r.data, "start-"+name))
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		words, _ := os.ReadFile(out.Name())
		return fmt.Errorf("start-%s: %w\n%s", name, err, words)
	}
	return nil
}

// suspend suspends the demo user or ends that.
func (r *run) suspend(t *testing.T, suspended bool) {
	t.Helper()
	f := r.facts()
	url := f.API + "/v1/users/demo"
	r.await("the control plane to answer", 20*time.Second, func() bool {
		status, _ := get(url, f.APIKey)
		return status == http.StatusOK
	})
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.APIKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if req, err = http.NewRequest(http.MethodPatch, url, strings.NewReader(fmt.Sprintf(`{"suspended": %v}`, suspended))); err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.APIKey)
	req.Header.Set("If-Match", res.Header.Get("ETag"))
	req.Header.Set("Content-Type", "application/json")
	if res, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		t.Fatalf("suspending: status %d, %s", res.StatusCode, text)
	}
}

// playURL is what the example prints of it.
var playURL = regexp.MustCompile(`(?m)^play: +(\S+)$`)

// integration runs the example of a reseller's own program, as the README prints it.
func (r *run) integration(t *testing.T) {
	f := r.facts()
	cmd := exec.Command(filepath.Join("..", "..", "examples", "reseller", "integrate.sh"))
	cmd.Env = append(os.Environ(), "API="+f.API, "API_KEY="+f.APIKey, "PLAN=demo", "STREAM=ladder")
	words, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, words)
	}
	url := playURL.FindSubmatch(words)
	if url == nil {
		t.Fatalf("it prints no URL to play:\n%s", words)
	}
	if status, body := get(string(url[1]), ""); status != http.StatusOK {
		t.Errorf("its URL: status %d, %s", status, body)
	}
}
