package ingest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/headrace/headrace/ingest/ffmpeg"
)

// detectTimeout bounds each question to FFmpeg at start-up.
const detectTimeout = 10 * time.Second

// detect finds the FFmpeg program and asks what it is and can do.
func detect(program string) (path string, build ffmpeg.Build, err error) {
	if program == "" {
		program = "ffmpeg"
	}
	path, err = exec.LookPath(program)
	if err != nil {
		return "", ffmpeg.Build{}, fmt.Errorf("finding FFmpeg: %w; install it (apt-get install ffmpeg) or name its path with the ffmpeg option", err)
	}
	var answers [3]string
	for i, question := range []string{"-version", "-encoders", "-filters"} {
		if answers[i], err = ask(path, question); err != nil {
			return path, ffmpeg.Build{}, fmt.Errorf("asking %s for %s: %w", path, question, err)
		}
	}
	build, err = ffmpeg.ParseBuild(answers[0], answers[1], answers[2])
	if err != nil {
		return path, build, fmt.Errorf("checking %s: %w", path, err)
	}
	return path, build, nil
}

func ask(path, question string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), detectTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "-hide_banner", question).Output()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "", fmt.Errorf("no answer within %s", detectTimeout)
	}
	return string(out), err
}
