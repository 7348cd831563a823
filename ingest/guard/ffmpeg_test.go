package guard

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/source"
)

// packaged makes four seconds of HLS, or of MPEG-TS, in a folder, with FFmpeg.
func packaged(t *testing.T, options ...string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "key"), []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "keyinfo"), []byte("key\n"+filepath.Join(folder, "key")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{
		"-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x90:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "4",
		"-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac",
	}, options...)
	cmd := exec.Command("ffmpeg", args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("packaging: %v\n%s", err, out)
	}
	return folder
}

// run has FFmpeg read a source through a proxy, as a child of the edge does, and
// gives the media and the lines that it wrote.
func run(t *testing.T, text string) (out []byte, lines, argv string) {
	t.Helper()
	src, err := source.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(loopback).Open(src.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	job := ffmpeg.Job{Input: src.Input(source.Place{Stream: "news"}), Renditions: []ffmpeg.Rendition{{Name: "source", Copy: true}}}
	cmd := exec.CommandContext(t.Context(), "ffmpeg", job.Args()...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", p.Environment()}
	var words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &words, &words
	progress, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = progress.Close() }()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	cmd.ExtraFiles = []*os.File{progress, w}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	out, err = io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("FFmpeg: %v\n%s", err, &words)
	}
	if failure, _ := p.Failure(); failure != nil {
		t.Errorf("the guard: %v", failure)
	}
	return out, words.String(), strings.Join(cmd.Args, " ")
}

// TestFFmpegReadsThroughProxy checks every kind of http source that an edge takes
// with the real program: what it gets is whole, and its arguments tell nothing.
func TestFFmpegReadsThroughProxy(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		options    []string
	}{
		{"MPEG-TS", "/hunter2/live.ts", []string{"-f", "mpegts", "live.ts"}},
		{"HLS", "/hunter2/index.m3u8", []string{"-f", "hls", "-hls_time", "1", "-hls_list_size", "0", "index.m3u8"}},
		{"HLS in fMP4", "/hunter2/index.m3u8", []string{"-f", "hls", "-hls_time", "1", "-hls_list_size", "0", "-hls_segment_type", "fmp4", "index.m3u8"}},
		{"HLS with AES-128", "/hunter2/index.m3u8", []string{"-f", "hls", "-hls_time", "1", "-hls_list_size", "0", "-hls_key_info_file", "keyinfo", "index.m3u8"}},
		{"HLS of one file", "/hunter2/index.m3u8", []string{"-f", "hls", "-hls_time", "1", "-hls_list_size", "0", "-hls_flags", "single_file", "index.m3u8"}},
		{"multivariant HLS", "/hunter2/main.m3u8", []string{"-f", "hls", "-hls_time", "1", "-hls_list_size", "0", "-master_pl_name", "main.m3u8", "index.m3u8"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			folder := packaged(t, tt.options...)
			files := http.StripPrefix("/hunter2/", http.FileServer(http.Dir(folder)))
			origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if user, password, _ := r.BasicAuth(); user != "u" || password != "hunter2" {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				files.ServeHTTP(w, r)
			})
			out, lines, argv := run(t, strings.Replace(origin.URL, "http://", "http://u:hunter2@", 1)+tt.path+"?key=hunter2")
			if len(out) < 30_000 || bytes.Count(out, []byte("\x00\x00\x01\xe0")) < 95 {
				t.Errorf("got %d bytes with %d pictures, want 100", len(out), bytes.Count(out, []byte("\x00\x00\x01\xe0")))
			}
			if strings.Contains(lines, "not been used") || strings.Contains(lines, "whitelist") || strings.Contains(lines, "[error]") {
				t.Errorf("FFmpeg complains:\n%s", lines)
			}
			if strings.Contains(argv, "hunter2") || strings.Contains(argv, "127.0.0.1") {
				t.Errorf("the arguments tell where the source is: %s", argv)
			}
			t.Logf("%d bytes; FFmpeg said: %s", len(out), lines)
		})
	}
}
