// Package players plays the edge's streams with the players that viewers use.
// A player is judged by the seconds that it decoded, not by its exit code: FFmpeg
// exits 0 on a dead playlist.
package players

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/test/control"
	"github.com/headrace/headrace/test/edge"
)

// played is how long each player plays.
func played() time.Duration {
	if edge.Thorough() {
		return time.Minute
	}
	return 30 * time.Second
}

// least is how many seconds of that must be decoded.
func least() float64 { return played().Seconds() - 2 }

func TestMain(m *testing.M) {
	os.Exit(control.With(func() int { return edge.Main(m) }))
}

// streams are one with a single rendition and a ladder of three.
func streams() []edge.Stream {
	return []edge.Stream{
		edge.Copy("bars", "test:").With("rendition 240p 400k 64k"),
		edge.Copy("ladder", "test:").With("rendition 360p 700k 64k", "rendition 240p 400k 64k", "rendition 144p 150k 48k"),
	}
}

// player decodes a URL for a while and tells how many seconds it decoded.
type player struct {
	name string
	run  func(ctx context.Context, t *testing.T, url string) (seconds float64, said string)
}

var players = []player{{"ffprobe", ffprobe}, {"mpv", mpv}, {"vlc", vlc}, {"gstreamer", gstreamer}}

func TestPlayers(t *testing.T) {
	node := edge.Start(t, edge.Config{Streams: streams()})
	awaitWindow(t, node)
	for _, stream := range streams() {
		for _, p := range players {
			t.Run(stream.ID+"/"+p.name, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), played()+30*time.Second)
				defer cancel()
				seconds, said := p.run(ctx, t, node.URL(stream.ID))
				t.Logf("%s decoded %.1f s of %s", p.name, seconds, stream.ID)
				if seconds < least() {
					t.Errorf("%s decoded %.1f s, want %.0f of %.0f; it said:\n%s", p.name, seconds, least(), played().Seconds(), said)
				}
			})
		}
	}
}

// awaitWindow waits until the playlists are as long as they get: channels run for
// long before a viewer comes, and a player that begins several segments behind the
// end wants them to be there.
func awaitWindow(t *testing.T, node *edge.Node) {
	t.Helper()
	const window = 8
	node.AwaitLive(30 * time.Second)
	for _, s := range streams() {
		first := node.Stream(s.ID).LastMSN
		edge.Await(t, time.Minute, "a full window of "+s.ID, func() bool { return node.Stream(s.ID).LastMSN >= first+window })
	}
}

const frameRate = 25 // of the test pattern

func ffprobe(ctx context.Context, t *testing.T, url string) (float64, string) {
	t.Helper()
	var frames, said bytes.Buffer
	cmd := exec.CommandContext(ctx, "ffprobe", "-v", "warning", "-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of", "csv=p=0",
		"-read_intervals", fmt.Sprintf("%%+%.0f", played().Seconds()), url)
	cmd.Stdout, cmd.Stderr = &frames, &said
	err := cmd.Run()
	return float64(len(strings.Fields(frames.String()))) / frameRate, fmt.Sprint(said.String(), err)
}

var mpvStatus = regexp.MustCompile(`AT=([0-9.]+)`)

// mpv prints its position, in seconds of the stream, once and again.
func mpv(ctx context.Context, t *testing.T, url string) (float64, string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, "mpv", "--no-config", "--vo=null", "--ao=null", "--hls-bitrate=max", fmt.Sprintf("--length=%.0f", played().Seconds()),
		"--term-status-msg=AT=${=playback-time}\n", url)
	out, err := cmd.CombinedOutput()
	at := mpvStatus.FindAllSubmatch(out, -1)
	if len(at) == 0 {
		return 0, fmt.Sprint(string(out), err)
	}
	first, _ := strconv.ParseFloat(string(at[0][1]), 64)
	last, _ := strconv.ParseFloat(string(at[len(at)-1][1]), 64)
	return last - first, fmt.Sprint(string(out[max(0, len(out)-2000):]), err)
}

var vlcDisplayed = regexp.MustCompile(`frames displayed\s*:\s*(\d+)`)

// vlc refuses to run as root; it tells what it showed on its remote control.
func vlc(ctx context.Context, t *testing.T, url string) (float64, string) {
	t.Helper()
	args := []string{"-I", "oldrc", "--rc-fake-tty", "--no-video-title-show", "--vout=vdummy", "--aout=dummy", "--no-color", url}
	program := "cvlc"
	if os.Getuid() == 0 {
		args = append([]string{"--reuid=nobody", "--regid=nogroup", "--clear-groups", program}, args...)
		program = "setpriv"
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "HOME="+publicFolder(t))
	control, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out said
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It begins several segments behind the end, which must be there first: the time
	// counts from its first picture.
	var began time.Time
	first, shown := 0, 0
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil && (began.IsZero() || time.Since(began) < played()) {
		<-tick.C
		fmt.Fprintln(control, "stats")
		if shown = out.displayed(); began.IsZero() && shown > 0 {
			began, first = time.Now(), shown
		}
	}
	fmt.Fprintln(control, "quit")
	err = cmd.Wait()
	said := out.String()
	return float64(shown-first) / frameRate, fmt.Sprint(said[max(0, len(said)-2000):], err)
}

// said is what a player prints; it may be read while the player goes on.
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

// displayed is VLC's newest count of pictures shown.
func (s *said) displayed() int {
	counts := vlcDisplayed.FindAllStringSubmatch(s.String(), -1)
	if len(counts) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(counts[len(counts)-1][1])
	return n
}

// publicFolder is a folder that an ordinary user may use as a home.
func publicFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "players-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// gstreamer writes each decoded picture as a few grey pixels: bytes are frames. It
// plays in real time until it is stopped.
func gstreamer(ctx context.Context, t *testing.T, url string) (float64, string) {
	t.Helper()
	pixels := filepath.Join(t.TempDir(), "pixels")
	const picture = 16 * 16
	ctx, cancel := context.WithTimeout(ctx, played()+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "gst-launch-1.0", "-q", "playbin", "uri="+url, "audio-sink=fakesink sync=true",
		"video-sink=videoconvert ! videoscale ! video/x-raw,format=GRAY8,width=16,height=16 ! filesink location="+pixels)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	info, statErr := os.Stat(pixels)
	if statErr != nil {
		return 0, fmt.Sprint(string(out), err)
	}
	return min(float64(info.Size())/picture/frameRate, played().Seconds()), fmt.Sprint(string(out), err)
}
