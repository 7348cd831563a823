package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
)

// document is the API's, as it is in version control.
const document = "../../controlapi/openapi.json"

// program is the path of controlapi: CONTROLAPI in the environment, or built here.
var program = sync.OnceValues(func() (string, error) {
	if given := os.Getenv("CONTROLAPI"); given != "" {
		return filepath.Abs(given)
	}
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "controlapi")
	build := exec.Command("go", "build", "-o", file, "./controlapi/cmd/controlapi")
	build.Dir = "../.."
	build.Stderr = os.Stderr
	return file, build.Run()
})

// control is a control plane that runs, and the operator's key.
type control struct {
	url, key string
}

// start runs a control plane of its own: its database is new.
func start(t *testing.T) control {
	t.Helper()
	file, err := program()
	if err != nil {
		t.Fatalf("building controlapi: %v", err)
	}
	dir := t.TempDir()
	first := exec.Command(file, "init")
	first.Dir = dir
	out, err := first.Output()
	if err != nil {
		t.Fatalf("controlapi init: %v", err)
	}
	return control{run(t, file, dir), strings.TrimSpace(string(out))}
}

// run serves until the test ends, and gives the URL.
func run(t *testing.T, file, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(file, append([]string{"--listen", "127.0.0.1:0"}, args...)...)
	cmd.Dir = dir
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url, ended := make(chan string, 1), make(chan struct{})
	var logged bytes.Buffer
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			logged.WriteString(lines.Text() + "\n")
			var line struct{ Level, Msg, URL string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "control plane serves" {
				url <- line.URL
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("controlapi ended with %v:\n%s", err, &logged)
		}
		if t.Failed() {
			t.Logf("log of controlapi:\n%s", &logged)
		}
	})
	select {
	case u := <-url:
		return u
	case <-ended:
		t.Fatalf("controlapi ended before it served:\n%s", &logged)
		return ""
	}
}

// judge is a transport that holds every answer to the document.
type judge struct {
	t         *testing.T
	key       string
	validator validator.Validator
	// served counts the successes of each operation: "GET /v1/me".
	mu     sync.Mutex
	served map[string]int
}

func newJudge(t *testing.T, key string) *judge {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatalf("reading the document: %v", err)
	}
	v, errs := validator.NewValidator(parsed)
	if len(errs) > 0 {
		t.Fatalf("the document: %v", errs)
	}
	if ok, faults := v.ValidateDocument(); !ok {
		for _, f := range faults {
			t.Errorf("the document: %s: %s", f.Message, f.Reason)
		}
	}
	return &judge{t: t, key: key, validator: v, served: make(map[string]int)}
}

// RoundTrip sends a request with the key, and judges the answer.
func (j *judge) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+j.key)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	j.mu.Lock()
	ok, faults := j.validator.ValidateHttpResponse(r, resp)
	j.mu.Unlock()
	if !ok {
		for _, f := range faults {
			j.t.Errorf("%s %s: %d %s\n%s: %s", r.Method, r.URL.Path, resp.StatusCode, body, f.Message, f.Reason)
		}
	}
	if resp.StatusCode >= http.StatusInternalServerError && resp.StatusCode != http.StatusServiceUnavailable {
		j.t.Errorf("%s %s: %d %s", r.Method, r.URL.Path, resp.StatusCode, body)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	j.note(r, resp.StatusCode)
	return resp, nil
}

func (j *judge) note(r *http.Request, status int) {
	if status/100 != 2 {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.served[r.Method+" "+r.URL.Path]++
}
