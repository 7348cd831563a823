package faults

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/encoder"
)

// pushed is a node that encoders push to.
type pushed struct {
	*edge.Node
	t    *testing.T
	port int
}

// startPushed starts a node with an rtmp port; lines stand in its block.
func startPushed(t *testing.T, streams []edge.Stream, lines ...string) pushed {
	t.Helper()
	port := edge.ReservePort(t)
	option := fmt.Sprintf("rtmp 127.0.0.1:%d", port)
	if len(lines) > 0 {
		option += " {\n\t\t\t" + strings.Join(lines, "\n\t\t\t") + "\n\t\t}"
	}
	return pushed{edge.Start(t, edge.Config{Streams: streams, Options: []string{option}}), t, port}
}

// claims are those of an encoder of one stream, for an hour.
func (p pushed) claims(stream string) token.Claims {
	c := edge.Claims(stream)
	c.User, c.Operation = "encoder", token.Publish
	return c
}

// place is where a stream is published, with a token of these claims in its key.
func (p pushed) place(stream string, c token.Claims) string {
	return fmt.Sprintf("rtmp://127.0.0.1:%d/live/%s?token=%s", p.port, stream, p.Mint(c))
}

// own is the ordinary place of a stream.
func (p pushed) own(stream string) string { return p.place(stream, p.claims(stream)) }

// program is an encoder that runs as a process of its own.
type program struct {
	cmd  *exec.Cmd
	said bytes.Buffer
	done chan struct{}
	err  error
}

// launch starts an encoder, which ends with the test.
func launch(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends it as a crash would.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// recording is a minute of H.264 and AAC in a file, GOPs of a second, for encoders
// that send what is encoded already.
func recording(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "recording.mp4")
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-v", "error",
		"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", "100",
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-keyint_min", "25", "-sc_threshold", "0", "-b:v", "300k",
		"-c:a", "aac", "-b:a", "64k", "-ac", "2", path).CombinedOutput()
	if err != nil {
		t.Fatalf("making a recording: %v\n%s", err, out)
	}
	return path
}

// ffmpeg publishes a recording, again and again.
func ffmpegPublishes(t *testing.T, file, to string) *program {
	t.Helper()
	return launch(t, "ffmpeg", "-nostdin", "-v", "warning", "-re", "-stream_loop", "-1", "-i", file, "-c", "copy", "-f", "flv", to)
}

// gstreamerPublishes a recording once, by one of GStreamer's two RTMP elements.
func gstreamerPublishes(t *testing.T, sink, file, to string) *program {
	t.Helper()
	return launch(t, "gst-launch-1.0", "-q", "filesrc", "location="+file, "!", "qtdemux", "name=d",
		"flvmux", "name=m", "streamable=true", "!", sink, "location="+to,
		"d.video_0", "!", "queue", "!", "h264parse", "!", "identity", "sync=true", "!", "m.",
		"d.audio_0", "!", "queue", "!", "aacparse", "!", "identity", "sync=true", "!", "m.")
}

// loopPublishes publishes in codecs that the others do not know.
func loopPublishes(t *testing.T, r encoder.Recipe, to string) (stop func(), gone <-chan error) {
	t.Helper()
	l, err := encoderLoop(t, r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { end <- l.Publish(ctx, to) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return cancel, end
}

var encoderLoops sync.Map // encoder.Recipe → *encoder.Loop

func encoderLoop(t *testing.T, r encoder.Recipe) (*encoder.Loop, error) {
	if l, ok := encoderLoops.Load(r); ok {
		return l.(*encoder.Loop), nil
	}
	l, err := encoder.Make(t.Context(), r)
	if err == nil {
		encoderLoops.Store(r, l)
	}
	return l, err
}

// probe tells the codecs of what viewers get, "hevc aac", and the seconds of pictures
// that were decoded of so many.
func probe(t *testing.T, url string, seconds int) (codecs string, decoded float64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds+30)*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", url).Output()
	if err != nil {
		t.Fatalf("asking ffprobe for codecs: %v", err)
	}
	var names []string
	for _, name := range strings.Fields(string(out)) {
		if len(names) == 0 || !strings.Contains(strings.Join(names, " "), name) {
			names = append(names, name)
		}
	}
	out, err = exec.CommandContext(ctx, "ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of", "csv=p=0",
		"-read_intervals", fmt.Sprintf("%%+%d", seconds), url).Output()
	if err != nil {
		t.Fatalf("decoding with ffprobe: %v", err)
	}
	return strings.Join(names, " "), float64(len(strings.Fields(string(out)))) / 25
}

// playsInMPV tells the seconds that mpv decoded of so many.
func playsInMPV(t *testing.T, url string, seconds int) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds+30)*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, "mpv", "--no-config", "--vo=null", "--ao=null", fmt.Sprintf("--length=%d", seconds),
		"--term-status-msg=AT=${=playback-time}\n", url).CombinedOutput()
	var first, last float64
	seen := false
	for line := range strings.Lines(string(out)) {
		var at float64
		if i := strings.Index(line, "AT="); i >= 0 {
			if _, err := fmt.Sscanf(line[i:], "AT=%g", &at); err == nil {
				if !seen {
					first, seen = at, true
				}
				last = at
			}
		}
	}
	if !seen {
		t.Logf("mpv said:\n%s", out)
	}
	return last - first
}

// tellsNo fails for each place that an operator can look at where a secret stands.
func (p pushed) tellsNo(secrets ...string) {
	p.t.Helper()
	shown := map[string][]byte{"the log": p.Log(), "the admin endpoint": p.Admin("GET", "/edge/streams"), "the metrics": p.Admin("GET", "/metrics")}
	for where, text := range shown {
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				p.t.Errorf("%s holds a token", where)
			}
		}
	}
}

// commandLine is a process's, as other users of the machine see it.
func commandLine(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.ReplaceAll(b, []byte{0}, []byte(" ")))
}
