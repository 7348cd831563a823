package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/source"
)

// detectTimeout bounds each question to FFmpeg at start-up.
const detectTimeout = 10 * time.Second

// job is the FFmpeg process that makes a stream from one of its sources on this
// machine.
func (h *childHost) job(s *StreamSpec, index int, at source.Place) ffmpeg.Job {
	job := s.job(index, at)
	job.Encoding.Hardware = h.hardware
	return job
}

// locate finds the FFmpeg program.
func locate(program string) (path string, err error) {
	if program == "" {
		program = "ffmpeg"
	}
	path, err = exec.LookPath(program)
	if err == nil {
		path, err = filepath.Abs(path) // children do not stand where the edge does
	}
	if err != nil {
		return "", fmt.Errorf("finding FFmpeg: %w; install it (apt-get install ffmpeg) or name its path with the ffmpeg option", err)
	}
	return path, nil
}

// programFile tells one version of a program from another.
type programFile struct {
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

func lookAt(path string) (programFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return programFile{}, fmt.Errorf("looking at FFmpeg: %w", err)
	}
	return programFile{Path: path, Size: info.Size(), Modified: info.ModTime().UTC()}, nil
}

// detected is what FFmpeg once answered, and of which file that is true.
type detected struct {
	programFile
	Answers [3]string `json:"answers"` // version, encoders, filters
}

// questions are what FFmpeg is asked at start-up.
var questions = [3]string{"-version", "-encoders", "-filters"}

// detect asks FFmpeg what it is and can do, or remembers: starting it three times
// takes a good part of the time that a restarted edge has. memory is the file that
// holds the answers; it only saves time, so that failing to use it is no error.
func detect(path, memory string) (ffmpeg.Build, error) {
	file, err := lookAt(path)
	if err != nil {
		return ffmpeg.Build{}, err
	}
	d := detected{programFile: file}
	if old, ok := remembered[detected](memory); ok && old.programFile == file {
		d = old
	} else {
		if d.Answers, err = askAll(path); err != nil {
			return ffmpeg.Build{}, err
		}
		remember(memory, d)
	}
	build, err := ffmpeg.ParseBuild(d.Answers[0], d.Answers[1], d.Answers[2])
	if err != nil {
		return build, fmt.Errorf("checking %s: %w", path, err)
	}
	return build, nil
}

// remembered reads what remember wrote to a file.
func remembered[T any](memory string) (v T, ok bool) {
	body, err := os.ReadFile(memory)
	if err != nil {
		return v, false
	}
	err = json.Unmarshal(body, &v)
	return v, err == nil
}

// remember writes down what would take time to find out again. Failing to is no error.
func remember[T any](memory string, v T) {
	if body, err := json.Marshal(v); err == nil {
		_ = os.WriteFile(memory, body, 0o600)
	}
}

// askAll asks all questions at once.
func askAll(path string) (answers [3]string, err error) {
	var all sync.WaitGroup
	var failed [3]error
	for i, question := range questions {
		all.Go(func() {
			if answers[i], failed[i] = ask(path, question); failed[i] != nil {
				failed[i] = fmt.Errorf("asking %s for %s: %w", path, question, failed[i])
			}
		})
	}
	all.Wait()
	return answers, errors.Join(failed[:]...)
}

// probe has FFmpeg encode a picture on the hardware: that a build has an encoder
// does not mean that this machine has what it needs.
func probe(path string, h ffmpeg.Hardware) error {
	if h.Kind == "" {
		return nil
	}
	_, err := ask(path, h.ProbeArgs()...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
		err = errors.New(lines[0])
	}
	if err != nil {
		return fmt.Errorf("hwaccel %s: FFmpeg cannot encode a picture with %s here: %w; see to the device and its driver, or leave hwaccel out", h.Kind, h.Encoder(), err)
	}
	return nil
}

func ask(path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), detectTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, append([]string{"-hide_banner"}, args...)...).Output()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "", fmt.Errorf("no answer within %s", detectTimeout)
	}
	return string(out), err
}
